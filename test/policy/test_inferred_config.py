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
"""What shapes tell of a policy, and that odd ones tell nothing."""

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.inferred_config import inferred_fields
from folder_edits import edit_json, edit_tensors
from lerobot_side import copy_fixture
import pytest
import torch

UNET, ENCODER = 'diffusion.unet.', 'diffusion.rgb_encoder.'
FEATURES = {'observation.state': {'type': 'STATE', 'shape': [4]}}
SHAPES = {f'{UNET}down_modules.0.0.conv1.block.0.weight': (16, 2, 3),
          f'{UNET}down_modules.0.0.cond_encoder.1.bias': (32,),
          f'{UNET}mid_modules.0.cond_encoder.1.weight': (32, 16),
          f'{UNET}diffusion_step_encoder.3.bias': (8,),
          f'{ENCODER}pool.nets.weight': (4, 512, 1, 1)}


def test_shapes_tell_the_sizes():
    assert inferred_fields(SHAPES, {'input_features': FEATURES}) == {
        'down_dims': (16,), 'kernel_size': 3, 'use_film_scale_modulation': True,
        'diffusion_step_embed_dim': 8, 'n_obs_steps': 2, 'spatial_softmax_num_keypoints': 4,
        'use_separate_rgb_encoder_per_camera': False}


@pytest.mark.parametrize('name', SHAPES)
def test_a_tensor_without_axes_tells_nothing(name):
    given = {'input_features': FEATURES}
    without = {other: shape for other, shape in SHAPES.items() if other != name}
    assert inferred_fields({**SHAPES, name: ()}, given) == inferred_fields(without, given)


@pytest.mark.parametrize('name', [name for name in SHAPES if name.startswith(UNET)])
def test_it_is_refused_where_the_weights_are_checked(tmp_path, name):
    folder = copy_fixture('vectors', tmp_path / 'vectors')
    edit_tensors(folder / 'model.safetensors', lambda t: t.update({name: torch.tensor(1.0)}))
    with pytest.raises(CheckpointError, match=rf"{name}' has shape \(\)"):
        Policy.load(folder)
    edit_json(folder / 'config.json', lambda d: [d.pop(field, None) for field in (
        'down_dims', 'kernel_size', 'diffusion_step_embed_dim', 'n_obs_steps')])
    with pytest.raises(CheckpointError, match='model.safetensors'):
        Policy.load(folder)
