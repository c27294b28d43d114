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
LeRobot's own encoders make the same of the same pictures and weights.

What it made of a few is stored in lerobot_encoders.json. The other tests ask it: name an
interpreter with lerobot 0.6 in the environment variable DPR_LEROBOT_PYTHON.
"""

import importlib.util
import json
import os
from pathlib import Path
import subprocess

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.normalizer import Normalizer, unit_image_statistics
import numpy as np
import pytest
import torch

ORACLE = Path(__file__).with_name('encoder_oracle.py')
PYTHON = os.environ.get('DPR_LEROBOT_PYTHON')
STORED = json.loads(ORACLE.with_name('lerobot_encoders.json').read_text('utf-8'))
SMALL = {'down_dims': (16, 32), 'diffusion_step_embed_dim': 16, 'n_groups': 8, 'horizon': 16,
         'n_action_steps': 8}
spec = importlib.util.spec_from_file_location('encoder_oracle', ORACLE)
oracle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oracle)


def make_policy(shape, cameras=1, **settings):
    """Return a policy that sees a state of two entries as it is, and pictures in [-1, 1]."""
    torch.manual_seed(0)
    images = {f'observation.images.camera{index}': {'type': 'VISUAL', 'shape': shape}
              for index in range(cameras)}
    settings.pop('crop_ratio', None)
    config = PolicyConfig(
        input_features={**images, 'observation.state': {'type': 'STATE', 'shape': (2,)}},
        output_features={'action': {'type': 'ACTION', 'shape': (2,)}},
        normalization_mapping={'VISUAL': 'MEAN_STD', 'STATE': 'IDENTITY', 'ACTION': 'IDENTITY'},
        **settings)
    return Policy(config, Normalizer(config, dict.fromkeys(
        images, unit_image_statistics(shape[0]))))


def window_of(images, state=None):
    """Return a window of images uint8 (B, rows, cameras, H, W, C)."""
    window = {f'observation.images.camera{index}': images[:, :, index]
              for index in range(images.shape[2])}
    return window if state is None else {**window, 'observation.state': state}


@pytest.mark.parametrize('case', STORED, ids=[f'{c["vision_backbone"]} group norm '
                                              f'{c["use_group_norm"]}' for c in STORED])
def test_features_are_those_that_lerobot_made(case, monkeypatch):
    settings = {name: value for name, value in case.items() if name not in ('shape', 'features')}
    policy = make_policy(case['shape'], n_obs_steps=1, **SMALL, **settings).eval()
    encoder = policy.diffusion.rgb_encoder
    encoder.load_state_dict({**encoder.state_dict(), **{
        name: torch.from_numpy(value) for name, value in oracle.fill(
            encoder.state_dict()).items()}})
    # The stored pictures are floats, which a window's colours are not.
    pictures = torch.from_numpy(oracle.picture(case['shape'])).permute(0, 2, 3, 1)[:, None]
    monkeypatch.setitem(policy._layout, 'observation.images.camera0',
                        (tuple(pictures.shape[1:]), torch.float32))
    features = policy.image_features({'observation.images.camera0': pictures}).flatten(0, 1)
    expected = torch.tensor(case['features'])
    assert expected.std() > 0.05
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


def ask(folder, settings, cameras):
    """Write a question, and return its file and what this package answers."""
    policy = make_policy((3, 48, 60), cameras, **settings)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (2, 2, cameras, 48, 60, 3), dtype=np.uint8)
    state = random.normal(size=(2, 2, 2)).astype(np.float32)
    weights = {name: value.numpy().copy() for name, value in policy.diffusion.state_dict().items()}
    path = folder / f'{len(list(folder.iterdir()))}.npz'
    np.savez(path, images=images, state=state, settings=json.dumps(settings), **weights)
    with torch.no_grad():
        found = {mode: getattr(policy, mode)().encode(window_of(images, state))
                 for mode in ('train', 'eval')}
    return path, {**found, **dict(policy.diffusion.rgb_encoder.named_buffers())}


@pytest.mark.skipif(not PYTHON, reason='DPR_LEROBOT_PYTHON names no Python with lerobot 0.6')
@pytest.mark.timeout(600)
def test_lerobot_makes_the_same_condition_and_statistics_of_all_weights(tmp_path):
    answers = {}
    for sizes in ({'crop_shape': (40, 44)}, {'resize_shape': (64, 80)},
                  {'resize_shape': (40, 50), 'crop_ratio': 0.8, 'crop_shape': (32, 40)}):
        for backbone, cameras, separate, group_norm in (
                ('resnet18', 2, True, False), ('resnet18', 1, False, True),
                ('resnet34', 2, False, False)):
            path, found = ask(tmp_path, {
                **SMALL, **sizes, 'vision_backbone': backbone, 'n_obs_steps': 2,
                'use_group_norm': group_norm, 'crop_is_random': False,
                'spatial_softmax_num_keypoints': 4,
                'use_separate_rgb_encoder_per_camera': separate}, cameras)
            answers[path] = found
    done = subprocess.run(
        [PYTHON, str(ORACLE), *map(str, answers)], capture_output=True, text=True, timeout=500,
        stdin=subprocess.DEVNULL,
        env={**os.environ, 'HF_HOME': str(tmp_path), 'HF_HUB_OFFLINE': '1', 'PYTHONPATH': ''})
    assert done.returncode == 0, done.stderr[-3000:]
    for path, found in answers.items():
        with np.load(path) as file:
            expected = {name: torch.from_numpy(value) for name, value in file.items()}
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(
                found[name], value, atol=1e-5, rtol=1e-5, msg=lambda text: f'{name}: {text}')
