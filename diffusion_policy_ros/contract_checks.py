# Copyright 2026 The diffusion_policy_ros authors
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""What must hold for a robot contract as a whole; each entry checks itself in streams."""

from diffusion_policy_ros.checks import is_number, shown, suggestion
from diffusion_policy_ros.errors import ContractError
from diffusion_policy_ros.streams import STATE_KEY

LIMIT_NAMES = ('position', 'velocity', 'acceleration', 'jerk')


def check_contract(contract):
    """
    Check a contract's entries against each other.

    :param contract: RobotContract whose fields are set.
    :raises ContractError: naming the key, the value and the remedy.
    """
    if not isinstance(contract.robot, str) or not contract.robot:
        raise ContractError(f'robot is {shown(contract.robot)}; give the robot a name')
    _check_rate(contract.rate_hz, contract.settle_ms)
    if not contract.policy_observations:
        raise ContractError('observations: at least one stream with "role: policy" is needed')
    if not contract.actions:
        raise ContractError('actions: at least one output is needed')
    _check_unique('observation', [(s.key, s.topic, s.names, s.field)
                                  for s in contract.observations])
    _check_unique('action', [a.topic for a in contract.actions])
    _check_shared_keys(contract)
    _check_shared_topics(contract)
    for name in contract.action_names:
        if contract.action_names.count(name) > 1:
            raise ContractError(f'action entry {name!r} is commanded by two outputs')
    _check_next_state(contract)
    _check_limits(contract.limits, contract.action_names)


def check_keys(where, raw, known, required):
    """
    Refuse unknown and missing keys of a mapping, suggesting the nearest known one.

    A misspelt key is also a missing one: the misspelling is what is to be told.

    :param where: The mapping's place in the contract, for error messages.
    :param raw: What the document has there.
    :param known: All allowed keys.
    :param required: Those that must be there.
    :raises ContractError: where it is no mapping, or for the first such key.
    """
    if not isinstance(raw, dict):
        raise ContractError(f'{where} must be a mapping, got {shown(raw)}')
    for name in raw:
        if name not in known:
            raise ContractError(f'{where}: unknown key {shown(name)}; {suggestion(name, known)}')
    for name in required:
        if name not in raw:
            raise ContractError(f'{where}: "{name}" is missing')


def _check_rate(rate_hz, settle_ms):
    """Check the control rate and the settling time against each other."""
    for name, value in (('rate_hz', rate_hz), ('settle_ms', settle_ms)):
        if not is_number(value):
            raise ContractError(f'{name} is {shown(value)}; it must be a finite number')
    if not 0.1 <= rate_hz <= 1000:
        raise ContractError(f'rate_hz is {rate_hz:g}; it must be from 0.1 to 1000 Hz')
    if not 0 <= settle_ms < 1000 / rate_hz:
        raise ContractError(f'settle_ms is {settle_ms:g}; it must be from 0 to less than one '
                            f'period, {1000 / rate_hz:g} ms')


def _check_unique(kind, identities):
    """Refuse two entries that would be the same stream."""
    for identity in identities:
        if identities.count(identity) > 1:
            raise ContractError(f'{kind} {identity!r} appears twice')


def _check_shared_keys(contract):
    """Streams that share a key are joined to one vector, which the policy sees or does not."""
    for key in contract.keys:
        streams = contract.streams_of(key)
        if streams[0].is_image and len(streams) > 1:
            raise ContractError(f'two cameras share the key {key!r}; give each its own')
        if len({stream.role for stream in streams}) > 1:
            raise ContractError(f'the key {key!r} has policy and auxiliary streams; give the '
                                'auxiliary ones a key of their own')


def _check_shared_topics(contract):
    """Streams may read different parts of one topic, which has one type."""
    types = {}
    for entry in contract.observations + contract.actions:
        if types.setdefault(entry.topic, entry.type) != entry.type:
            raise ContractError(f'topic {entry.topic!r} has two types, {types[entry.topic]} and '
                                f'{entry.type}; a topic has one')


def _check_next_state(contract):
    """Find each entry of a ``next_state`` label once in the observed state."""
    state = contract.names_of(STATE_KEY)
    for output in contract.actions:
        for name in output.names if output.label == 'next_state' else ():
            if state.count(name) != 1:
                raise ContractError(f'action (topic {output.topic!r}): label next_state needs '
                                    f'{name!r} exactly once in {STATE_KEY}, which has: '
                                    f'{", ".join(state) or "no entries"}')


def _check_limits(limits, action_names):
    """Check the limits of each commanded entry."""
    if not isinstance(limits, dict):
        raise ContractError('limits must map joint names to their limits')
    for joint, values in limits.items():
        if joint not in action_names:
            raise ContractError(f'limits: {joint!r} is not commanded; actions name: '
                                f'{", ".join(action_names)}')
        check_keys(f'limits.{joint}', values, LIMIT_NAMES, ())
        for name, value in values.items():
            bounds = value if name == 'position' else [0, value]
            if not (isinstance(bounds, list) and len(bounds) == 2
                    and all(is_number(bound) for bound in bounds)
                    and bounds[0] < bounds[1]):
                wanted = ('[low, high] with finite low < high' if name == 'position' else
                          'a finite number above 0; to YAML 1e7 is a text, 1.0e+7 a number')
                raise ContractError(
                    f'limits.{joint}.{name} is {shown(value)}; it must be {wanted}')
