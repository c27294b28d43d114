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
"""Tests of the small backbone."""

from diffusion_policy_ros.networks.light_cnn import light_cnn
import torch


def test_light_cnn_keeps_a_quarter_of_the_resolution():
    assert light_cnn()(torch.zeros(1, 3, 96, 84)).shape == (1, 64, 24, 21)
    assert light_cnn(1)(torch.zeros(1, 1, 32, 32)).shape == (1, 64, 8, 8)
