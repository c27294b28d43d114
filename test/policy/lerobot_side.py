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

"""This package's side of the comparison with LeRobot: its folders, run here."""

import json
from pathlib import Path
import shutil

from diffusion_policy_ros.policy import Policy
from lerobot_cases import make_tensor
import numpy as np
from safetensors.torch import load_file, save_file
import torch

FIXTURES = Path(__file__).parent / 'fixtures'
NAMES = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir())
NOISE_SEED = 7


def grid_of(height_width):
    """Return the grid of LeRobot's spatial softmax."""
    x, y = np.meshgrid(np.linspace(-1, 1, height_width[1]), np.linspace(-1, 1, height_width[0]))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def weights_by_rule(name):
    """Return the weights of a fixture: the U-Net's are stored, the others made by rule."""
    stored = load_file(FIXTURES / name / 'unet.safetensors')
    rule = json.loads((FIXTURES / name / 'made_by_rule.json').read_text())
    weights = {}
    for key, shape in rule['shapes'].items():
        value = make_tensor(key, tuple(shape), rule['seed'])
        if key.endswith('pos_grid'):
            value = grid_of({2: (1, 2), 4: (2, 2)}[shape[0]])
        weights[key] = torch.tensor(0) if value is None else torch.from_numpy(value)
    return {**weights, **{f'diffusion.unet.{key}': tensor for key, tensor in stored.items()}}


def copy_fixture(name, folder):
    """Copy a fixture and make the weights that are not stored."""
    shutil.copytree(FIXTURES / name, folder)
    if not (folder / 'model.safetensors').exists():
        save_file(weights_by_rule(name), folder / 'model.safetensors')
    return folder


def expected_of(path):
    """Return ``(inputs, chunk)`` that are stored."""
    with np.load(path) as file:
        inputs = dict(file)
    return inputs, inputs.pop('chunk')


def answer(policy, inputs):
    """Return the rows that may be executed, from the stored noise."""
    window = {key: value for key, value in inputs.items() if key != 'noise'}
    chunk = policy.sample(window, noise=torch.from_numpy(inputs['noise']),
                          generator=torch.Generator().manual_seed(NOISE_SEED))
    return policy.executable(chunk).numpy()


def differences(policy, inputs, expected):
    """Return the largest difference of two chunks, in normalized units, relative above 1."""
    def normalize(x):
        return policy.normalizer.normalize('action', torch.from_numpy(x))

    ours, theirs = normalize(answer(policy, inputs)), normalize(expected)
    return float(((ours - theirs).abs() / theirs.abs().clamp(min=1)).max())


def load(folder):
    """Load a policy from a folder."""
    return Policy.load(folder)
