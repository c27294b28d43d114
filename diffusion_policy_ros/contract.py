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

"""
The robot contract: one YAML per robot that every part of the package reads.

It says which topics are observed, how old a sample may be, which topics are commanded, in which
units and joint order, and at which rate. It travels inside every bag, dataset and checkpoint.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from diffusion_policy_ros.checks import shown, told
from diffusion_policy_ros.contract_checks import check_contract, check_keys
from diffusion_policy_ros.errors import ContractError
from diffusion_policy_ros.message_types import component_names, JOINT_TYPES
from diffusion_policy_ros.streams import ACTION_KEY, ActionOutput, ImageSpec, ObservationStream
from diffusion_policy_ros.yaml_text import parse_yaml
import yaml

# The entries of a contract that a policy deals with, and those that a bag or a dataset holds.
SERVED = ('policy_observations', 'actions')
RECORDED = ('observations', 'actions')
# Where a clock is free, row 0 is at one second: a stamp of zero means "not set" in ROS.
START_NS = 1_000_000_000


@dataclass(frozen=True)
class RobotContract:
    """
    What a robot shows, what it obeys, and at which rate.

    :ivar robot: Name of the robot, for people and for the dataset's ``robot_type``.
    :ivar rate_hz: Rows per second of observations and actions, Hz.
    :ivar observations: Observed streams, in order.
    :ivar actions: Commanded outputs, in order.
    :ivar settle_ms: How long after a tick messages stamped at or before it may still arrive and
        count, ms. The live node waits this long; the converter applies the same cut.
    :ivar limits: ``{joint: {position: [low, high], velocity: v, acceleration: a, jerk: j}}``.
    """

    robot: str
    rate_hz: float
    observations: tuple
    actions: tuple
    settle_ms: float = 0.0
    limits: dict = field(default_factory=dict)

    def __post_init__(self):
        """Check what concerns the contract as a whole."""
        check_contract(self)

    @property
    def period_ns(self) -> int:
        """Return the time of one row in nanoseconds, rounded."""
        return round(1e9 / self.rate_hz)

    @property
    def settle_ns(self) -> int:
        """Return the settling time in nanoseconds."""
        return round(self.settle_ms * 1e6)

    @property
    def policy_observations(self) -> tuple:
        """Return the streams that feed the policy."""
        return tuple(s for s in self.observations if s.role == 'policy')

    @property
    def keys(self) -> tuple:
        """Return the dataset keys of all observations in order, each once."""
        return tuple(dict.fromkeys(s.key for s in self.observations))

    @property
    def action_names(self) -> tuple:
        """Return the names of the action vector's entries in order."""
        return tuple(name for output in self.actions for name in output.names)

    def streams_of(self, key) -> tuple:
        """Return the streams that fill one dataset key, in order."""
        return tuple(s for s in self.observations if s.key == key)

    def names_of(self, key) -> tuple:
        """Return the entry names of a vector key, over all of its streams."""
        return tuple(name for s in self.streams_of(key) for name in s.names)

    def shape_of(self, key) -> tuple:
        """Return the shape of one row of a key: (height, width, channels) or (entries,)."""
        if key == ACTION_KEY:
            return (len(self.action_names),)
        streams = self.streams_of(key)
        return streams[0].shape if streams[0].is_image else (len(self.names_of(key)),)

    def tick_ns(self, start_ns, index) -> int:
        """
        Return the time of a tick without drift: ``start + round(index * 1e9 / rate)``, exactly.

        :param start_ns: Time of tick 0, ns.
        :param index: Number of the tick.
        """
        rate, unit = self.rate_hz.as_integer_ratio()
        whole, rest = divmod(int(index) * 10**9 * unit, rate)
        return start_ns + whole + (2 * rest > rate or (2 * rest == rate and whole % 2))

    def to_dict(self) -> dict:
        """Return the contract as plain lists and dicts, ready for YAML or JSON."""
        return {
            'contract_version': 1, 'robot': self.robot, 'rate_hz': self.rate_hz,
            'settle_ms': self.settle_ms,
            'observations': [_entry_to_dict(s) for s in self.observations],
            'actions': [_entry_to_dict(a) for a in self.actions], 'limits': self.limits}

    def to_yaml(self) -> str:
        """Return the contract as YAML text that ``parse_contract`` reads back equal."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    def disagreements(self, other, *, mine='trained', theirs='robot', kinds=SERVED) -> list:
        """
        List what would make numbers that follow this contract wrong under another.

        Topic names, ages and QoS may differ between two installations of one robot; rates,
        shapes, names, their order, units and rules may not.

        :param other: The contract that the numbers shall serve.
        :param mine: What was done under this contract, for the sentences.
        :param theirs: Who goes by the other one, for the sentences.
        :param kinds: Which entries the numbers come from, ``SERVED`` or ``RECORDED``.
        :return: One sentence per difference; empty when both mean the same.
        """
        found = [] if self.rate_hz == other.rate_hz else [
            f'rate_hz: {mine} at {self.rate_hz:g}, {theirs} has {other.rate_hz:g}']
        for kind in kinds:
            ours, others = getattr(self, kind), getattr(other, kind)
            if len(ours) != len(others):
                found.append(f'{kind}: {mine} with {len(ours)} entries, {theirs} has '
                             f'{len(others)}')
                continue  # nobody knows which of them belong together
            found += [f'{label}: {mine} with {value}, {theirs} has {another}'
                      for a, b in zip(ours, others)
                      for label, value, another in _entry_differences(a, b)]
        return found


def load_contract(path) -> RobotContract:
    """
    Read a contract from a YAML file.

    :param path: Path of the file.
    :return: The checked contract.
    :raises ContractError: naming the file, the key, the value and the remedy.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(f'cannot read the contract {path}: {told(error)}. Examples are in '
                            'config/robots/ of the package') from error
    return parse_contract(text, source=str(path))


