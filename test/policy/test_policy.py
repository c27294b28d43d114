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
"""Tests of the policy: windows in, chunks out."""

from pathlib import Path

from diffusion_policy_ros.contract import load_contract, parse_contract
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import ConfigError, SamplingError
from diffusion_policy_ros.networks.augmentation import Augmentation
import numpy as np
import pytest
import torch
import yaml

CAMERA, STATE = 'observation.images.camera', 'observation.state'
ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'
SAMPLERS = [Sampler(), Sampler('ddim', 4), Sampler('ddim', 4, eta=1.0), Sampler('ddpm', 4),
            Sampler('dpm_solver++', 1)]


def seeded(seed=0):
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize('sampler', SAMPLERS)
def test_same_seed_gives_the_same_chunk_bit_for_bit(policy, window, sampler):
    first, second, other = (policy.sample(window, sampler=sampler, generator=seeded(seed))
                            for seed in (1, 1, 2))
    assert first.shape == (2, 16, 2) and first.dtype == torch.float32
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_default_sampler_is_the_second_order_solver_with_ten_steps(policy, window):
    assert policy.sampler == Sampler('dpm_solver++', num_inference_steps=10, order=2)
    assert torch.equal(policy.sample(window, generator=seeded()),
                       policy.sample(window, sampler=policy.sampler, generator=seeded()))


def test_noise_replaces_the_generator(policy, window):
    noise = torch.randn(2, 16, 2, generator=seeded())
    assert torch.equal(policy.sample(window, noise=noise),
                       policy.sample(window, generator=seeded()))


def test_chunk_stays_within_the_range_of_the_demonstrations(policy, window):
    noise = 50 * torch.ones(2, 16, 2)
    for sampler in SAMPLERS:
        chunk = policy.sample(window, sampler=sampler, noise=noise)
        assert (chunk >= torch.tensor([0.02, 0.05]) - 1e-6).all()
        assert (chunk <= torch.tensor([0.51, 0.49]) + 1e-6).all()


@pytest.mark.parametrize('sampler', [
    Sampler('ddim'), Sampler('ddpm'), Sampler('dpm_solver++', order=1), Sampler('dpm_solver++')])
def test_an_overflow_in_the_network_never_becomes_a_plausible_action(
        make_policy, window, sampler):
    policy = make_policy()
    with torch.no_grad():
        policy.diffusion.unet.final_conv[-1].weight.fill_(3e38)
    with pytest.raises(SamplingError, match='the result of sampling is not finite'):
        policy.sample(window, sampler=sampler, generator=seeded())


def test_without_clipping_a_chunk_may_leave_that_range(make_policy, window):
    policy = make_policy(clip_sample=False)
    chunk = policy.sample(window, noise=50 * torch.ones(2, 16, 2))
    assert (chunk > 0.6).any() or (chunk < -0.1).any()


def test_samples_of_a_batch_do_not_mix(policy, window):
    noise = torch.randn(2, 16, 2, generator=seeded())
    whole = policy.sample(window, noise=noise)
    for row in range(2):
        part = {key: value[row:row + 1] for key, value in window.items()}
        torch.testing.assert_close(policy.sample(part, noise=noise[row:row + 1])[0], whole[row])


def test_executable_rows_start_at_the_newest_observation(policy):
    chunk = torch.arange(16.0).view(1, 16, 1)
    assert policy.executable(chunk).flatten().tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_tensors_and_arrays_give_the_same_chunk_and_other_keys_are_ignored(policy, window):
    tensors = {key: torch.from_numpy(value) for key, value in window.items()}
    tensors['observation.environment_state'] = torch.zeros(2, 2, 9)
    assert torch.equal(policy.sample(tensors, generator=seeded()),
                       policy.sample(window, generator=seeded()))


@pytest.mark.filterwarnings('error')
def test_read_only_and_mirrored_arrays_are_accepted(policy, window):
    frozen = {key: value[:, :, ::-1] for key, value in window.items()}
    plain = {key: value.copy() for key, value in frozen.items()}
    for value in frozen.values():
        value.flags.writeable = False
    assert torch.equal(policy.sample(frozen, generator=seeded()),
                       policy.sample(plain, generator=seeded()))


def test_cached_image_features_give_the_same_condition(policy, window):
    features = policy.image_features({CAMERA: window[CAMERA]})
    assert features.shape == (2, 2, 8)
    cond = policy.global_cond(features, {STATE: window[STATE]})
    assert torch.equal(cond, policy.encode(window))
    assert torch.equal(policy.sample_from(cond, generator=seeded()),
                       policy.sample(window, generator=seeded()))


