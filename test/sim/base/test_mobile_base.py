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

"""The base in its room: mirror images, touches, scores, and equal seeds."""

from dataclasses import replace
import math

from diffusion_policy_ros.errors import ChunkError, ConfigError
from diffusion_policy_ros.sim.base.drive import Motion
from diffusion_policy_ros.sim.base.mobile_base import (
    GOAL_RADIUS_M, MobileBase, RADIUS_M, RANGE_MAX_M, RANGE_MIN_M)
from diffusion_policy_ros.sim.base.scene import draw_scene, MIRROR_SCENE
import numpy as np
import pytest


@pytest.fixture
def base():
    """Return a base at the mirrored start."""
    found = MobileBase()
    found.reset(scene=MIRROR_SCENE)
    return found


def test_the_middle_of_what_is_drawn_is_its_own_mirror_image(base):
    assert MIRROR_SCENE.mirrored() == MIRROR_SCENE
    scan = np.minimum(base.scan(), RANGE_MAX_M)  # two beams end just there
    np.testing.assert_allclose(scan[1:], scan[:0:-1], rtol=1e-6)
    assert scan[0] == pytest.approx(3.0 - 0.3 - 0.8)


def test_scans_in_a_mirrored_scene_are_mirrored():
    for seed in range(20):
        one, other = MobileBase(), MobileBase()
        scene = draw_scene(seed)
        one.reset(scene=scene)
        other.reset(scene=scene.mirrored())
        np.testing.assert_allclose(one.scan()[1:], other.scan()[:0:-1], rtol=1e-5)


def test_mirrored_drives_have_mirrored_ends_touches_included():
    random, touches = np.random.default_rng(0), 0
    for seed in range(10):
        twists, scene = random.uniform((0.2, -1.0), (1.0, 1.0), (80, 2)), draw_scene(seed)
        ends = []
        for place, side in ((scene, 1), (scene.mirrored(), -1)):
            base = MobileBase()
            base.reset(scene=place)
            for linear, angular in twists:
                base.advance(linear, side * angular, 0.1)
            ends.append(base)
        one, other = ends
        assert one.has_touched == other.has_touched
        assert one.score() == pytest.approx(other.score())
        assert (one.motion.x, one.motion.y) == pytest.approx(
            (other.motion.x, -other.motion.y), abs=1e-6)
        touches += one.has_touched
    assert 0 < touches


def test_equal_seeds_give_equal_episodes_and_others_do_not():
    assert draw_scene(5) == draw_scene(5) != draw_scene(6)
    ends = []
    for _ in range(2):
        base = MobileBase()
        base.reset(5)
        for step in range(30):
            base.advance(0.5, math.sin(step), 0.1)
        ends.append((base.motion, base.scan().tolist()))
    assert ends[0] == ends[1]


def test_no_start_touches_anything_and_no_goal_does():
    for seed in range(200):
        base = MobileBase()
        base.reset(seed)
        assert base.clearance() > 0.2 and base.score() == 0.0 and not base.success
        base.motion = Motion(*base.scene.goal, 0.0)
        assert base.clearance() > 0.2


def test_the_base_stops_at_the_block_and_never_gets_into_it(base):
    for _ in range(60):
        base.advance(0.6, 0.0, 0.1)
        assert base.clearance() >= 0
    assert base.has_touched and base.clearance() < 0.011
    assert base.motion.x == pytest.approx(2.7 - RADIUS_M, abs=0.011)


def test_after_a_touch_no_way_leads_to_success(base):
    base.advance(0.6, 0.0, 4.0)
    score = base.score()
    assert base.has_touched and 0 < score < 0.5
    base.advance(-0.5, 0.0, 0.5)
    assert base.motion.x < 2.4  # it is free to go
    base.motion = Motion(*base.scene.goal, 0.0)
    base.advance(0.0, 0.0, 0.1)
    assert base.goal_distance() == 0 and not base.success and base.score() == score


def test_the_goal_is_reached_at_its_rim(base):
    x, y = base.scene.goal
    base.motion = Motion(x - GOAL_RADIUS_M - 0.02, y, 0.0, 0.3, 0.3)
    assert not base.success
    base.advance(0.3, 0.0, 0.05)
    assert not base.success and 0.99 < base.score() < 1
    base.advance(0.3, 0.0, 0.05)
    assert base.success and base.score() == 1.0
    base.advance(-0.3, 0.0, 2.0)
    assert base.success  # once is enough


def test_what_is_too_far_for_the_lidar_is_infinitely_far(base):
    base.motion = replace(base.motion, x=0.3)
    scan = base.scan(72)
    free = np.isinf(scan)
    assert free.any() and (scan[~free] <= RANGE_MAX_M).all() and (scan >= RANGE_MIN_M).all()


@pytest.mark.parametrize('twist', [(math.nan, 0.0), (0.0, math.inf)])
def test_a_twist_that_is_no_number_is_refused(base, twist):
    with pytest.raises(ChunkError, match='both must be finite numbers'):
        base.advance(*twist, 0.1)


@pytest.mark.parametrize('duration_s', [0.0, -0.1, 0.005, 0.104])
def test_a_duration_that_is_no_number_of_steps_is_refused(base, duration_s):
    with pytest.raises(ConfigError, match='must be a positive multiple of 0.01 s'):
        base.advance(0.0, 0.0, duration_s)
