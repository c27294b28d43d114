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
"""What is drawn of an episode is where the robot was, and where the plan leads."""

import math

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.live_views import draw_plan, view_of
import numpy as np
import pytest

HOME = (0.03, 0.27, 1.32, 1.55, -0.05, 0.2)


def test_the_plan_is_drawn_from_the_row_that_is_due(record):
    pusht = pytest.importorskip('diffusion_policy_ros.sim.pusht')
    shown, sim = record(), pusht.PushT()
    picture, = view_of('pusht').pictures(shown, 4)
    finger_x, finger_y, block_x, block_y, _, cos, sin = shown.states[4, :7]
    sim.reset(state=(finger_x, finger_y, block_x, block_y, math.atan2(sin, cos)))
    bare = sim.picture(512)
    changed = np.argwhere((picture != bare).any(axis=2))[:, ::-1] * 1e-3  # x, y in m
    rows = shown.plans[0]
    assert changed.min() >= rows[4].min() - 0.008  # four rows are over
    assert changed.max() <= rows[-1].max() + 0.008
    for row in rows[4:]:
        assert np.abs(changed - row).max(axis=1).min() < 0.003
    alone, = view_of('pusht').pictures(record(plan_ns=np.empty(0, np.int64)), 4)
    np.testing.assert_array_equal(alone, bare)


@pytest.fixture(scope='module')
def arm():
    """Return the simulated arm at a pose, and what its cameras take there."""
    try:
        from diffusion_policy_ros.sim.arm.robot import SimulatedRobot
        robot = SimulatedRobot('arm_pick_place.sdf')
        robot.arm.put([*HOME, 0.02])
        pictures = [robot.arm.picture(name) for name in ('wrist_camera', 'scene_camera')]
    except (ConfigError, ImportError) as error:  # the first names the packages that EGL needs
        pytest.skip(str(error))
    yield robot.arm, pictures
    robot.arm.close()


def pixel_of(arm, camera, point):
    """Return where MuJoCo's own camera sees a point of the world, x and y in px."""
    there = arm.data.camera(camera)
    right, up, back = there.xmat.reshape(3, 3).T @ (point - there.xpos)
    f = 60 / math.tan(math.radians(arm.model.mj.camera(camera).fovy[0]) / 2)
    return np.array([80 + f * right / -back, 60 - f * up / -back])


def test_a_plan_of_joints_is_drawn_where_it_leads_the_tool(record, arm):
    arm, pictures = arm
    tick = record().frame_ns[:1]
    shown = {
        'sim': 'arm_pick_place', 'frame_ns': tick, 'pictures': np.array([pictures]),
        'states': np.array([[*HOME, 0.02]]), 'plan_ns': tick, 'plan_due_ns': tick[None],
        'plans': np.array([[[*HOME, 0.02]]])}
    view = view_of('arm_pick_place')
    drawn = view.pictures(record(**shown), 0)
    bare = view.pictures(record(**{**shown, 'plan_ns': np.empty(0, np.int64)}), 0)
    assert view.size == (360, 960) and [picture.shape for picture in drawn] == [(360, 480, 3)] * 2
    tool = arm.pose_of('tool0')[0]
    for camera, with_plan, without in zip(('scene_camera', 'wrist_camera'), drawn, bare):
        changed = np.argwhere((with_plan != without).any(axis=2))[:, ::-1]
        assert changed.mean(axis=0) == pytest.approx(3 * pixel_of(arm, camera, tool), abs=1.5)


def test_a_plan_that_leads_out_of_the_picture_is_no_error():
    blank = np.zeros((20, 20, 3), np.uint8)
    assert draw_plan(blank.copy(), np.array([[1e300, -1e300], [5.0, 5.0]])).any()
    assert not draw_plan(blank, np.empty((0, 2))).any()