def parse_contract(text, source='contract') -> RobotContract:
    """
    Build a contract from YAML text.

    :param text: YAML document.
    :param source: Where the text came from, for error messages.
    :return: The checked contract.
    :raises ContractError: naming the source, the key, the value and the remedy.
    """
    raw = parse_yaml(text, source, ContractError)
    try:
        if not isinstance(raw, dict):
            raise ContractError(f'a mapping is needed, got {shown(raw)}')
        return _build_contract(dict(raw))
    except ContractError as error:
        raise ContractError(f'{source}: {error}') from error


def _build_contract(raw):
    """Turn the parsed document into a contract, refusing unknown keys."""
    version = raw.pop('contract_version', 1)
    if version != 1 or isinstance(version, bool):
        raise ContractError(f'contract_version is {shown(version)}; this package reads version 1')
    check_keys('contract', raw, [f.name for f in fields(RobotContract)],
               required=('robot', 'rate_hz', 'observations', 'actions'))
    for name in ('observations', 'actions'):
        if not isinstance(raw[name], (list, tuple)):
            raise ContractError(f'{name} must be a list of entries')
    raw['observations'] = tuple(
        _build_entry(ObservationStream, entry, f'observations[{i}]')
        for i, entry in enumerate(raw['observations']))
    raw['actions'] = tuple(
        _build_entry(ActionOutput, entry, f'actions[{i}]')
        for i, entry in enumerate(raw['actions']))
    raw['limits'] = raw.get('limits') or {}
    return RobotContract(**raw)


def _build_entry(cls, raw, where):
    """Build one stream or output; ``joints`` is the spelling of ``names`` for joint types."""
    if not isinstance(raw, dict):
        raise ContractError(f'{where} must be a mapping, got {shown(raw)}')
    raw = dict(raw)
    if 'joints' in raw:
        if 'names' in raw:
            raise ContractError(f'{where} has both joints and names; they are one list')
        raw['names'] = raw.pop('joints')
    required = ('topic', 'type') + (('key', 'max_age_ms') if cls is ObservationStream else ())
    check_keys(where, raw, [*(f.name for f in fields(cls)), 'joints'], required)
    names = raw.get('names', ())
    if not isinstance(names, (list, tuple)):
        raise ContractError(f'{where}: joints or names must be a list, got {shown(names)}')
    raw['names'] = tuple(names) or component_names(raw['type'], raw.get('rotation', 'rot6d'))
    if raw.get('image') is not None:
        check_keys(f'{where}.image', raw['image'], [f.name for f in fields(ImageSpec)],
                   ('height', 'width'))
        raw['image'] = _build_image(raw['image'], where)
    return cls(**raw)


def _build_image(raw, where):
    """Build the picture of an entry, which it cannot name itself."""
    try:
        return ImageSpec(**raw)
    except ContractError as error:
        raise ContractError(f'{where}.{error}') from error


def _entry_to_dict(entry):
    """Return an entry without the fields that keep their default."""
    plain = asdict(entry)
    kept = {f.name: plain[f.name] for f in fields(entry) if plain[f.name] != f.default}
    if 'names' in kept:
        names = list(kept.pop('names'))
        kept['joints' if entry.type in JOINT_TYPES else 'names'] = names
    return kept


def _entry_differences(ours, other):
    """List (field, value, other value) of two entries where it changes what numbers mean."""
    compared = ('key', 'names', 'field', 'rotation', 'unit', 'frame_id', 'image', 'label',
                'offset_ms')
    label = getattr(ours, 'key', ACTION_KEY)
    return [(f'{label} {name}', _plain(getattr(ours, name)), _plain(getattr(other, name)))
            for name in compared
            if hasattr(ours, name) and getattr(ours, name) != getattr(other, name)]


def _plain(value):
    """Write a compared value the way the YAML would."""
    return list(value) if isinstance(value, tuple) else 'none' if value == '' else value
