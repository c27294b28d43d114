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

"""
Store what Diffusion Policy's own U-Net and robomimic's image encoder answer, for CI.

Needs Diffusion Policy's source, robomimic 0.2, torchvision and einops on the path, and no part of
this package: ``python diffusion_policy_oracle.py OUT``. The encoder's weights are made by rule.
"""

import json
from pathlib import Path
import sys

from diffusion_policy.model.diffusion.conditional_unet1d import ConditionalUnet1D
from lerobot_cases import make_tensor
from robomimic.models.base_nets import ResNet18Conv, SpatialSoftmax, VisualCore
from safetensors.torch import save_file
import torch
from torch import nn

SEED = 5
SIZES = {'camera': 16, 'pose': 2, 'block': 1}  # in their order of a row
ROWS, HORIZON, ACTION = 2, 8, 2
MODES = {'camera': (2.0, -1.0), 'pose': (4.0, -1.2), 'block': (0.5, 0.25), 'action': (3.0, -0.5)}


def make_unet():
    """Build a small U-Net whose every weight matters."""
    unet = ConditionalUnet1D(
        ACTION, global_cond_dim=ROWS * sum(SIZES.values()), diffusion_step_embed_dim=16,
        down_dims=[16, 32], kernel_size=3, n_groups=8, cond_predict_scale=True).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return unet


def make_encoder():
    """Build robomimic's encoder as Diffusion Policy's hybrid policy does, with GroupNorm."""
    encoder = VisualCore(
        [3, 40, 44], backbone_class='ResNet18Conv', pool_class='SpatialSoftmax',
        backbone_kwargs={'pretrained': False, 'input_coord_conv': False},
        pool_kwargs={'num_kp': 8, 'learnable_temperature': False, 'temperature': 1.0,
                     'noise_std': 0.0},
        flatten=True, feature_dimension=SIZES['camera'])
    for parent in list(encoder.backbone.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                groups = nn.GroupNorm(child.num_features // 16, child.num_features)
                setattr(parent, name, groups)
    with torch.no_grad():
        for name, tensor in encoder.state_dict().items():
            if name.startswith('nets.') and not name.startswith('nets.1.pos'):
                if not name.endswith('temperature'):
                    tensor.copy_(torch.from_numpy(make_tensor(name, tuple(tensor.shape), SEED)))
    return encoder.eval()


def main(out):
    """Write ``weights.safetensors`` (without the encoder's) and ``answer.safetensors``."""
    torch.manual_seed(0)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    unet, encoder = make_unet(), make_encoder()
    state = {f'model.{name}': tensor.clone() for name, tensor in unet.state_dict().items()}
    for name, (scale, offset) in MODES.items():
        size = {'camera': 1, 'action': ACTION}.get(name, SIZES.get(name))
        prefix = f'normalizer.params_dict.{name}.'
        state[f'{prefix}scale'] = scale * torch.ones(size)
        state[f'{prefix}offset'] = offset * torch.ones(size)
        state[f'{prefix}input_stats.min'] = torch.zeros(size)
    state['mask_generator._dummy_variable'] = torch.zeros(0)
    save_file(state, out / 'weights.safetensors')
    images = torch.randint(0, 256, (2 * ROWS, 3, 48, 52), dtype=torch.uint8)
    vectors = {name: torch.randn(2, ROWS, SIZES[name]) for name in ('pose', 'block')}
    chunk, steps = torch.randn(2, HORIZON, ACTION), torch.tensor([3, 70])
    crop = images[:, :, 4:44, 4:48] / 255 * MODES['camera'][0] + MODES['camera'][1]
    with torch.no_grad():
        features = torch.relu(encoder(crop)).unflatten(0, (2, ROWS))
        row = torch.cat([features, *(vectors[name] * MODES[name][0] + MODES[name][1]
                                     for name in ('pose', 'block'))], dim=-1)
        predicted = unet(chunk, steps, global_cond=row.flatten(1)).contiguous()
    save_file({'images': images.unflatten(0, (2, ROWS)), **vectors, 'chunk': chunk,
               'steps': steps, 'predicted': predicted}, out / 'answer.safetensors')
    shapes = {name: list(tensor.shape) for name, tensor in encoder.state_dict().items()}
    (out / 'encoder.json').write_text(json.dumps({'seed': SEED, 'shapes': shapes}))


# What robomimic calls these is found by name when a VisualCore is built.
assert ResNet18Conv and SpatialSoftmax

if __name__ == '__main__':
    main(sys.argv[1])
