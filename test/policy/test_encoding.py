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
"""Tests of the way from a window to the condition: every backbone, depth, augmentation, fusion."""

from pathlib import Path

from diffusion_policy_ros.choices import VISION_BACKBONES
from diffusion_policy_ros.contract import load_contract, parse_contract
from diffusion_policy_ros.networks.augmentation import Augmentation
from diffusion_policy_ros.networks.crop import random_crop, random_shift
from diffusion_policy_ros.policy import Policy
import numpy as np
import pytest
import torch
from torch.nn import functional
import yaml

CAMERA, STATE = 'observation.images.camera', 'observation.state'
ENVIRONMENT = 'observation.environment_state'
ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'
NUMBERS = {'min': [0.0, 0.0], 'max': [1.0, 1.0]}
COLOURS = {'brightness': 0.3, 'contrast': 0.4, 'saturation': 0.5, 'hue': 0.1}
# All backbones see 40 x 48 px, which a ViT cuts into patches of 8 px.
SMALL = {'crop_shape': (40, 48), 'observation_encoder': {
    'vit_dim': 32, 'vit_layers': 2, 'vit_heads': 2}}
FUSED = {'fusion': 'transformer', 'fusion_dim': 32, 'fusion_heads': 2}
WAYS = {'plain': {}, 'mlp': {'state_dims': [16, 12]}, 'fused': FUSED,
        'mlp and fused': {'state_dims': [12], **FUSED}}


def seeded(seed=0):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def unit_pictures(window):
    """Return a window's colour images as float32 (B, rows, H, W, C), in [0, 1]."""
    return torch.from_numpy(window[CAMERA]).float() / 255


def features_of(policy, images):
    """Encode images (B, rows, h, w, C) in [0, 1] with the network alone."""
    pictures = (2 * images - 1).flatten(0, 1).permute(0, 3, 1, 2)
    return policy.diffusion.rgb_encoder(pictures).unflatten(0, images.shape[:2])


@pytest.fixture
def make_depth_policy(contract, make_policy):
    """Return a function that builds a policy with a depth camera, and its statistics."""
    def make(encoding, **changes):
        document = contract.to_dict()
        document['observations'][0]['image']['encoding'] = encoding
        scale = 1000 if encoding == '16UC1' else 1
        statistics = {STATE: NUMBERS, 'action': NUMBERS,
                      CAMERA: {'mean': [0.8 * scale], 'std': [0.5 * scale]}}
        return make_policy(parse_contract(yaml.safe_dump(document)), statistics,
                           **{**SMALL, **changes})

    return make


