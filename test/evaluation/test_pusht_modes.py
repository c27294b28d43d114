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

"""The table with two answers is its own mirror image, in picture, goal and physics."""

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest

pytest.importorskip('gym_pusht')
pusht_modes = pytest.importorskip('diffusion_policy_ros.evaluation.pusht_modes')
PushT = pusht_modes.PushT


def mirrored(points):
    """Mirror points in the line through the goal's stem: x + y is 0.512 on it."""
    return 0.512 - np.asarray(points)[..., ::-1]


@pytest.fixture
def table():
    """Return the table with two answers."""
    sim = PushT()
    sim.reset(state=pusht_modes.two_sided_state())
    return sim


def test_finger_block_and_goal_are_on_the_line():
    state = pusht_modes.two_sided_state()
    for point in (state[:2], state[2:4], pusht_modes.GOAL_M):
        assert mirrored(point) == pytest.approx(point)
        assert pusht_modes.offset_m(point) == pytest.approx(0)
    aside = np.array([0.1, 0.2])
    assert pusht_modes.offset_m(mirrored(aside)) == pytest.approx(-pusht_modes.offset_m(aside))


def test_the_picture_is_its_own_mirror_image(table):
    picture = table.picture(512).astype(int)
    image = picture[::-1, ::-1].transpose(1, 0, 2)
    different = np.abs(picture - image).max(axis=2) > 30
    # Edges are drawn with whole pixels, and not the same on both sides.
    assert different.mean() < 0.012
    aslant = PushT()
    aslant.reset(state=pusht_modes.two_sided_state() + (0, 0, 0, 0, 0.2))
    other = aslant.picture(512).astype(int)
    assert (np.abs(other - other[::-1, ::-1].transpose(1, 0, 2)).max(axis=2) > 30).mean() > 0.03


def test_the_block_neither_touches_the_finger_nor_is_where_it_should_be(table):
    assert 0.05 < table.coverage() < 0.6
    before = table.state()
    table.advance(before[:2], 1.0)
    assert table.state() == pytest.approx(before)


def test_mirrored_ways_push_the_block_to_mirrored_places():
    random, ends = np.random.default_rng(0), []
    way = np.cumsum(random.normal(0, 0.02, (20, 2)), axis=0) + (0.25, 0.2)
    for targets in (way, mirrored(way)):
        sim = PushT()
        sim.reset(state=pusht_modes.two_sided_state())
        for target in targets:
            sim.advance(target, 0.1)
        ends.append(sim)
    first, second = (sim.state() for sim in ends)
    assert np.linalg.norm(first[2:4] - pusht_modes.two_sided_state()[2:4]) > 0.01
    # Contacts are solved one after another, so that physics is only nearly symmetric.
    assert mirrored(first[:2]) == pytest.approx(second[:2], abs=2e-3)
    assert mirrored(first[2:4]) == pytest.approx(second[2:4], abs=5e-3)
    assert ends[0].coverage() == pytest.approx(ends[1].coverage(), abs=0.05)


def test_left_is_the_left_of_who_looks_from_the_finger_to_the_block():
    finger, block = np.split(pusht_modes.two_sided_state()[:4], 2)
    ahead = block - finger
    left = np.array((ahead[1], -ahead[0]))  # y points down
    rows = np.linspace(0, 1, 9)[:, None]
    chunks = finger + rows * ahead + rows * np.stack([left, -left, 0.3 * left])[:, None]
    assert pusht_modes.passes_left(chunks).tolist() == [True, False, True]
    assert pusht_modes.passes_left(mirrored(chunks)).tolist() == [False, True, False]
    # What counts is where a chunk is farthest from the line.
    back = chunks[0].copy()
    back[-1] = finger - 0.1 * left
    assert pusht_modes.passes_left(back[None]).tolist() == [True]


def test_a_policy_sees_the_table_at_rest(save_tiny_policy):
    window, sim = pusht_modes.two_sided_window(Policy.load(save_tiny_policy()))
    assert window['observation.images.camera'].shape == (1, 2, 96, 96, 3)
    assert np.array_equal(window['observation.images.camera'][0, 0], sim.picture())
    assert window['observation.state'][0] == pytest.approx(
        np.tile(pusht_modes.two_sided_state()[:2], (2, 1)), abs=1e-6)


def test_a_policy_for_another_robot_is_refused_with_the_remedy():
    class Other:
        contract = None

    with pytest.raises(ConfigError, match='no robot contract; name an observation of its own'):
        pusht_modes.two_sided_window(Other)
    Other.contract = load_contract(share_path('config', 'robots', 'pusht.yaml'))
    Other.contract = type('Contract', (), {'keys': ('observation.arm',), 'robot': 'arm',
                                           'shape_of': lambda self, key: (6,)})()
    with pytest.raises(ConfigError, match='not for Push-T: .*observation.arm.*--dataset'):
        pusht_modes.two_sided_window(Other)
