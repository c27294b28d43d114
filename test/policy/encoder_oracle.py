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
Encode with LeRobot's own networks; run by test_encoding_lerobot.py.

Needs lerobot 0.6, no part of this package. ``python encoder_oracle.py QUESTION.npz...`` answers
each question with the condition of a whole policy. ``python encoder_oracle.py --store`` writes
lerobot_encoders.json: features of encoders whose weights ``fill`` makes, which are compared
wherever the tests run.
"""

import json
from pathlib import Path
import sys

import numpy as np

STORED = Path(__file__).with_name('lerobot_encoders.json')
# One picture of (channels, height, width), and LeRobot's settings.
CASES = [
    {'shape': (3, 40, 52), 'vision_backbone': 'resnet18', 'use_group_norm': True,
     'crop_shape': (36, 44), 'spatial_softmax_num_keypoints': 3},
    {'shape': (3, 64, 70), 'vision_backbone': 'resnet18', 'use_group_norm': False,
     'resize_shape': (40, 50), 'crop_ratio': 0.9, 'spatial_softmax_num_keypoints': 4},
    {'shape': (3, 33, 45), 'vision_backbone': 'resnet34', 'use_group_norm': True,
     'resize_shape': (64, 64), 'spatial_softmax_num_keypoints': 2},
    {'shape': (3, 48, 64), 'vision_backbone': 'resnet34', 'use_group_norm': False,
     'spatial_softmax_num_keypoints': 5}]


def wave(shape, place):
    """Return numbers in [-1, 1] that hang on nothing but a shape and a place in a list."""
    count = int(np.prod(shape))
    k = np.arange(count)
    return np.sin(0.37 * k + 1.7 * (k * k % 11) + place).reshape(shape)


def fill(state):
    """
    Return weights for every tensor of an encoder.

    :param state: Tensor name -> tensor.
    :return: Tensor name -> float32 array, but the names of what is no weight.
    """
    filled = {}
    for place, name in enumerate(sorted(state)):
        shape, end = tuple(state[name].shape), name.rpartition('.')[2]
        if end in ('num_batches_tracked', 'pos_grid'):
            continue
        values = wave(shape, place)
        if len(shape) > 1:
            values = values * (2 / np.prod(shape[1:])) ** 0.5
        elif end in ('weight', 'running_var'):
            values = 1 + values / 2
        else:
            values = values / 4
        filled[name] = values.astype(np.float32)
    return filled


def picture(shape):
    """Return a batch of two pictures in [0, 1], (2, channels, height, width)."""
    return ((wave((2, *shape), 0.5) + 1) / 2).astype(np.float32)


def lerobot_config(shapes, **settings):
    """Return LeRobot's configuration for cameras of some shapes and a state of two entries."""
    from lerobot.configs.types import FeatureType, PolicyFeature
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    cameras = {f'observation.images.camera{index}': PolicyFeature(FeatureType.VISUAL, tuple(shape))
               for index, shape in enumerate(shapes)}
    state = {'observation.state': PolicyFeature(FeatureType.STATE, (2,))}
    return DiffusionConfig(
        input_features={**cameras, **state}, pretrained_backbone_weights=None, device='cpu',
        output_features={'action': PolicyFeature(FeatureType.ACTION, (2,))}, **settings)


def store():
    """Write the features of every case."""
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionRgbEncoder
    import torch
    stored = []
    for case in CASES:
        settings = dict(case)
        config = lerobot_config([settings.pop('shape')], **settings)
        encoder = DiffusionRgbEncoder(config).eval()
        weights = {name: torch.from_numpy(value)
                   for name, value in fill(encoder.state_dict()).items()}
        encoder.load_state_dict({**encoder.state_dict(), **weights})
        with torch.no_grad():
            features = encoder(2 * torch.from_numpy(picture(case['shape'])) - 1)
        stored.append({**case, 'crop_shape': config.crop_shape, 'features': features.tolist()})
    STORED.write_text('[\n' + ',\n'.join(map(json.dumps, stored)) + '\n]\n', encoding='utf-8')


def answer(path):
    """Write the conditions of a policy and its statistics after a training step."""
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionModel
    import torch
    with np.load(path) as file:
        given = dict(file)
    settings = json.loads(str(given.pop('settings')))
    images = torch.from_numpy(given.pop('images')).float() / 255  # (B, rows, cameras, H, W, C)
    batch = {'observation.state': torch.from_numpy(given.pop('state')),
             'observation.images': (images.movedim(-1, -3) - 0.5) / 0.5}
    shapes = [batch['observation.images'].shape[3:]] * images.shape[2]
    model = DiffusionModel(lerobot_config(shapes, **settings))
    model.load_state_dict({name: torch.from_numpy(value) for name, value in given.items()})
    with torch.no_grad():
        conditions = {mode: getattr(model, mode)()._prepare_global_conditioning(batch).numpy()
                      for mode in ('train', 'eval')}
    np.savez(path, **conditions, **{
        name: value.numpy() for name, value in model.rgb_encoder.named_buffers()})


if __name__ == '__main__':
    if sys.argv[1] == '--store':
        store()
    else:
        for question in sys.argv[1:]:
            answer(question)
