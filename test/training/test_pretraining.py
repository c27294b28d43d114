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
"""Tests of the encoder's first stage and of the features of an encoder that stays fixed."""

from dataclasses import replace
from types import SimpleNamespace

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.encoding import encode_maps
from diffusion_policy_ros.policy.normalizer import Normalizer, unit_image_statistics
from diffusion_policy_ros.training.pretraining import (
    cache_frames, frame_maps, PretrainingStage)
from diffusion_policy_ros.training.run import train
from diffusion_policy_ros.training.shares import Share
import numpy as np
import pytest
import torch

CAMERA = 'observation.images.camera'
CPU = torch.device('cpu')


@pytest.fixture
def policy():
    """Return a policy whose encoder has BatchNorm."""
    torch.manual_seed(0)
    config = PolicyConfig(
        input_features={CAMERA: {'type': 'VISUAL', 'shape': (3, 32, 32)}},
        output_features={'action': {'type': 'ACTION', 'shape': (2,)}},
        normalization_mapping={'VISUAL': 'MEAN_STD', 'ACTION': 'IDENTITY'},
        use_group_norm=False, spatial_softmax_num_keypoints=4, down_dims=(16,),
        observation_encoder={'pooling': 'average'})
    return Policy(config, Normalizer(config, {CAMERA: unit_image_statistics(3)}))


@pytest.fixture
def frames():
    """Return eleven pictures."""
    return {CAMERA: np.random.default_rng(0).integers(0, 256, (11, 32, 32, 3), dtype=np.uint8)}


def statistics(policy):
    """Return a copy of the running statistics."""
    return {name: value.clone() for name, value in policy.diffusion.rgb_encoder.named_buffers()}


def equal(first, second):
    """Tell whether two sets of statistics are the same, bit for bit."""
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_cached_features_do_not_depend_on_their_neighbours_nor_move_statistics(policy, frames):
    before = statistics(policy)
    features = cache_frames(policy.train(), frames, CPU)
    assert features.shape == (11, 8) and features.dtype == np.float32 and features.std() > 0.1
    assert equal(before, statistics(policy))
    pictures = torch.from_numpy(frames[CAMERA]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        for picture, row in zip(pictures, features):
            torch.testing.assert_close(
                policy.diffusion.rgb_encoder.eval()(picture[None])[0], torch.from_numpy(row),
                atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('is_separate', [False, True])
def test_cached_maps_give_the_features_that_the_whole_encoder_gives(policy, frames, is_separate):
    other = 'observation.images.other'
    config = replace(policy.config, input_features={
        key: {'type': 'VISUAL', 'shape': (3, 32, 32)} for key in (CAMERA, other)},
        use_separate_rgb_encoder_per_camera=is_separate)
    policy = Policy(config, Normalizer(
        config, dict.fromkeys((CAMERA, other), unit_image_statistics(3))))
    frames = {**frames, other: frames[CAMERA][::-1].copy()}
    maps = cache_frames(policy.train(), frames, CPU, frame_maps)
    assert maps.shape[:3] == (11, 2, 512)
    rows = torch.from_numpy(maps[:10]).unbind(1)
    with torch.no_grad():
        features = encode_maps(policy, rows).flatten(0, 1)
    np.testing.assert_allclose(features, cache_frames(policy, frames, CPU)[:10], atol=1e-6)


def test_training_moves_running_statistics_and_validation_uses_them(policy, frames):
    settings = SimpleNamespace(steps=3, batch_size=6, learning_rate=1e-3)
    stage = PretrainingStage(
        policy, frames, np.random.default_rng(1).normal(size=(11, 2)), np.arange(8),
        np.arange(8, 11), SimpleNamespace(pretraining=settings, gradient_clip_norm=1.0),
        CPU)
    before = statistics(policy)
    first = stage.validate()
    assert stage.validate() == first and equal(before, statistics(policy))
    stage.loss(0, torch.Generator().manual_seed(0), Share())
    assert not equal(before, statistics(policy))
    after = statistics(policy)
    assert stage.validate() != first and equal(after, statistics(policy))


def test_running_statistics_stay_while_the_denoiser_of_a_frozen_encoder_trains(
        dataset, tmp_path, small_config):
    train(dataset, tmp_path / 'model', small_config(
        'policy.vision_backbone=resnet18', 'policy.use_group_norm=false', 'steps=2',
        'pretraining.target=observation.environment_state', 'pretraining.steps=3',
        'policy.spatial_softmax_num_keypoints=4'), device=CPU, resume=False,
        stop_requested=lambda: False)
    counts = {value.item() for name, value in Policy.load(tmp_path / 'model').state_dict().items()
              if name.endswith('num_batches_tracked')}
    assert counts == {3}
