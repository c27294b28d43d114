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
"""Tests of the joining of features."""

from diffusion_policy_ros.networks.observation_encoder import join_features
import torch


def test_features_are_joined_row_by_row_state_first_environment_last():
    state = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])
    images = torch.tensor([[[10.0], [20.0]]])
    environment = torch.tensor([[[7.0], [8.0]]])
    joined = join_features([state], images, [environment])
    assert joined.tolist() == [[1.0, 2.0, 10.0, 7.0, 3.0, 4.0, 20.0, 8.0]]
    assert join_features([state], None, []).tolist() == [[1.0, 2.0, 3.0, 4.0]]
