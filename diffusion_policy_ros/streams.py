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

"""The entries of a robot contract: one observed or commanded topic each, with their checks."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
import re
from typing import Optional

from diffusion_policy_ros.checks import check_choice, is_count, is_number, shown
from diffusion_policy_ros.errors import ContractError
from diffusion_policy_ros.message_types import (
    ACTION_TYPES, component_names, HEADERLESS_TYPES, IMAGE_TYPES, JOINT_TRAJECTORY,
    OBSERVATION_TYPES, QUATERNION, ROT6D, TWIST, TWIST_STAMPED)

STATE_KEY = 'observation.state'
ENVIRONMENT_KEY = 'observation.environment_state'
ACTION_KEY = 'action'
IMAGE_KEY_PREFIX = 'observation.images.'
IMAGE_ENCODINGS = ('rgb8', 'mono8', '16UC1', '32FC1')
MAX_PIXELS = 16384
RESIZE_RULES = ('exact', 'stretch', 'crop', 'pad')

_check_choice = partial(check_choice, error=ContractError)


@dataclass(frozen=True)
class ImageSpec:
    """
    The picture that a camera stream delivers to the policy.

    :ivar height: Rows after resizing, px.
    :ivar width: Columns after resizing, px.
    :ivar encoding: ``rgb8`` and ``mono8`` are uint8; ``16UC1`` is uint16 millimetres; ``32FC1``
        is float32 metres.
    :ivar resize: ``exact`` refuses another size; ``stretch`` ignores the aspect ratio; ``crop``
        fills and cuts the centre; ``pad`` fits and adds black borders.
    """

    height: int
    width: int
    encoding: str = 'rgb8'
    resize: str = 'exact'

    def __post_init__(self):
        """Check sizes and choices."""
        for name in ('height', 'width'):
            value = getattr(self, name)
            if not is_count(value, most=MAX_PIXELS):
                raise ContractError(f'image.{name} is {shown(value)}; it must be a whole number '
                                    f'of pixels, at least 1 and at most {MAX_PIXELS}')
        _check_choice('image.encoding', self.encoding, IMAGE_ENCODINGS)
        _check_choice('image.resize', self.resize, RESIZE_RULES)

    @property
    def channels(self) -> int:
        """Return the number of colour or depth channels, 3 or 1."""
        return 3 if self.encoding == 'rgb8' else 1


@dataclass(frozen=True)
class ObservationStream:
    """
    One observed topic and the dataset column it fills.

    Streams that share a key (for example an arm and a gripper under ``observation.state``) are
    concatenated in the order of the contract.

    :ivar key: Dataset key, LeRobot's: ``observation.images.<camera>``, ``observation.state``, ...
    :ivar topic: Topic name, relative so that namespaces and remapping work.
    :ivar type: Message type, such as ``sensor_msgs/msg/Image``.
    :ivar max_age_ms: Oldest usable sample at a tick, ms.
    :ivar stamp: ``header`` (capture time) or ``receive`` (arrival time) dates a sample.
    :ivar on_stale: ``stop`` refuses the window; ``hold`` repeats the last sample with its age.
    :ivar frozen_after: Messages of equal content, one after another, from which on the stream
        counts as frozen and its samples are refused; 0 never. For a camera whose pictures are
        never equal, because they are noisy, or joints whose sensors are.
    :ivar role: ``policy`` inputs feed the network; ``auxiliary`` ones are recorded and may
        serve as training targets, but a live policy never needs them.
    :ivar names: Names of the vector's entries in order: joints, or message components.
    :ivar field: ``position``, ``velocity`` or ``effort`` of a JointState.
    :ivar rotation: ``rot6d`` or ``quaternion``, how a pose's rotation is written.
    :ivar unit: Unit of the entries, for people and checks (``rad``, ``m``, ``px`` ...).
    :ivar image: The picture's size and encoding, for camera streams.
    """

    key: str
    topic: str
    type: str
    max_age_ms: float
    stamp: str = 'header'
    on_stale: str = 'stop'
    frozen_after: int = 0
    role: str = 'policy'
    names: tuple = ()
    field: str = 'position'
    rotation: str = 'rot6d'
    unit: str = ''
    image: Optional[ImageSpec] = None

    def __post_init__(self):
        """Check every field, naming the topic in each error."""
        where = f'observation {self.key!r} (topic {self.topic!r})'
        _check_topic(where, self.topic)
        _check_choice(f'{where}: type', self.type, OBSERVATION_TYPES)
        _check_choice(f'{where}: on_stale', self.on_stale, ('stop', 'hold'))
        _check_choice(f'{where}: role', self.role, ('policy', 'auxiliary'))
        _check_timing(where, self)
        if self.frozen_after != 0 and not is_count(self.frozen_after, 2, 10_000):
            raise ContractError(f'{where}: frozen_after is {shown(self.frozen_after)}; it must be '
                                'a whole number of messages from 2 to 10000, or 0 for never')
        if not re.fullmatch(r'observation(\.[\w-]+)+', str(self.key), re.ASCII):
            raise ContractError(f'{where}: key must start with "observation.", for example '
                                f'{STATE_KEY!r} or "{IMAGE_KEY_PREFIX}<camera>"')
        if self.is_image != str(self.key).startswith(IMAGE_KEY_PREFIX):
            raise ContractError(f'{where}: camera types, and only they, use a key under '
                                f'"{IMAGE_KEY_PREFIX}"; type is {self.type}')
        if self.is_image:
            _check_camera(where, self)
        else:
            _check_vector(where, self)

    @property
    def is_image(self) -> bool:
        """Tell whether the stream is a camera."""
        return self.type in IMAGE_TYPES

    @property
    def max_age_ns(self) -> int:
        """Return the oldest usable age in nanoseconds."""
        return round(self.max_age_ms * 1e6)

    @property
    def shape(self) -> tuple:
        """Return the shape of one decoded sample: (height, width, channels) or (entries,)."""
        if self.is_image:
            return (self.image.height, self.image.width, self.image.channels)
        return (len(self.names),)


@dataclass(frozen=True)
class ActionOutput:
    """
    One commanded topic and the slice of the action vector that it carries.

    Outputs are concatenated in the order of the contract to form ``action``.

    :ivar topic: Topic name, relative.
    :ivar type: Message type, such as ``trajectory_msgs/msg/JointTrajectory``.
    :ivar names: Joints or message components in the order of the action vector.
    :ivar label: ``command`` learns the recorded commands; ``next_state`` the observed state one
        row later (kinesthetic demonstrations).
    :ivar offset_ms: Action row k is read at, and due at, its tick plus this, ms.
    :ivar max_age_ms: A recorded command older than this at its row splits the episode, ms.
    :ivar stamp: ``header`` or ``receive`` dates a recorded command.
    :ivar interpolation: Between rows: ``linear`` (rotations on the sphere) or ``hold``
        (grippers, switches).
    :ivar trajectory: ``point`` sends one JointTrajectory point per command, ``chunk`` the rest of
        the chunk with its times.
    :ivar unit: Unit of the entries.
    :ivar frame_id: Frame of the command's header, for poses and twists.
    """

    topic: str
    type: str
    max_age_ms: float = 500.0
    names: tuple = ()
    stamp: str = 'header'
    label: str = 'command'
    offset_ms: float = 0.0
    field: str = 'position'
    rotation: str = 'rot6d'
    interpolation: str = 'linear'
    trajectory: str = 'point'
    unit: str = ''
    frame_id: str = ''

    def __post_init__(self):
        """Check every field, naming the topic in each error."""
        where = f'action (topic {self.topic!r})'
        _check_topic(where, self.topic)
        _check_choice(f'{where}: type', self.type, ACTION_TYPES)
        _check_choice(f'{where}: label', self.label, ('command', 'next_state'))
        _check_choice(f'{where}: interpolation', self.interpolation, ('linear', 'hold'))
        _check_choice(f'{where}: trajectory', self.trajectory, ('point', 'chunk'))
        _check_timing(where, self)
        _check_number(f'{where}: offset_ms', self.offset_ms, -1000.0, 1000.0)
        if not isinstance(self.frame_id, str):
            raise ContractError(f'{where}: frame_id is {shown(self.frame_id)}; it must be a word')
        _check_vector(where, self)
        _check_whole_rotation(where, self)

    @property
    def max_age_ns(self) -> int:
        """Return the oldest usable age of a recorded command in nanoseconds."""
        return round(self.max_age_ms * 1e6)

    @property
    def offset_ns(self) -> int:
        """Return the row offset in nanoseconds."""
        return round(self.offset_ms * 1e6)

    @property
    def is_velocity(self) -> bool:
        """Tell whether the entries are velocities."""
        return self.type in (TWIST, TWIST_STAMPED) or self.field == 'velocity'


def _check_number(where, value, low, high):
    """Refuse anything but a finite number in [low, high]."""
    if not is_number(value) or not low <= value <= high:
        raise ContractError(f'{where} is {shown(value)}; it must be a finite number from {low:g} '
                            f'to {high:g}')


def _check_topic(where, topic):
    """Refuse what is no topic name, and absolute names, which namespaces could not move."""
    if isinstance(topic, str) and topic.startswith('/'):
        raise ContractError(f'{where}: write the topic without the leading "/", so that '
                            'namespaces and remapping can move it')
    if not isinstance(topic, str) or not re.fullmatch(r'[a-zA-Z_]\w*(/[a-zA-Z_]\w*)*', topic,
                                                      re.ASCII):
        raise ContractError(f'{where}: topic must be a ROS topic name, such as camera/image_raw: '
                            'letters, digits, "_" and "/", no part starting with a digit')


def _check_timing(where, entry):
    """Check the stamp source and the mandatory, finite age limit."""
    _check_choice(f'{where}: stamp', entry.stamp, ('header', 'receive'))
    _check_number(f'{where}: max_age_ms', entry.max_age_ms, 1.0, 60000.0)
    if entry.stamp == 'header' and entry.type in HEADERLESS_TYPES:
        raise ContractError(f'{where}: {entry.type} has no header; write "stamp: receive"')
    if entry.stamp == 'header' and entry.type == JOINT_TRAJECTORY:
        raise ContractError(f'{where}: the stamp of a JointTrajectory says when to start, not '
                            'when it was sent; write "stamp: receive"')


def _check_camera(where, entry):
    """Check that a camera has a picture and no vector entries."""
    if not isinstance(entry.image, ImageSpec):
        raise ContractError(f'{where}: a camera needs "image: {{height: .., width: ..}}"')
    if entry.names:
        raise ContractError(f'{where}: a camera has no joints or names, got {list(entry.names)}')


def _check_vector(where, entry):
    """Check that the entry names the components its message type offers, in order."""
    _check_choice(f'{where}: field', entry.field, ('position', 'velocity', 'effort'))
    _check_choice(f'{where}: rotation', entry.rotation, ('rot6d', 'quaternion'))
    if getattr(entry, 'image', None) is not None:
        raise ContractError(f'{where}: {entry.type} carries no picture; remove "image"')
    offered = component_names(entry.type, entry.rotation)
    if not entry.names:
        raise ContractError(f'{where}: name the entries in order, with "joints: [..]" or '
                            '"names: [..]"')
    if not all(isinstance(name, str) and name for name in entry.names):
        raise ContractError(f'{where}: joints and names must be words, got {list(entry.names)}')
    twice = [name for name, count in Counter(entry.names).items() if count > 1]
    if twice:
        raise ContractError(f'{where}: {twice[0]!r} is named twice in {list(entry.names)}')
    unknown = [name for name in entry.names if offered and name not in offered]
    if unknown:
        raise ContractError(f'{where}: {entry.type} has no component {unknown[0]!r}; it offers: '
                            f'{", ".join(offered)}')


def _check_whole_rotation(where, entry):
    """Refuse a commanded rotation with entries left out: no pose could be made of it."""
    for rotation in (ROT6D, QUATERNION):
        missing = [name for name in rotation if name not in entry.names]
        if 0 < len(missing) < len(rotation):
            raise ContractError(f'{where}: the commanded rotation lacks {missing[0]!r}; name '
                                f'none or all of: {", ".join(rotation)}')
