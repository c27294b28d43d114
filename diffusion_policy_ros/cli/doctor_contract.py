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

"""What ``dpr doctor`` tells of a robot contract, and which uses would refuse it."""

from dataclasses import replace

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.control.safety.assembly import build_guard
from diffusion_policy_ros.control.safety.channel import (
    check_limitable, taken_for_grippers, unkept)
from diffusion_policy_ros.control.safety.emergency import EmergencyStop
from diffusion_policy_ros.control.safety.limits import assumed, motion_limits
from diffusion_policy_ros.control.safety.tracking import Tolerance
from diffusion_policy_ros.errors import (
    ConfigError, DatasetError, DiffusionPolicyError, SafetyError)
from diffusion_policy_ros.finding import Finding
from diffusion_policy_ros.message_types import JOINT_STATE
from diffusion_policy_ros.requirements import install_command
from diffusion_policy_ros.streams import ObservationStream

# The defaults of command_safety, on which no refusal depends.
SETTINGS = {'period_s': 0.01, 'watchdog_s': 0.2, 'tolerance': Tolerance(0.2, 0.5, 0.02),
            'ramp_in_s': 1.0}
# Limits that nobody refuses, in place of those of a joint that is not looked at.
ENOUGH = {'velocity': 1.0}


def contract_lines(contract) -> list:
    """
    Describe a robot contract for the person who wrote it.

    :param contract: RobotContract.
    :return: Lines of text: robot, times, observations, and the action vector in order.
    """
    lines = [f'robot {contract.robot}', f'rate_hz {contract.rate_hz:g}',
             f'settle_ms {contract.settle_ms:g}', 'observations:']
    for stream in contract.observations:
        content = ', '.join(stream.names)
        if stream.is_image:
            image = stream.image
            content = f'height {image.height} x width {image.width} px, {image.encoding}'
        role = '' if stream.role == 'policy' else '; recorded, not seen by the policy'
        lines += [f'  {stream.key} <- {stream.topic} ({stream.type})',
                  f'      {content}; at most {stream.max_age_ms:g} ms old{role}']
    entries = [(name, output) for output in contract.actions for name in output.names]
    lines.append(f'action vector ({len(entries)} entries):')
    lines += [f'  {index} {_entry(name, output)} -> {output.topic} ({output.type})'
              for index, (name, output) in enumerate(entries)]
    return lines


def limit_lines(contract) -> list:
    """
    Tell which limits ``command_safety`` takes from a contract.

    :param contract: RobotContract.
    :return: Lines of text: the limits of every entry of the action vector, in order, and below
        them which of them nobody gave.
    """
    if not contract.limits:
        return ['limits: none, see below']
    return ['limits (in the unit of each entry, per s, s^2 and s^3):',
            *(line for output in contract.actions for name in output.names
              for line in _limits_of(name, output, contract.limits))]


def _limits_of(name, output, limits):
    """Return the lines about the limits of one entry."""
    entry = f'  {_entry(name, output)}'
    try:
        check_limitable(output)
        found = motion_limits(limits, [name], 'the contract')
    except SafetyError:
        return [f'{entry}: none that can be kept, see below']
    position = 'any' if output.is_velocity or 'position' not in limits[name] else \
        f'{found.low[0]:g} to {found.high[0]:g}'
    line = (f'{entry}: position {position}, velocity {found.velocity[0]:g}, acceleration '
            f'{found.acceleration[0]:g}, jerk {found.jerk[0]:g}')
    guessed = [sentence.removeprefix(f'limits.{name}: ')
               for sentence in assumed(limits, [replace(output, names=(name,))])]
    return [line, f'      {"; ".join(guessed)}'] if guessed else [line]


def _entry(name, output):
    """Write an entry of the action vector with its unit."""
    return f'{name} [{output.unit}]' if output.unit else name


def find_refusals(contract, source) -> list:
    """
    Find out who would refuse a contract later, and why: as many reasons as can be told.

    :param contract: RobotContract.
    :param source: Where it comes from, for the sentences.
    :return: ``Finding`` objects: a ``WARN`` for each reason, an ``OK`` for each use without one.
        And what it would do otherwise than may be meant.
    """
    return [*_findings('command_safety', guard_refusals(contract, source)),
            *(Finding('WARN', 'command_safety:', text) for text in taken_for_grippers(contract)),
            *_storage_findings(contract),
            *_findings('dpr train', _refusal(PolicyConfig.from_contract, contract))]


