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
"""The table of live simulations says what their nodes, tasks and contracts say."""

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.live_simulations import DEMOS, LIVE
from diffusion_policy_ros.share import share_path
import pytest


def test_goals_and_texts_are_those_of_the_simulations():
    pusht = pytest.importorskip('diffusion_policy_ros.sim.pusht')
    assert LIVE['pusht'].goal == pusht.SUCCESS_COVERAGE
    try:
        from diffusion_policy_ros.sim.arm.tasks import TASKS
    except (ConfigError, ImportError) as error:  # the first names the packages that EGL needs
        pytest.skip(str(error))
    assert DEMOS['arm'].task == TASKS['pick_place'].text


def test_the_arm_is_told_the_contract_that_says_which_controllers_are_active():
    pytest.importorskip('rclpy')
    from diffusion_policy_ros.nodes.arm_parameters import PARAMETERS
    for name in ('arm_pick_place', 'arm_push'):
        told = LIVE[name].parameters('my_contract.yaml')
        assert told['contract'] == 'my_contract.yaml'
        assert told.keys() <= {spec.name for spec in PARAMETERS}


@pytest.mark.parametrize('name', LIVE)
def test_each_has_a_contract_whose_pictures_have_one_size(name):
    contract = load_contract(share_path('config', 'robots', LIVE[name].contract))
    assert len({stream.shape for stream in contract.observations if stream.is_image}) == 1
