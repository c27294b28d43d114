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

"""The networks of a policy in one line."""

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.policy.network_words import network_words
import pytest

STATE = {'observation.state': {'type': 'STATE', 'shape': (2,)}}
CAMERAS = {f'observation.images.{name}': {'type': 'VISUAL', 'shape': (3, 32, 32)}
           for name in ('left', 'right')}
ACTION = {'action': {'type': 'ACTION', 'shape': (2,)}}


@pytest.mark.parametrize('cameras, changes, words', [
    ({}, {'denoiser': {'type': 'transformer'}},
     'causal Transformer of 8 layers of 256, predicts epsilon'),
    ({}, {'denoiser': {'type': 'transformer', 'causal': False, 'layers': 4, 'dim': 64}},
     'Transformer of 4 layers of 64, predicts epsilon'),
    ({}, {'denoiser': {'type': 'mlp', 'dim': 64}, 'prediction_type': 'sample'},
     'MLP of 8 layers of 256 (4 * dim 64), predicts sample'),
    ({}, {'observation_encoder': {'state_dims': [64, 32]}, 'down_dims': (64, 128)},
     'state MLP 64-32, FiLM U-Net 64-128, predicts epsilon'),
    (CAMERAS, {}, 'resnet18 and spatial softmax, FiLM U-Net 512-1024-2048, predicts epsilon'),
    (CAMERAS, {'vision_backbone': 'resnet34', 'use_group_norm': False,
               'use_separate_rgb_encoder_per_camera': True,
               'observation_encoder': {'pooling': 'average'}, 'denoiser': {'type': 'dit'}},
     'resnet34 with BatchNorm and average pooling, one per camera, DiT of 8 blocks of 256, '
     'predicts epsilon'),
    (CAMERAS, {'vision_backbone': 'vit', 'denoiser': {'type': 'dit', 'layers': 2, 'dim': 64},
               'observation_encoder': {'fusion': 'transformer'}},
     'vit of 4 layers of 192, fusing Transformer of 2 layers of 256, DiT of 2 blocks of 64, '
     'predicts epsilon')])
def test_what_is_there_is_named_and_nothing_else(cameras, changes, words):
    assert network_words(PolicyConfig({**cameras, **STATE}, ACTION, **changes)) == words
