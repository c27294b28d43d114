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

"""Motion limits of commanded joints: from the contract, from a URDF, from both."""

from dataclasses import dataclass
import math

from diffusion_policy_ros.checks import shown, suggestion
from diffusion_policy_ros.errors import ConfigError, SafetyError
from diffusion_policy_ros.urdf import MOVABLE, parse_urdf
import numpy as np

# What is assumed of a robot where nothing is said, on the gentle side for an arm: full speed
# after 0.2 s of full acceleration, full acceleration after 0.05 s of full jerk.
SECONDS_TO_VELOCITY = 0.2
SECONDS_TO_ACCELERATION = 0.05
# The numbers that the planner can work with, in whatever unit the robot counts.
SMALLEST = 1e-6
LARGEST = 1e8


@dataclass(frozen=True, eq=False)
class MotionLimits:
    """
    The limits of all joints of a command, as read-only float64 arrays ``(n,)``.

    :ivar names: Joint names, in the order of the arrays.
    :ivar low: Lowest position, robot units; ``-inf`` where there is none.
    :ivar high: Highest position, above ``low``; ``inf`` where there is none.
    :ivar velocity: Largest speed, units/s.
    :ivar acceleration: Largest acceleration either way, units/s^2.
    :ivar jerk: Largest rate of change of the acceleration, units/s^3.
    """

    names: tuple
    low: np.ndarray
    high: np.ndarray
    velocity: np.ndarray
    acceleration: np.ndarray
    jerk: np.ndarray

    def __post_init__(self):
        """Check every number, naming its joint."""
        if not self.names or len(set(self.names)) != len(self.names):
            raise SafetyError(f'limits are needed for at least one joint, each named once; got '
                              f'{shown(self.names)}')
        for name in ('low', 'high', 'velocity', 'acceleration', 'jerk'):
            values = np.array(getattr(self, name), np.float64)
            if values.shape != (len(self.names),):
                raise SafetyError(f'{name} limits have shape {values.shape}, wanted one for each '
                                  f'of the joints {", ".join(self.names)}')
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        for joint, low, high in zip(self.names, self.low, self.high):
            if not low < high:
                raise SafetyError(f'joint {joint}: position limits are [{low:g}, {high:g}]; the '
                                  'first must lie below the second')
        for name in ('velocity', 'acceleration', 'jerk'):
            for joint, value in zip(self.names, getattr(self, name)):
                if not SMALLEST <= value <= LARGEST:
                    raise SafetyError(f'joint {joint}: {name} limit is {value:g}; it must be from '
                                      f'{SMALLEST:g} to {LARGEST:g}')


def motion_limits(limits, names, source) -> MotionLimits:
    """
    Gather the limits of a command, and assume what may be assumed; see ``assumed``.

    :param limits: Joint name to ``{'position': [low, high], 'velocity': .., 'acceleration': ..,
        'jerk': ..}``, as a contract has it. Without a position limit a joint turns on for ever.
    :param names: Commanded joints, in order.
    :param source: Where the limits come from, for the error message.
    :return: Limits of all joints in ``names``, in that order.
    :raises SafetyError: for a joint without a velocity limit, and for limits that allow no motion.
    """
    complete = [_complete(limits.get(name, {}), name, source) for name in names]
    low, high = zip(*[entry['position'] for entry in complete]) if complete else ((), ())
    return MotionLimits(tuple(names), low, high, *(
        [entry[kind] for entry in complete] for kind in ('velocity', 'acceleration', 'jerk')))


def assumed(limits, outputs) -> tuple:
    """
    Tell which limits of ``motion_limits`` nobody gave.

    :param limits: Limits as for ``motion_limits``, with every joint's velocity.
    :param outputs: ``ActionOutput`` entries, in order.
    :return: One sentence for each assumption.
    """
    sentences = []
    for name, output in ((name, output) for output in outputs for name in output.names):
        entry = _complete(limits[name], name, '')
        missing = [kind for kind in ('acceleration', 'jerk') if kind not in limits[name]]
        sentences += [f'limits.{name}: no {kind} given, {entry[kind]:g} assumed'
                      for kind in missing]
        if 'position' not in limits[name] and not output.is_velocity:
            sentences.append(f'limits.{name}: no position given, none is kept')
    return tuple(sentences)