def depth_window(encoding):
    """Return a window of depth images and the same in metres."""
    depth = np.random.default_rng(0).uniform(0, 3, (2, 2, 96, 96, 1)).astype(np.float32)
    if encoding == '16UC1':
        millimetres = np.rint(1000 * depth).astype(np.uint16)
        return millimetres, torch.from_numpy(millimetres.astype(np.float32)) / 1000
    return depth, torch.from_numpy(depth)


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
@pytest.mark.parametrize('backbone', VISION_BACKBONES)
def test_depth_reaches_every_backbone_in_units_of_its_own_deviation(
        make_depth_policy, backbone, encoding):
    policy = make_depth_policy(encoding, vision_backbone=backbone).eval()
    depth, metres = depth_window(encoding)
    features = policy.image_features({CAMERA: depth})
    pictures = ((metres - 0.8) / 0.5)[:, :, 28:68, 24:72].flatten(0, 1).permute(0, 3, 1, 2)
    expected = policy.diffusion.rgb_encoder(pictures).unflatten(0, (2, 2))
    assert features.shape == (2, 2, 8) and features.std() > 0
    torch.testing.assert_close(features, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
def test_depth_is_moved_and_never_recoloured(make_depth_policy, encoding):
    policy = make_depth_policy(encoding, resize_shape=(60, 72))
    depth, _ = depth_window(encoding)
    moved, both = (policy.image_features({CAMERA: depth}, augmentation=one, generator=seeded())
                   for one in (Augmentation(3), Augmentation(3, **COLOURS)))
    assert torch.equal(moved, both)
    assert not torch.equal(moved, policy.image_features({CAMERA: depth}))


@pytest.mark.parametrize('separate', [False, True])
@pytest.mark.parametrize('backbone', VISION_BACKBONES)
def test_every_backbone_is_shared_by_two_cameras_or_each_has_its_own(
        make_policy, backbone, separate):
    robot = load_contract(ROBOTS / 'arm6.yaml')
    numbers = {'min': [0.0] * 7, 'max': [1.0] * 7}
    policy = make_policy(robot, {STATE: numbers, 'action': numbers}, **{
        **SMALL, 'vision_backbone': backbone,
        'use_separate_rgb_encoder_per_camera': separate}).eval()
    window = {key: torch.randint(0, 256, (1, 2, 120, 160, 3), dtype=torch.uint8)
              for key in policy.config.image_keys}
    features = policy.image_features(window)
    for index, key in enumerate(policy.config.image_keys):
        encoder = policy.diffusion.rgb_encoder
        encoder = encoder[index] if separate else encoder
        pixels = window[key][0, :, 40:80, 56:104].permute(0, 3, 1, 2) / 127.5 - 1
        torch.testing.assert_close(features[0, :, 8 * index:8 * index + 8], encoder(pixels),
                                   atol=1e-4, rtol=1e-4)


def test_images_are_resized_then_cropped(make_policy, window):
    policy = make_policy(resize_shape=(48, 60), crop_shape=(40, 44)).eval()
    pictures = unit_pictures(window).flatten(0, 1).permute(0, 3, 1, 2).contiguous()
    small = functional.interpolate(pictures, (48, 60), mode='bilinear', antialias=True)
    expected = policy.diffusion.rgb_encoder(2 * small[:, :, 4:44, 8:52] - 1)
    torch.testing.assert_close(policy.image_features(window).flatten(0, 1), expected)


def test_resizing_alone_sets_the_size_that_the_backbone_sees(make_policy, window):
    policy = make_policy(resize_shape=(48, 60), crop_shape=None)
    assert policy.diffusion.rgb_encoder.pool.pos_grid.shape == (12 * 15, 2)
    assert policy.image_features(window).shape == (2, 2, 8)


def test_an_augmentation_that_changes_nothing_leaves_random_crops(policy, window):
    images = unit_pictures(window)
    expected = features_of(policy, random_crop(images, (40, 44), generator=seeded()))
    torch.testing.assert_close(policy.image_features(
        window, augmentation=Augmentation(), generator=seeded()), expected)


def test_images_are_moved_then_cropped_then_recoloured(policy, window):
    augmentation, generator = Augmentation(5, **COLOURS), seeded()
    images = random_shift(unit_pictures(window), 5, generator=generator)
    images = random_crop(images, (40, 44), generator=generator)
    expected = features_of(policy, augmentation.jitter(images, generator=generator))
    found = policy.image_features(window, augmentation=augmentation, generator=seeded())
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, policy.image_features(
        window, augmentation=Augmentation(5), generator=seeded()))


def test_images_move_under_a_crop_at_the_centre_too(make_policy, window):
    policy = make_policy(crop_is_random=False).eval()
    images = random_shift(unit_pictures(window), 5, generator=seeded())[:, :, 28:68, 26:70]
    found = policy.image_features(window, augmentation=Augmentation(5), generator=seeded())
    torch.testing.assert_close(found, features_of(policy, images))


@pytest.mark.parametrize('way', WAYS)
def test_cached_features_give_the_condition_in_every_way_of_joining(make_policy, window, way):
    policy = make_policy(observation_encoder=WAYS[way]).eval()
    cond = policy.encode(window)
    assert cond.shape == (2, policy.config.global_cond_dim)
    assert policy.config.global_cond_dim == 2 * {
        'plain': 2 + 8, 'mlp': 12 + 8, 'fused': 32, 'mlp and fused': 32}[way]
    cached = policy.image_features({CAMERA: window[CAMERA]}).clone()
    assert torch.equal(policy.global_cond(cached, {STATE: window[STATE]}), cond)
    assert policy.sample(window, generator=seeded()).shape == (2, 16, 2)


