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

"""The scripted driver comes to the goal, on either side, each in its own way."""

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.sim.base.environment import BaseEnvironment
from diffusion_policy_ros.sim.base.expert import BaseExpert, LEFT, RIGHT, way_around
from diffusion_policy_ros.sim.base.mobile_base import GOAL_RADIUS_M
from diffusion_policy_ros.sim.base.scene import draw_scene, MIRROR_SCENE
import numpy as np
import pytest

CONTRACT = load_contract(share_path('config', 'robots', 'base.yaml'))
EPISODES, MOST_ROWS = 200, 200


def drive(seed, scene=None):
    """Return the expert's side, the way driven, the twists told, and whether it came there."""
    environment, expert = BaseEnvironment(CONTRACT), BaseExpert()
    environment.reset(seed, scene)
    expert.reset(seed, environment)
    way, told = [], []
    for _ in range(MOST_ROWS):
        action = expert.act(environment)
        if action is None:
            break
        environment.step(action)
        told.append(action)
        way.append((environment.base.motion.x, environment.base.motion.y))
    return expert.side, np.array(way), np.array(told), environment.success


@pytest.fixture(scope='module')
def drives():
    """Return many drives."""
    return [drive(seed) for seed in range(EPISODES)]


def test_the_expert_comes_to_the_goal_and_then_rests(drives):
    assert sum(success for *_, success in drives) >= 0.99 * EPISODES
    for seed, (_, way, told, success) in enumerate(drives):
        if success:
            assert not told[-3:].any()
            # Well inside, so that who learns to stop there does not stop outside.
            assert np.linalg.norm(way[-1] - draw_scene(seed).goal) < 0.6 * GOAL_RADIUS_M


def test_both_sides_are_passed_equally_often(drives):
    left = sum(side == LEFT for side, *_ in drives)
    # Beyond 3.3 standard deviations of a fair coin once in a thousand trials.
    assert abs(left - EPISODES / 2) < 3.3 * (EPISODES / 4)**0.5
    for seed, (side, way, *_) in enumerate(drives):
        x, y, _ = draw_scene(seed).block
        beside = way[np.argmin(np.abs(way[:, 0] - x))]
        assert np.sign(beside[1] - y) == side


def test_the_side_has_nothing_to_do_with_where_things_are(drives):
    sides = np.array([side for side, *_ in drives])
    starts = np.array([[*draw_scene(seed).start[1:], *draw_scene(seed).goal[1:],
                        *draw_scene(seed).block[1:]] for seed in range(EPISODES)])
    for column in starts.T:
        assert abs(np.corrcoef(sides, column)[0, 1]) < 3.3 / EPISODES**0.5


def test_commands_stay_within_the_limits_of_the_contract(drives):
    for _, _, told, _ in drives:
        for name, column in zip(CONTRACT.action_names, np.abs(told).T):
            assert column.max() <= CONTRACT.limits[name]['velocity']


def test_the_same_seed_drives_alike_and_others_do_not(drives):
    np.testing.assert_array_equal(drive(7)[2], drives[7][2])
    same_side = [told for side, _, told, _ in (drive(seed, MIRROR_SCENE) for seed in range(8))
                 if side == LEFT]
    assert len(same_side) > 1
    assert not np.allclose(same_side[0][:30], same_side[1][:30], atol=0.01)


def test_mirrored_ways_are_mirrored():
    scene = draw_scene(4)
    left = way_around(scene, LEFT, 0.4, 0.5)
    right = way_around(scene.mirrored(), RIGHT, 0.4, 0.5)
    np.testing.assert_allclose(left, right * (1, -1), atol=1e-12)
    np.testing.assert_allclose(left[[0, -1]], [scene.start[:2], scene.goal])
