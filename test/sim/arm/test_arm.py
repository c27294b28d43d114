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

"""The arm among things: what it may be told, what it shows, and that it can hold the cube."""

import math

from diffusion_policy_ros.errors import ChunkError, ConfigError
from diffusion_policy_ros.sim.arm.arm import Arm
from diffusion_policy_ros.sim.arm.controllers.fields import LARGEST
import numpy as np
import pytest

SHOULDER_M, UPPER_M, FORE_M, HAND_M = 0.18, 0.30, 0.28, 0.225


def reach(x, y, z):
    """Return the joints that bring the tool to a place, pointing down: two sides of a triangle."""
    out, up = math.hypot(x, y), z + HAND_M - SHOULDER_M
    bend = math.acos((out ** 2 + up ** 2 - UPPER_M ** 2 - FORE_M ** 2) / (2 * UPPER_M * FORE_M))
    lift = math.atan2(out, up) - math.atan2(FORE_M * math.sin(bend),
                                            UPPER_M + FORE_M * math.cos(bend))
    return {'shoulder_pan': math.atan2(y, x), 'shoulder_lift': lift, 'elbow': bend,
            'wrist_1': math.pi - lift - bend, 'wrist_2': 0.0, 'wrist_3': 0.0}


def held_at(arm):
    """Return where the middle of the cube is in the frame of the tool, m."""
    tool = arm.data.body('tool0')
    return tool.xmat.reshape(3, 3).T @ (arm.pose_of('cube')[0] - tool.xpos)


def state_of(arm):
    """Return all of the state as bytes."""
    return arm.data.qpos.tobytes() + arm.data.qvel.tobytes() + arm.data.act.tobytes()


@pytest.mark.parametrize('z', [0.07, 0.15])
def test_the_tool_goes_where_the_triangle_says(arm, z):
    arm.place('cube', (2.0, 2.0, -0.7))
    for x, y in ((0.3, 0.2), (0.45, -0.1), (0.4, 0.25)):
        arm.advance(reach(x, y, z), 2.0)
        place, quaternion = arm.pose_of('tool0')
        np.testing.assert_allclose(place, [x, y, z], atol=1e-3)
        np.testing.assert_allclose(np.abs(quaternion[2:]), 0.0, atol=2e-3)


def test_the_cube_lies_still_on_the_table(arm):
    arm.place('cube', (0.35, 0.1, 0.02), (0.0, 0.0, math.sin(0.3), math.cos(0.3)))
    arm.advance({}, 0.5)
    place, quaternion = arm.pose_of('cube')
    arm.advance({}, 5.0)
    later, turned = arm.pose_of('cube')
    np.testing.assert_allclose(later, [0.35, 0.1, 0.02], atol=1e-4)
    np.testing.assert_allclose(later, place, atol=1e-7)
    np.testing.assert_allclose(turned, quaternion, atol=1e-7)


@pytest.mark.parametrize('grip', [0.0, 0.017])
def test_the_gripper_holds_the_cube_and_the_cube_goes_along(arm, grip):
    arm.place('cube', (0.4, 0.02, 0.02))
    arm.advance(reach(0.4, 0.02, 0.12), 1.0)
    arm.advance(reach(0.4, 0.02, 0.02), 1.0)
    arm.advance({'gripper': grip}, 0.6)
    # The cube's half width, less the 0.5 mm that closed fingers are from the middle.
    assert arm.positions()[-1] == pytest.approx(0.0195, abs=5e-4)
    held = held_at(arm)
    for place in ((0.4, 0.02, 0.2), (0.38, 0.25, 0.2), (0.38, -0.25, 0.2), (0.35, 0.0, 0.25)):
        arm.advance(reach(*place), 1.0)
        assert arm.pose_of('cube')[0] == pytest.approx(place, abs=0.01)
    np.testing.assert_allclose(held_at(arm), held, atol=5e-3)
    before = held_at(arm)
    arm.advance({}, 10.0)
    np.testing.assert_allclose(held_at(arm), before, atol=1e-3)
    arm.advance(reach(0.4, 0.25, 0.2), 1.0)
    arm.advance({'gripper': 0.04}, 1.0)
    place, _ = arm.pose_of('cube')
    floor_m, half_m, inside_m = 0.004, 0.02, 0.046
    assert place[2] == pytest.approx(floor_m + half_m, abs=1e-3)
    assert np.abs(place[:2] - [0.4, 0.25]).max() < inside_m


def test_equal_commands_give_bit_equal_states(arm, arm_urdf, worlds):
    def run(one):
        one.reset()
        one.place('cube', (0.41, 0.01, 0.02))
        states = []
        for k in range(60):
            one.advance({**reach(0.4, 0.0, 0.02), 'gripper': 0.04 - 0.0005 * k}, 0.02)
            states.append(state_of(one))
        return states
    other = Arm(arm_urdf, worlds / 'arm_pick_place.sdf')
    first = run(arm)
    arm.picture('wrist_camera')
    assert run(arm) == first
    assert run(other) == first
    assert len(set(first)) == len(first)
    other.close()


