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

"""The quickest way of one joint to a target, computed by Ruckig (arXiv:2105.04830)."""

import math
from typing import NamedTuple

from ruckig import ControlInterface, InputParameter, Result, Ruckig, RuckigError, Trajectory


class Goal(NamedTuple):
    """
    Where a joint should come to rest, and how fast it may go there, floats.

    :ivar position: Units.
    :ivar max_velocity: Largest speed on the way, units/s. A joint that is faster brakes to it.
    """

    position: float
    max_velocity: float


def to_position(state, goal, limits) -> list:
    """
    Plan the quickest way to a position. Its limits are not known here: Ruckig ignores them.

    :param state: Present position, velocity and acceleration, floats.
    :param goal: ``Goal``.
    :param limits: ``JointLimits``.
    :return: Phases ``(jerk, duration_s)`` from ``state`` on, without end; empty if there is no
        way.
    """
    problem = _problem(state, limits, ControlInterface.Position)
    problem.max_velocity = [goal.max_velocity]
    # Seen from where the joint is: far from 0 it would lose digits.
    problem.target_position = [goal.position - state[0]]
    return _solved(problem)


def to_velocity(state, velocity, limits) -> list:
    """
    Plan the quickest way to a velocity, wherever it is reached.

    :param state: Present position, velocity and acceleration, floats.
    :param velocity: Target, units/s.
    :param limits: ``JointLimits``.
    :return: Phases ``(jerk, duration_s)`` from ``state`` on, without end; empty if there is no
        way.
    """
    problem = _problem(state, limits, ControlInterface.Velocity)
    problem.max_velocity = [limits.velocity]
    problem.target_velocity = [velocity]
    return _solved(problem)


def _problem(state, limits, interface):
    """Describe where a joint is and what it can do."""
    problem = InputParameter(1)
    problem.control_interface = interface
    problem.current_velocity, problem.current_acceleration = [state[1]], [state[2]]
    problem.max_acceleration, problem.max_jerk = [limits.acceleration], [limits.jerk]
    return problem


def _solved(problem):
    """Let Ruckig calculate, and list the phases of its result."""
    trajectory = Trajectory(1)
    try:
        result = Ruckig(1).calculate(problem, trajectory)
    # No way was found. A ValueError is a result that Python has no name for: it takes hours.
    except (RuckigError, ValueError):
        return []
    if result not in (Result.Working, Result.Finished):
        return []
    profile = trajectory.profiles[0][0]
    return [*zip(profile.brake.j, profile.brake.t), *zip(profile.j, profile.t), (0.0, math.inf)]
