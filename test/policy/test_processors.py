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
"""The statistics of a folder's two pipelines must be those of one policy."""

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy import Policy
from folder_edits import edit_tensors
from lerobot_side import copy_fixture
import pytest
import torch

PRE_STATE = 'policy_preprocessor_step_3_normalizer_processor.safetensors'
POST_STATE = 'policy_postprocessor_step_0_unnormalizer_processor.safetensors'


@pytest.fixture
def folder(tmp_path):
    """Return a folder of LeRobot's that a test may change."""
    return copy_fixture('vectors', tmp_path / 'vectors')


@pytest.mark.parametrize('name', (PRE_STATE, POST_STATE))
@pytest.mark.parametrize('statistic', ('mean', 'std', 'max'))
def test_actions_of_two_policies_are_refused(folder, name, statistic):
    edit_tensors(folder / name, lambda tensors: tensors[f'action.{statistic}'].add_(1))
    with pytest.raises(CheckpointError, match=f"two different {statistic} of 'action', one for"):
        Policy.load(folder)


def test_a_statistic_that_nobody_uses_may_be_no_number(folder):
    for name in (PRE_STATE, POST_STATE):
        edit_tensors(folder / name, lambda tensors: tensors['action.q10'].fill_(torch.nan))
    Policy.load(folder)


def test_a_preprocessor_without_actions_is_read(folder):
    edit_tensors(folder / PRE_STATE, lambda tensors: [
        tensors.pop(name) for name in list(tensors) if name.startswith('action.')])
    Policy.load(folder)


@pytest.mark.parametrize('dtype', (torch.int64, torch.complex64))
def test_statistics_of_other_numbers_are_refused(folder, dtype):
    edit_tensors(folder / PRE_STATE, lambda tensors: tensors.update(
        {'observation.state.min': tensors['observation.state.min'].to(dtype)}))
    with pytest.raises(CheckpointError, match="'observation.state.min' holds numbers of the kind"):
        Policy.load(folder)
