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

"""Paths of the tool: smooth, at rest at waypoints, and straight but for their wandering."""

import math

from diffusion_policy_ros.sim.arm.tool_path import downward, rows_through, Waypoint
import numpy as np
import pytest

PERIOD_S = 0.01


def path(*waypoints, start=((0.1, 0.2, 0.3), 0.0)):
    """Return positions, yaws and openings of a path, float64."""
    rows = rows_through(start, waypoints, PERIOD_S)
    return [np.array(column) for column in zip(*rows)]


def test_each_waypoint_is_reached_when_its_time_is_over():
    first = Waypoint((0.3, 0.2, 0.1), 0.4, 0.04, 1.5)
    second = Waypoint((0.0, 0.0, 0.2), -0.2, 0, 1)
    positions, yaws, openings = path(first, second)
    assert len(positions) == 250
    np.testing.assert_allclose(positions[149], first.position, atol=1e-12)
    np.testing.assert_allclose(positions[-1], second.position, atol=1e-12)
    np.testing.assert_allclose(yaws[[149, -1]], [0.4, -0.2], atol=1e-12)
    assert set(openings[:150]) == {0.04} and set(openings[150:]) == {0}


def test_between_waypoints_it_moves_by_the_minimum_jerk_profile():
    positions, _, _ = path(Waypoint((1.1, 0.2, 0.3), 0.0, 0.0, 2.0))
    moved = np.concatenate([[0.0], positions[:, 0] - 0.1])
    # Closed form: the largest speed is 15 / 8 of the mean one, in the middle; both ends at rest.
    speed = np.diff(moved) / PERIOD_S
    assert speed.max() == pytest.approx(15 / 8 / 2.0, rel=1e-3)
    assert abs(int(speed.argmax()) - 100) <= 1
    assert speed[[0, -1]].max() < 1e-2
    np.testing.assert_allclose(moved[100], 0.5, atol=1e-12)


def test_it_wanders_off_the_line_by_so_much_in_the_middle_and_not_at_all_at_the_ends():
    straight, _, _ = path(Waypoint((0.5, 0.2, 0.3), 0.0, 0.0, 1.0))
    aside, _, _ = path(Waypoint((0.5, 0.2, 0.3), 0.0, 0.0, 1.0, (0.0, 0.02, -0.01)))
    off = aside - straight
    np.testing.assert_allclose(off[49], (0.0, 0.02, -0.01), atol=1e-12)
    np.testing.assert_allclose(off[-1], 0.0, atol=1e-12)
    assert np.abs(off).max() <= 0.02 + 1e-12


@pytest.mark.parametrize(('begin', 'end'), [(3.0, -3.0), (-3.0, 3.0), (0.5, 0.5 + 2 * math.pi)])
def test_it_turns_the_shorter_way(begin, end):
    _, yaws, _ = path(Waypoint((0, 0, 0), end, 0.0, 1.0), start=((0, 0, 0), begin))
    assert np.abs(yaws - begin).max() < 0.3
    assert math.remainder(yaws[-1] - end, 2 * math.pi) == pytest.approx(0.0, abs=1e-12)


def test_a_downward_tool_looks_down_and_turns_about_the_vertical():
    for yaw in (-2.0, 0.0, 0.7, 3.0):
        rotation = downward(yaw)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        np.testing.assert_allclose(rotation[:, 2], (0, 0, -1), atol=1e-12)
        assert math.atan2(rotation[1, 0], rotation[0, 0]) == pytest.approx(yaw)
