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
Policies to compare with LeRobot, and weights that both sides can make by rule.

Needs only NumPy: LeRobot's side (lerobot_oracle.py) runs in a Python without this package.
"""

import math
import zlib

import numpy as np

STATE, ENVIRONMENT = 'observation.state', 'observation.environment_state'
CAMERAS = ('observation.images.top', 'observation.images.left_wrist', 'observation.image')
MODES = ('MEAN_STD', 'MIN_MAX', 'QUANTILES', 'QUANTILE10', 'IDENTITY')
STATISTICS = {'min': -2.0, 'q01': -1.5, 'q10': -1.0, 'q90': 1.0, 'q99': 1.6, 'max': 2.0}


def make_case(seed, **fixed):
    """
    Draw the configuration of a policy, as arguments of LeRobot's DiffusionConfig.

    :param seed: The same seed, the same case.
    :param fixed: Arguments that are not drawn; ``cameras`` and ``environment`` are numbers.
    """
    rng = np.random.default_rng(seed)

    def pick(*values):
        return values[rng.integers(len(values))]

    drawn = {
        'cameras': int(rng.integers(4)), 'environment': int(rng.integers(2)),
        'n_obs_steps': pick(1, 2, 3), 'horizon': pick(8, 16), 'n_action_steps': pick(1, 4, 6),
        'vision_backbone': pick('resnet18', 'resnet18', 'resnet34'),
        'use_group_norm': pick(True, False), 'resize_shape': pick(None, None, (40, 52)),
        'crop_ratio': pick(1.0, 0.8), 'crop_shape': pick(None, (36, 41)),
        'use_separate_rgb_encoder_per_camera': pick(True, False),
        'spatial_softmax_num_keypoints': pick(3, 8),
        'down_dims': pick((16,), (8, 16), (16, 8, 24)),
        'kernel_size': pick(3, 5), 'n_groups': pick(4, 8), 'diffusion_step_embed_dim': pick(8, 14),
        'use_film_scale_modulation': pick(True, False),
        'noise_scheduler_type': pick('DDPM', 'DDIM'),
        'num_train_timesteps': 100, 'num_inference_steps': pick(None, 5, 10, 16, 50),
        'beta_schedule': pick('squaredcos_cap_v2', 'squaredcos_cap_v2', 'linear', 'scaled_linear'),
        'prediction_type': pick('epsilon', 'epsilon', 'sample'),
        'clip_sample': pick(True, True, False), 'clip_sample_range': pick(1.0, 1.5),
        'modes': [pick(*MODES) for _ in range(4)], 'state': pick(1, 4), 'action': pick(1, 3),
        **fixed}
    if drawn['beta_schedule'] != 'squaredcos_cap_v2':
        drawn['num_inference_steps'] = None
    if not drawn['cameras']:
        drawn['environment'] = 1  # LeRobot wants one of the two
    return _as_arguments(drawn)


def _as_arguments(drawn):
    """Turn what was drawn into LeRobot's own arguments."""
    vector = {STATE: ('STATE', (drawn.pop('state'),)), ENVIRONMENT: ('ENV', (3,))}
    if not drawn.pop('environment'):
        del vector[ENVIRONMENT]
    images = {key: ('VISUAL', (3, 48, 64)) for key in CAMERAS[:drawn.pop('cameras')]}
    features = {key: {'type': kind, 'shape': shape}
                for key, (kind, shape) in {**images, **vector}.items()}
    types = ('VISUAL', 'STATE', 'ENV', 'ACTION')
    modes = dict(zip(types, drawn.pop('modes')))
    if modes['ENV'] == 'IDENTITY':
        del modes['ENV']  # which means the same to LeRobot
    action = {'action': {'type': 'ACTION', 'shape': (drawn.pop('action'),)}}
    return {**drawn, 'input_features': features, 'output_features': action,
            'normalization_mapping': modes, 'pretrained_backbone_weights': None, 'device': 'cpu',
            'push_to_hub': False}


def make_tensor(name, shape, seed):
    """Return the weight of a name, float32; None for what is not learned."""
    if name.endswith(('pos_grid', 'num_batches_tracked')):
        return None
    unit = 2 * np.random.default_rng([seed, zlib.crc32(name.encode())]).random(shape) - 1
    if name.endswith('running_var') or (len(shape) == 1 and name.endswith('weight')):
        value = 1 + 0.3 * unit
    elif len(shape) == 1:
        value = 0.1 * unit
    else:
        value = unit * math.sqrt(3 / math.prod(shape[1:]))
    return value.astype(np.float32)


def make_statistics(case, seed):
    """Return statistics, key -> name -> float32."""
    rng, statistics = np.random.default_rng([seed, 1]), {}
    for key, feature in {**case['input_features'], **case['output_features']}.items():
        is_image = feature['type'] == 'VISUAL'
        shape = (3, 1, 1) if is_image else tuple(feature['shape'])
        center, width = rng.uniform(-1, 1, shape), rng.uniform(0.2, 1.5, shape)
        if is_image:
            center, width = 0.5 + 0.1 * center, 0.15 * width
        known = {name: center + width * place for name, place in STATISTICS.items()}
        known.update(mean=center, std=width)
        statistics[key] = {name: value.astype(np.float32) for name, value in known.items()}
    return statistics


def make_inputs(case, seed, batch=2):
    """Return a window as this package takes it, and start noise under the key ``noise``."""
    rng, rows = np.random.default_rng([seed, 2]), case['n_obs_steps']
    inputs = {}
    for key, feature in case['input_features'].items():
        if feature['type'] == 'VISUAL':
            channels, height, width = feature['shape']
            inputs[key] = rng.integers(0, 256, (batch, rows, height, width, channels), np.uint8)
        else:
            inputs[key] = rng.normal(size=(batch, rows, *feature['shape'])).astype(np.float32)
    shape = (batch, case['horizon'], case['output_features']['action']['shape'][0])
    return {**inputs, 'noise': rng.normal(size=shape).astype(np.float32)}
