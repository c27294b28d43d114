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

"""A differential drive: two wheels with lag and limits, and the arc that they roll."""

from dataclasses import dataclass
import math

TRACK_M = 0.36
MAX_WHEEL_SPEED = 1.0  # m/s
MAX_WHEEL_ACCELERATION = 2.0  # m/s^2
LAG_S = 0.1


@dataclass(frozen=True)
class Motion:
    """
    Where a base is and how its wheels turn.

    :ivar x: Position, m.
    :ivar y: Position, m.
    :ivar yaw: Heading, rad, counted from x towards y; never wrapped.
    :ivar left: Speed of the left wheel over the ground, m/s.
    :ivar right: Speed of the right wheel over the ground, m/s.
    """

    x: float
    y: float
    yaw: float
    left: float = 0.0
    right: float = 0.0

    @property
    def linear(self) -> float:
        """Return the speed along the heading, m/s."""
        return (self.left + self.right) / 2

    @property
    def angular(self) -> float:
        """Return the turning speed, rad/s."""
        return (self.right - self.left) / TRACK_M


def wheel_targets(linear, angular) -> tuple:
    """
    Return the speeds that wheels are told, each no faster than a wheel turns.

    :param linear: Wanted speed along the heading, m/s.
    :param angular: Wanted turning speed, rad/s.
    :return: Left and right, m/s.
    """
    turn = angular * TRACK_M / 2
    return tuple(min(max(speed, -MAX_WHEEL_SPEED), MAX_WHEEL_SPEED)
                 for speed in (linear - turn, linear + turn))


def follow(motion, targets, duration_s) -> Motion:
    """
    Move on for one short step.

    A wheel comes nearer to its target by a first-order lag, ``v' = (target - v) / LAG_S``, no
    faster than its greatest acceleration; then both roll at their new speeds.

    :param motion: Where the base is.
    :param targets: From ``wheel_targets``.
    :param duration_s: Length of the step, s.
    :return: ``Motion`` afterwards.
    """
    share, most = -math.expm1(-duration_s / LAG_S), MAX_WHEEL_ACCELERATION * duration_s
    left, right = (speed + min(max(share * (target - speed), -most), most)
                   for speed, target in zip((motion.left, motion.right), targets))
    return roll(Motion(motion.x, motion.y, motion.yaw, left, right), duration_s)


def roll(motion, duration_s) -> Motion:
    """
    Roll the exact arc of wheels that keep their speeds.

    :param motion: Where the base is.
    :param duration_s: For how long, s.
    :return: ``Motion`` afterwards.
    """
    half = motion.angular * duration_s / 2
    # The chord of an arc: its length is that of the arc times sin(half) / half.
    chord = motion.linear * duration_s * (math.sin(half) / half if half else 1.0)
    middle = motion.yaw + half
    return Motion(motion.x + chord * math.cos(middle), motion.y + chord * math.sin(middle),
                  motion.yaw + 2 * half, motion.left, motion.right)
