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
"""Tests of the time embedding."""

from diffusion_policy_ros.networks.time_embedding import SinusoidalEmbedding
import torch


def test_embedding_holds_sines_then_cosines():
    embedding = SinusoidalEmbedding(6)(torch.tensor([0, 3]))
    angles = 3 * torch.tensor([1.0, 0.01, 0.0001])
    torch.testing.assert_close(embedding[0], torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
    torch.testing.assert_close(embedding[1], torch.cat([angles.sin(), angles.cos()]))