def find_misfit(source, model) -> Finding:
    """
    Find out whether the policy server would run a checkpoint under a contract.

    :param source: Path of the contract's file.
    :param model: Path of the checkpoint folder; its weights are not looked at.
    :return: ``OK``, or an ``ERROR`` in the words of the server.
    """
    from diffusion_policy_ros.policy.checkpoint import read_description
    from diffusion_policy_ros.policy.served_contract import choose_contract
    from diffusion_policy_ros.policy.window_check import window_layout
    try:
        config, trained, _ = read_description(model)
        window_layout(config, choose_contract(source, trained, model))
    except DiffusionPolicyError as error:
        return Finding('ERROR', 'policy_server refuses:', ' '.join(str(error).split()))
    return Finding('OK', 'policy_server', f'accepts this contract for {model}')


def guard_refusals(contract, source) -> list:
    """
    Tell why ``build_guard`` refuses a contract.

    :param contract: RobotContract.
    :param source: Where it comes from, for the sentences.
    :return: One sentence for each reason, with its remedy.
    """
    found, unlimited = [], {}
    for output in contract.actions:
        by_entry, others = _output_refusals(contract, output, source)
        unlimited.update(by_entry)
        found += others
    if contract.limits:
        found = [*unlimited.values(), *found]
    elif unlimited:
        found = [f'{source} has no limits, and nothing moves without: add limits.NAME.velocity '
                 f'for each of {", ".join(unlimited)}, or set use_robot_description of '
                 'command_safety and give a URDF that has them', *found]
    found += unkept(contract, contract.limits)
    return found or _guard_refusal(contract, contract.limits, source)


def _output_refusals(contract, output, source):
    """
    Build a guard of one output again and again, with all but one thing as nobody refuses it.

    :return: ``{entry: why its limits are refused}``, and a list of all other reasons.
    """
    enough = {name: ENOUGH for name in output.names}
    stand_in = ObservationStream('observation.doctor_stand_in', 'doctor_stand_in', JOINT_STATE,
                                 max_age_ms=1000.0, names=output.names)
    measured = (*contract.observations, stand_in)
    unitless = replace(output, unit='')

    def refusal(limits=enough, observations=measured, output=unitless):
        alone = replace(contract, observations=observations, actions=(output,), limits={})
        return _guard_refusal(alone, limits, source)

    hopeless = refusal()
    if hopeless:
        return {}, hopeless
    by_entry = {name: refusal(limits={**enough, name: contract.limits.get(name, {})})
                for name in output.names}
    return ({name: reasons[0] for name, reasons in by_entry.items() if reasons},
            refusal(observations=contract.observations) + refusal(output=output))


def _guard_refusal(contract, limits, source):
    """Return why no guard can be built, in a list; an empty one where it can."""
    return _refusal(build_guard, contract, limits, EmergencyStop(), source=source, **SETTINGS)


def _storage_findings(contract):
    """Tell what a dataset cannot hold: the rate, and each camera by itself."""
    try:
        from diffusion_policy_ros.data.datasets.lerobot_writer import check_storable
    except ImportError as error:  # a robot that only serves has no libraries for datasets
        return [Finding('WARN', 'dpr convert', f'not checked: {error}',
                        install_command('train'))]
    plain = [replace(stream, image=replace(stream.image, encoding='rgb8'))
             if stream.is_image else stream for stream in contract.observations]
    parts = [replace(contract, observations=tuple(plain))]
    parts += [replace(contract, rate_hz=1.0, settle_ms=0.0,
                      observations=(*plain[:place], stream, *plain[place + 1:]))
              for place, stream in enumerate(contract.observations) if stream.is_image]
    reasons = [reason for part in parts for reason in _refusal(check_storable, part)]
    return _findings('dpr convert', reasons, 'refuses, as does the recorder')


def _findings(use, reasons, verb='refuses'):
    """Return a finding for each reason why something is refused, or that it is not."""
    return [Finding('WARN', f'{use} {verb}:', reason) for reason in reasons] or \
        [Finding('OK', use, 'accepts this contract')]


def _refusal(check, *arguments, **named):
    """Return why a check refuses its arguments, in a list; an empty one where it does not."""
    try:
        check(*arguments, **named)
    except (ConfigError, DatasetError, SafetyError) as error:
        return [str(error)]
    return []