def test_condition_holds_normalized_state_and_encoded_pixels_row_by_row(policy, window):
    cond = policy.encode(window).view(2, 2, 10)
    low, high = torch.tensor([0.01, 0.02]), torch.tensor([0.5, 0.48])
    state = 2 * (torch.from_numpy(window[STATE]) - low) / (high - low) - 1
    torch.testing.assert_close(cond[:, :, :2], state)
    pixels = torch.from_numpy(window[CAMERA])[1, 0, 28:68, 26:70].permute(2, 0, 1) / 127.5 - 1
    torch.testing.assert_close(cond[1, 0, 2:], policy.diffusion.rgb_encoder(pixels[None])[0])


def test_augmentation_is_asked_for_and_seeded(policy, window):
    plain = policy.encode(window)
    first, second = (policy.encode(window, augmentation=Augmentation(), generator=seeded())
                     for _ in range(2))
    assert torch.equal(first, second) and not torch.equal(first, plain)


def test_training_mode_does_not_change_what_is_sampled(make_policy, window):
    policy = make_policy().train()
    trained = policy.sample(window, generator=seeded())
    assert torch.equal(policy.eval().sample(window, generator=seeded()), trained)


def test_loss_reaches_encoder_and_denoiser(make_policy, window):
    policy = make_policy()
    x0, noise = torch.randn(2, 2, 16, 2)
    t = torch.tensor([3, 80])
    x_t = policy.process.add_noise(x0, noise, t)
    (policy.denoise(x_t, t, policy.encode(window)) - noise).square().mean().backward()
    assert all(p.grad is not None for p in policy.parameters())


def test_sampling_first_does_not_spoil_training(make_policy, window):
    policy = make_policy()
    policy.sample(window)
    test_loss_reaches_encoder_and_denoiser(lambda: policy, window)


