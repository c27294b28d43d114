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

"""Rows of a simulated robot go into a bag, and come out of it as they were."""

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Row
from diffusion_policy_ros.data.recorded import recorded_topics
from diffusion_policy_ros.data.recording.row_bag import RowBag
from diffusion_policy_ros.errors import BagError, DatasetError
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest

ROWS = 7


def random_rows(contract):
    """Return observations and actions of a robot, as a simulation shows them."""
    random, rows = np.random.default_rng(0), []
    for _ in range(ROWS):
        observation = {}
        for key in contract.keys:
            shape = contract.shape_of(key)
            observation[key] = random.integers(0, 255, shape).astype(np.uint8) \
                if contract.streams_of(key)[0].is_image else random.random(shape, np.float32)
        rows.append((observation, random.random(len(contract.action_names), np.float32)))
    return rows


@pytest.mark.parametrize('robot', ['arm6', 'pusht'])
def test_every_row_comes_back_as_it_was(robot, tmp_path):
    contract = load_contract(share_path('config', 'robots', f'{robot}.yaml'))
    rows = random_rows(contract)
    if robot == 'pusht':  # of the block's pose, what is no rotation cannot be written
        for observation, _ in rows:
            observation['observation.environment_state'][3:] = (0, 1, 0, -1, 0, 0)
    with RowBag(tmp_path / 'bag', contract, task='Show.', fields={'source': 'a test'}) as bag:
        for row in rows:
            bag.write(*row)
        bag.close(is_success=True)
    with open_bag(tmp_path / 'bag') as opened:
        assert opened.custom_data['source'] == 'a test'
        found = list(episode_rows(opened.messages(recorded_topics(contract)), contract))
    assert len(found) == ROWS == bag.rows and all(isinstance(row, Row) for row in found)
    for (observation, action), row in zip(rows, found):
        assert set(row.values) == {*observation, 'action'}
        np.testing.assert_array_equal(row.values['action'], action)
        for key, values in observation.items():
            # Only a rotation is computed on its way, through a quaternion.
            exact = 0 if key != 'observation.environment_state' else 1e-6
            np.testing.assert_allclose(row.values[key], values, rtol=0, atol=exact)
        assert not any(row.ages_ns.values())


def test_a_demonstration_that_breaks_leaves_no_bag(tmp_path):
    contract = load_contract(share_path('config', 'robots', 'pusht.yaml'))
    (observation, action), *_ = random_rows(contract)
    observation['observation.environment_state'][:] = 0  # no rotation
    with pytest.raises(DatasetError, match='topic block_pose: no .* shows these values'):
        with RowBag(tmp_path / 'bag', contract, task='', fields={}) as bag:
            bag.write(observation, action)
    assert not list(tmp_path.iterdir())


def test_a_bag_that_exists_is_never_overwritten(tmp_path):
    contract = load_contract(share_path('config', 'robots', 'base.yaml'))
    (tmp_path / 'bag').mkdir()
    with pytest.raises(BagError, match='never overwritten'):
        RowBag(tmp_path / 'bag', contract, task='', fields={})
