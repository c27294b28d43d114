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

"""The held cube rests midway between the bins, and the expert's ways from there are told apart."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('matplotlib')
try:
    from diffusion_policy_ros.evaluation.arm_modes import HeldCube
except (ConfigError, ImportError) as error:  # the first names the packages that EGL needs
    pytest.skip(str(error), allow_module_level=True)
from diffusion_policy_ros.policy.policy import Policy  # noqa: E402,I100
from diffusion_policy_ros.sim.arm.expert import ArmExpert  # noqa: E402
from diffusion_policy_ros.sim.arm.tasks import pick_place  # noqa: E402


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Return the folder of an untrained policy for the arm."""
    return save_tiny_policy(contract=share_path('config', 'robots', 'arm_pick_place.yaml'))


@pytest.fixture(scope='module')
def held(model):
    """Return the held cube as that policy sees it."""
    return HeldCube(Policy.load(model))


def carried(contract, seed):
    """Return the rows of a demonstration from the lift on, and the bin in which it ends."""
    environment, expert, rows = pick_place(contract), ArmExpert(), []
    environment.reset(seed)
    expert.reset(seed, environment)
    while (action := expert.act(environment)) is not None:
        if environment.score() > 0:
            rows.append(action)
        environment.step(action)
    return np.array(rows), environment.task.bin_of_cube(environment.robot)


def test_the_cube_is_in_the_hand_at_rest_above_the_middle(held):
    state = held.window['observation.state'][0]
    np.testing.assert_allclose(state[0], state[1], atol=1e-4)
    assert abs(state[1][0]) < 1e-3  # the arm looks straight ahead
    assert 0.015 < state[1][-1] < 0.021  # the gripper is held open by half the cube's width
    np.testing.assert_allclose(held._start, (0.36, 0.0, 0.19), atol=2e-3)


def test_demonstrations_are_told_apart_by_where_they_go_from_there(held, model):
    contract = Policy.load(model).contract
    found = {carried(contract, seed)[1]: carried(contract, seed)[0][:24] for seed in range(6)}
    assert len(found) == 2
    for name, rows in found.items():
        assert held.passes_left(rows[None]).tolist() == [name == 'bin_left']


def test_ways_begin_at_the_cube_and_the_picture_is_drawn(held, tmp_path):
    still = np.tile(held.window['observation.state'][0, -1], (3, 15, 1))
    ways = held.ways(still)
    assert ways.shape == (3, 16, 2)
    assert np.abs(ways - ways[:, :1]).max() < 1e-3
    held.draw(tmp_path / 'ways.png', still, np.array([True, False, True]), 'a title')
    assert (tmp_path / 'ways.png').stat().st_size > 5000


def test_a_policy_for_another_robot_is_refused(save_tiny_policy):
    with pytest.raises(ConfigError, match='not for the arm that picks and places'):
        HeldCube(Policy.load(save_tiny_policy()))