def _complete(entry, name, source):
    """Return all four limits of a joint."""
    if 'velocity' not in entry:
        raise SafetyError(f'joint {name} has no velocity limit in {source}, and nothing moves '
                          f'without: add limits.{name}.velocity to the contract, or set '
                          'use_robot_description of command_safety and give a URDF that has it')
    acceleration = entry.get('acceleration', entry['velocity'] / SECONDS_TO_VELOCITY)
    return {'position': (-math.inf, math.inf), 'acceleration': acceleration,
            'jerk': acceleration / SECONDS_TO_ACCELERATION, **entry}


def limits_from_urdf(text, names) -> dict:
    """
    Read position and velocity limits from a robot description.

    :param text: URDF, as on the topic ``robot_description``; it counts in rad, m and s.
    :param names: Commanded joints.
    :return: Joint name to ``{'position': [low, high], 'velocity': ..}``, as far as the text has
        them; a continuous joint has no position.
    :raises SafetyError: for a text that is no URDF, and for a joint that is missing, is not moved
        by itself, or has limits that allow no motion.
    """
    try:
        joints = parse_urdf(text).joints
    except ConfigError as error:
        raise SafetyError(str(error)) from error
    for name in names:
        if name not in joints:
            raise SafetyError(f'robot_description has no joint {name!r}; '
                              f'{suggestion(name, list(joints))}')
    return {name: _limits_of(joints[name]) for name in names}


def _limits_of(joint):
    """Return what a URDF says of one joint."""
    where = f'robot_description: joint {joint.name!r}'
    if joint.type not in MOVABLE or joint.mimic:
        reason = f'is {joint.type}' if joint.mimic is None else f'mimics {joint.mimic.joint!r}'
        raise SafetyError(f'{where} {reason} and cannot be commanded')
    if joint.velocity == 0:
        raise SafetyError(f'{where} has the velocity limit 0; it must be above')
    known = {} if joint.velocity is None else {'velocity': joint.velocity}
    if joint.type == 'continuous':
        return known
    low, high = joint.lower or 0.0, joint.upper or 0.0  # what is left out is 0 in URDF
    if not low < high:
        raise SafetyError(f'{where} has the position limits [{low:g}, {high:g}]; lower must lie '
                          'below upper')
    return {'position': [low, high], **known}


def merged(contract_limits, urdf_limits) -> dict:
    """
    Join two sets of limits; where both know a joint's limit, the tighter one counts.

    :param contract_limits: Limits as for ``motion_limits``.
    :param urdf_limits: The same, from ``limits_from_urdf``, in the same units.
    :return: The same, for the joints of both.
    :raises SafetyError: where two position ranges have nothing in common.
    """
    both = {}
    for name in {**contract_limits, **urdf_limits}:
        ours, theirs = contract_limits.get(name, {}), urdf_limits.get(name, {})
        both[name] = {**theirs, **ours}
        for kind in set(ours) & set(theirs):
            both[name][kind] = _tighter(ours[kind], theirs[kind])
    for name, entry in both.items():
        low, high = entry.get('position', (0, 1))
        if not low < high:
            raise SafetyError(f'joint {name}: contract and URDF have no position in common '
                              f'({contract_limits[name]["position"]}, '
                              f'{urdf_limits[name]["position"]}); are both in the same unit?')
    return both


def _tighter(one, other):
    """Return what two limits of one kind both allow."""
    if isinstance(one, (list, tuple)):
        return [max(one[0], other[0]), min(one[1], other[1])]
    return min(one, other)