@pytest.mark.parametrize('prediction_type', ('epsilon', 'sample', 'v_prediction'))
def test_perfect_denoiser_recovers_the_demonstration(make_policy, window, prediction_type):
    policy = make_policy(prediction_type=prediction_type)
    actions = torch.rand(2, 16, 2) * 0.4 + 0.06
    x0 = policy.normalizer.normalize('action', actions)

    def perfect(x_t, t, global_cond):
        level = policy.process.level(int(t[0]))
        eps = (x_t - level.alpha * x0) / level.sigma
        return {'epsilon': eps, 'sample': x0.clone(),
                'v_prediction': level.alpha * eps - level.sigma * x0}[prediction_type]

    policy.denoise = perfect
    for sampler in SAMPLERS:
        chunk = policy.sample(window, sampler=sampler, generator=seeded())
        torch.testing.assert_close(chunk, actions, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('change, message', [
    ({CAMERA: None}, "window has no 'observation.images.camera', wanted uint8 "
                     r'\(batch, 2, 96, 96, 3\); it has: observation.state'),
    ({STATE: np.zeros((2, 2, 3), np.float32)},
     r"window\['observation.state'\]: got float32 \(2, 2, 3\), wanted float32 \(batch, 2, 2\)"),
    ({STATE: np.zeros((2, 2, 2))}, r'got float64 \(2, 2, 2\), wanted float32'),
    ({STATE: np.zeros((2, 2), np.float32)}, r'got float32 \(2, 2\), wanted float32 \(batch, 2'),
    ({STATE: np.float32(1)}, r'got float32 \(\), wanted'),
    ({CAMERA: np.zeros((2, 2, 96, 96, 3), np.float32)}, r'got float32 .*wanted uint8'),
    ({CAMERA: np.zeros((2, 2, 3, 96, 96), np.uint8)}, r'got uint8 \(2, 2, 3, 96, 96\)'),
    ({STATE: np.zeros((3, 2, 2), np.float32)}, 'different batch sizes: .*camera.: 2.*state.: 3'),
])
def test_window_that_does_not_fit_is_refused(policy, window, change, message):
    window = {key: value for key, value in {**window, **change}.items() if value is not None}
    with pytest.raises(ConfigError, match=message):
        policy.sample(window)


def test_noise_that_does_not_fit_is_refused(policy, window):
    with pytest.raises(ConfigError, match=r'noise: got float32 \(1, 16, 2\), wanted float32 \(2'):
        policy.sample(window, noise=torch.zeros(1, 16, 2))


def test_more_steps_than_levels_are_refused(policy, make_policy, window):
    with pytest.raises(ConfigError, match='num_inference_steps is 101; ddim has 100 noise levels'):
        policy.sample(window, sampler=Sampler('ddim', 101))
    with pytest.raises(ConfigError, match='num_inference_steps is 100; dpm_solver.* has 99'):
        make_policy(sampler=Sampler('dpm_solver++', 100))


@pytest.mark.parametrize('separate, encoders', [(False, 1), (True, 2)])
def test_two_cameras_share_an_encoder_or_have_their_own(make_policy, separate, encoders):
    robot = load_contract(ROBOTS / 'arm6.yaml')
    numbers = {'min': [0.0] * 7, 'max': [1.0] * 7}
    policy = make_policy(robot, {STATE: numbers, 'action': numbers},
                         use_separate_rgb_encoder_per_camera=separate)
    names = [name for name in policy.state_dict() if name.endswith('pool.pos_grid')]
    assert names == (['diffusion.rgb_encoder.0.pool.pos_grid',
                      'diffusion.rgb_encoder.1.pool.pos_grid'] if separate
                     else ['diffusion.rgb_encoder.pool.pos_grid'])
    window = {key: torch.randint(0, 256, (3, 2, 120, 160, 3), dtype=torch.uint8)
              for key in policy.config.image_keys}
    window[STATE] = torch.rand(3, 2, 7)
    features = policy.image_features(window)
    assert features.shape == (3, 2, 16)
    for index, key in enumerate(policy.config.image_keys):
        encoder = policy.diffusion.rgb_encoder
        encoder = encoder[index] if separate else encoder
        pixels = window[key][2, 1, 40:80, 58:102].permute(2, 0, 1) / 127.5 - 1
        torch.testing.assert_close(features[2, 1, 8 * index:8 * index + 8],
                                   encoder(pixels[None])[0])
    assert policy.sample(window).shape == (3, 16, 7)


def test_policy_without_cameras_samples_from_vectors(make_policy, contract):
    document = contract.to_dict()
    document['observations'] = document['observations'][1:]
    document['observations'][1].pop('role')
    robot = parse_contract(yaml.safe_dump(document))
    policy = make_policy(robot, {
        STATE: {'min': [0, 0], 'max': [1, 1]}, 'action': {'min': [0, 0], 'max': [1, 1]},
        'observation.environment_state': {'min': [-1.0] * 9, 'max': [1.0] * 9}}, crop_shape=None)
    window = {STATE: torch.rand(1, 2, 2), 'observation.environment_state': torch.rand(1, 2, 9)}
    assert policy.image_features(window) is None
    assert policy.encode(window).shape == (1, 22)
    assert policy.sample(window).shape == (1, 16, 2)
    assert not any('rgb_encoder' in name for name in policy.state_dict())


def test_depth_images_keep_their_unit_and_use_the_dataset_statistics(make_policy, contract):
    document = contract.to_dict()
    document['observations'][0]['image'] = {'height': 96, 'width': 96, 'encoding': '16UC1'}
    robot = parse_contract(yaml.safe_dump(document))
    numbers = {'min': [0, 0], 'max': [1, 1]}
    depth = {'mean': [[[800.0]]], 'std': [[[200.0]]]}
    policy = make_policy(robot, {STATE: numbers, 'action': numbers, CAMERA: depth})
    window = {CAMERA: np.full((1, 2, 96, 96, 1), 1000, np.uint16),
              STATE: np.zeros((1, 2, 2), np.float32)}
    seen = []
    policy.diffusion.rgb_encoder.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0]))
    policy.sample(window)
    assert seen[0].shape == (2, 1, 40, 44) and (seen[0] == 1.0).all()
    with pytest.raises(ConfigError, match="statistics of 'observation.images.camera' lack mean"):
        make_policy(robot, {STATE: numbers, 'action': numbers})


def test_contract_with_other_shapes_is_refused(policy, contract):
    arm = load_contract(ROBOTS / 'arm6.yaml')
    with pytest.raises(ConfigError, match="sees 'observation.images.camera', the contract of"):
        type(policy)(policy.config, policy.normalizer, contract=arm)
    document = contract.to_dict()
    document['observations'][0]['image']['width'] = 128
    wider = parse_contract(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=r'sees shape \(96, 96, 3\), the contract of'):
        type(policy)(policy.config, policy.normalizer, contract=wider)
