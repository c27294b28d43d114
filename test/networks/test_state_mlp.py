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
"""Tests of the MLP for vectors."""

from diffusion_policy_ros.networks.state_mlp import state_mlp
import torch


def test_linear_layers_have_mish_between_them_and_not_after():
    mlp = state_mlp(3, (5, 4))
    x = torch.randn(2, 6, 3)
    h = x @ mlp[0].weight.T + mlp[0].bias
    h = h * torch.tanh(torch.log1p(torch.exp(h)))
    torch.testing.assert_close(mlp(x), h @ mlp[2].weight.T + mlp[2].bias)
    assert len(mlp) == 3


def test_one_width_is_one_linear_layer():
    mlp = state_mlp(3, (7,))
    assert [tuple(p.shape) for p in mlp.parameters()] == [(7, 3), (7,)]
