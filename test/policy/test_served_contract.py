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
"""The contract under which a checkpoint is served."""

from pathlib import Path

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import CheckpointError, ContractError
from diffusion_policy_ros.policy.served_contract import choose_contract
import pytest

CONFIG = Path(__file__).resolve().parents[2] / 'config'
PUSHT, ARM = (load_contract(CONFIG / f'robots/{name}.yaml') for name in ('pusht', 'arm6'))


def test_the_contract_of_another_robot_is_refused_with_the_differences():
    with pytest.raises(ContractError, match='rate_hz: trained at 10, robot has 15.*train for'):
        choose_contract(str(CONFIG / 'robots/arm6.yaml'), PUSHT, 'models/m')
    assert choose_contract(str(CONFIG / 'robots/arm6.yaml'), ARM, 'models/m') == ARM


def test_without_any_contract_the_remedy_is_named():
    assert choose_contract('', PUSHT, 'models/m') is PUSHT
    with pytest.raises(CheckpointError, match='models/m holds no contract.yaml; set the param'):
        choose_contract('', None, 'models/m')