def test_a_reset_forgets_everything(arm):
    start, time_s = state_of(arm), arm.data.time
    arm.advance(reach(0.4, 0.2, 0.1), 0.5)
    arm.place('cube', (0.3, 0.0, 0.3))
    arm.reset()
    assert (state_of(arm), arm.data.time) == (start, time_s) == (start, 0.0)
    arm.advance({}, 0.1)
    np.testing.assert_allclose(arm.positions(), [joint.initial for joint in arm.model.joints],
                               atol=1e-6)


def test_a_joint_that_is_not_named_keeps_its_target(arm):
    arm.advance({'wrist_3': 0.5}, 0.02)
    arm.advance({'elbow': 1.5}, 2.0)
    shown = dict(zip(arm.joint_names, arm.positions()))
    assert shown['wrist_3'] == pytest.approx(0.5, abs=1e-3)
    assert shown['elbow'] == pytest.approx(1.5, abs=1e-3)


def test_a_target_beyond_the_limits_is_cut_to_them(arm):
    arm.advance({'wrist_2': 9.0, 'gripper': -1.0}, 2.0)
    shown = dict(zip(arm.joint_names, arm.positions()))
    assert shown['wrist_2'] == pytest.approx(1.5, abs=1e-3)
    assert shown['gripper'] == pytest.approx(0.0, abs=1e-4)


def test_a_step_of_two_halves_is_a_whole_one(arm):
    arm.advance({'elbow': 1.0}, 0.2)
    whole = state_of(arm)
    arm.reset()
    arm.advance({'elbow': 1.0}, 0.1)
    arm.advance({}, 0.1)
    np.testing.assert_allclose(np.frombuffer(state_of(arm)), np.frombuffer(whole), atol=1e-9)
    assert arm.data.time == pytest.approx(0.2)


@pytest.mark.parametrize('targets, words', [
    ({'knee': 0.1}, "'knee' is no joint that can be commanded; those are: shoulder_pan"),
    ({'gripper_right': 0.1}, "'gripper_right' is no joint"),
    ({'elbow': math.nan}, "target of joint 'elbow' is nan"),
    ({'elbow': math.inf}, 'must be a finite number')])
def test_a_target_that_nothing_can_follow_is_refused(arm, targets, words):
    with pytest.raises(ChunkError, match=words):
        arm.advance({'wrist_1': 0.0, **targets}, 0.01)
    arm.advance({}, 0.2)
    np.testing.assert_allclose(arm.positions(), [joint.initial for joint in arm.model.joints],
                               atol=1e-6)


@pytest.mark.parametrize('duration_s', [0.0, -0.01, 0.003, 0.0001])
def test_a_time_that_is_no_number_of_steps_is_refused(arm, duration_s):
    with pytest.raises(ConfigError, match='positive multiple of 0.002 s'):
        arm.advance({}, duration_s)


def test_what_is_placed_is_there(arm):
    arm.place('cube', (0.3, -0.1, 0.5), (0.0, 0.0, -2.0, -2.0))
    place, quaternion = arm.pose_of('cube')
    np.testing.assert_allclose(place, [0.3, -0.1, 0.5])
    np.testing.assert_allclose(quaternion, [0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)])


def test_what_is_not_there_is_refused(arm):
    with pytest.raises(ConfigError, match="'bin_left' is no model that can be moved.*: cube"):
        arm.place('bin_left', (0.0, 0.0, 1.0))
    with pytest.raises(ConfigError, match="'foot' is neither a link .* nor a model"):
        arm.pose_of('foot')
    with pytest.raises(ConfigError, match='are not within'):
        arm.put(np.full(len(arm.joint_names), 99.0))
    with pytest.raises(ConfigError, match='are not within'):
        arm.put([0.0])
    np.testing.assert_allclose(arm.pose_of('bin_left')[0], [0.4, 0.25, 0.0])


def test_pressing_on_the_table_is_withstood(arm):
    arm.place('cube', (2.0, 2.0, -0.7))
    arm.advance(reach(0.4, 0.0, 0.05), 1.5)
    pressing = reach(0.4, 0.0, 0.02)
    pressing['shoulder_lift'] += 0.4
    arm.advance(pressing, 2.0)
    assert arm.pose_of('tool0')[0][2] > 0.005
    assert np.abs(arm.data.qvel).max() < 0.05


def test_every_command_that_the_controllers_take_is_one_that_the_arm_takes(arm):
    for value in (LARGEST, -LARGEST):
        arm.advance(dict.fromkeys(arm.joint_names, value), 0.01)


def test_a_joint_that_comes_free_is_hardly_faster_than_it_may_be(arm):
    arm.place('cube', (0.4, 0.0, 0.02))
    arm.advance(reach(0.4, 0.0, 0.02), 2.0)
    arm.advance({'gripper': 0.0}, 1.0)  # its target runs ahead of the fingers
    assert arm.positions()[-1] > 0.015
    arm.place('cube', (2.0, 2.0, -0.7))
    fastest = 0.0
    for _ in range(100):
        arm.advance({}, 0.002)
        fastest = max(fastest, abs(arm.velocities()[-1]) / arm.model.max_velocities[-1])
    assert arm.positions()[-1] == pytest.approx(0.0, abs=1e-4)
    assert 0.9 < fastest < 1.2


def test_a_warning_of_mujoco_is_told_and_leaves_no_file(arm, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arm.data.qvel[0] = math.inf
    arm.advance({}, 0.01)
    assert 'MuJoCo warns: Nan, Inf or huge value in QVEL' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
