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

"""Policies of any size for ``dpr bench chunk``: timing does not depend on the weights."""

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.policy.normalizer import Normalizer, unit_image_statistics
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.policy.window_check import window_layout
from diffusion_policy_ros.streams import (
    ACTION_KEY, ENVIRONMENT_KEY, IMAGE_KEY_PREFIX, STATE_KEY)
import torch

JOINTS, MOST_ACTION_STEPS = 7, 8
SEED = 0
CLIP = 100.0


def bench_config(down_dims, *, cameras, image_size, horizon) -> PolicyConfig:
    """
    Describe a policy that LeRobot can build too, for an arm of seven joints.

    It predicts clean chunks, and is clipped where no network that was never trained comes to, so
    that a mistake in any step shows in the result.

    :param down_dims: Channels of the U-Net's levels.
    :param cameras: Number of cameras, each seen by a ResNet-18. Without any, a vector of the
        environment is observed beside the joints, as LeRobot wants one of the two.
    :param image_size: (height, width), px.
    :param horizon: Rows of a chunk.
    :raises ConfigError: if there cannot be such a policy.
    """
    inputs = {STATE_KEY: {'type': 'STATE', 'shape': (JOINTS,)}}
    for number in range(cameras):
        inputs[f'{IMAGE_KEY_PREFIX}camera_{number}'] = {
            'type': 'VISUAL', 'shape': (3, *image_size)}
    if not cameras:
        inputs[ENVIRONMENT_KEY] = {'type': 'ENV', 'shape': (JOINTS,)}
    action = {'type': 'ACTION', 'shape': (JOINTS,)}
    return PolicyConfig(inputs, {ACTION_KEY: action}, down_dims=down_dims, horizon=horizon,
                        n_action_steps=min(MOST_ACTION_STEPS, horizon - 1),
                        prediction_type='sample', clip_sample_range=CLIP)


def untrained_policy(config) -> Policy:
    """
    Build a policy with random weights.

    :param config: From ``bench_config``.
    :return: The policy, in eval mode.
    """
    features = {**config.input_features, **config.output_features}
    statistics = {key: _limits(feature) for key, feature in features.items()}
    return Policy(config, Normalizer.from_dataset(config, statistics)).eval()


def random_window(policy) -> dict:
    """
    Return a window such as a robot shows, with random pictures and vectors.

    :param policy: ``Policy``.
    :return: Key -> tensor (1, n_obs_steps, ...), vectors in robot units.
    """
    generator, window = torch.Generator().manual_seed(SEED), {}
    for key, (shape, dtype) in window_layout(policy.config, policy.contract).items():
        if policy.config.input_features[key]['type'] == 'VISUAL':
            pixels = torch.randint(0, 256, (1, *shape), generator=generator)
            window[key] = pixels.to(dtype)
        else:
            normalized = 2 * torch.rand((1, *shape), generator=generator) - 1
            window[key] = policy.normalizer.unnormalize(key, normalized.to(policy.device)).cpu()
    return window


def random_noise(policy, candidates) -> torch.Tensor:
    """
    Return start noise.

    :param policy: ``Policy``.
    :param candidates: Number of chunks.
    :return: float32 (candidates, horizon, action_dim).
    """
    return torch.randn((candidates, policy.config.horizon, policy.config.action_dim),
                       generator=torch.Generator().manual_seed(SEED))


def _limits(feature):
    """Return the statistics of a feature: from -1 to 1, pixels from 0 to 1."""
    if feature['type'] == 'VISUAL':
        return unit_image_statistics(feature['shape'][0])
    ones = torch.ones(feature['shape'])
    return {'min': -ones, 'max': ones, 'mean': 0 * ones, 'std': 0.5 * ones}