@pytest.mark.parametrize('way', WAYS)
def test_the_condition_trains_every_weight_of_the_encoders(make_policy, window, way):
    policy = make_policy(observation_encoder=WAYS[way])
    policy.encode(window).square().sum().backward()
    networks = policy.diffusion
    for name, p in networks.named_parameters():
        if not name.startswith('unet.'):
            assert p.grad is not None and p.grad.abs().sum() > 0, name


def test_rows_hold_states_then_cameras_then_environment(make_policy, contract, window):
    document = contract.to_dict()
    document['observations'][2].pop('role')
    policy = make_policy(parse_contract(yaml.safe_dump(document)), {
        STATE: NUMBERS, 'action': NUMBERS,
        ENVIRONMENT: {'min': [-1.0] * 9, 'max': [1.0] * 9}}).eval()
    window = {**window, ENVIRONMENT: torch.rand(2, 2, 9)}
    states, cameras, environment = policy.encode(window).view(2, 2, -1).split([2, 8, 9], dim=-1)
    torch.testing.assert_close(states, 2 * torch.from_numpy(window[STATE]) - 1)
    assert torch.equal(cameras, policy.image_features(window))
    torch.testing.assert_close(environment, window[ENVIRONMENT])


def test_the_mlp_takes_the_place_of_the_normalized_vectors(make_policy, window):
    policy = make_policy(observation_encoder=WAYS['mlp']).eval()
    state = policy.normalizer.normalize(STATE, torch.from_numpy(window[STATE]))
    rows = policy.encode(window).view(2, 2, 20)
    torch.testing.assert_close(rows[..., :12], policy.diffusion.state_mlp(state))
    torch.testing.assert_close(rows[..., 12:], policy.image_features(window))


@pytest.mark.parametrize('way', ['mlp', 'fused', 'mlp and fused'])
def test_state_and_environment_are_joined_without_cameras(make_policy, contract, way):
    document = contract.to_dict()
    document['observations'] = document['observations'][1:]
    document['observations'][1].pop('role')
    policy = make_policy(parse_contract(yaml.safe_dump(document)), {
        STATE: NUMBERS, 'action': NUMBERS, ENVIRONMENT: {'min': [-1.0] * 9, 'max': [1.0] * 9}},
        crop_shape=None, observation_encoder=WAYS[way]).eval()
    window = {STATE: torch.rand(1, 2, 2), ENVIRONMENT: torch.rand(1, 2, 9)}
    vectors = torch.cat([2 * window[STATE] - 1, window[ENVIRONMENT]], dim=-1)
    for network, apply in ((policy.diffusion.state_mlp, lambda n: n(vectors)),
                           (policy.diffusion.fusion, lambda n: n(vectors, None))):
        vectors = vectors if network is None else apply(network)
    torch.testing.assert_close(policy.encode(window), vectors.flatten(1))


def test_cameras_alone_are_fused(make_policy, contract, window):
    document = contract.to_dict()
    document['observations'] = document['observations'][:1]
    policy = make_policy(parse_contract(yaml.safe_dump(document)), {'action': NUMBERS},
                         observation_encoder=FUSED).eval()
    assert policy.encode(window).shape == (2, 2 * 32)


@pytest.mark.parametrize('changes', [
    {'vision_backbone': 'resnet34', 'use_group_norm': False}, {'vision_backbone': 'vit'},
    {'vision_backbone': 'light_cnn', 'resize_shape': (64, 64), 'crop_shape': (48, 48)},
    {'observation_encoder': WAYS['mlp and fused']},
    {'observation_encoder': {'pooling': 'average'}}], ids=str)
def test_saved_encoders_load_and_encode_alike(make_policy, window, tmp_path, changes):
    policy = make_policy(**{**SMALL, **changes})
    policy.train().encode(window)  # moves running statistics
    policy.eval().save(tmp_path / 'model')
    loaded = Policy.load(tmp_path / 'model')
    assert torch.equal(loaded.encode(window), policy.encode(window))
