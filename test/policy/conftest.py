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
"""A small image policy for the Push-T robot, and windows for it."""

from pathlib import Path
import shutil
import sys

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.policy import Policy
import numpy as np
import pytest
import torch

torch.set_num_threads(1)
sys.path.append(str(Path(__file__).parent))  # for lerobot_cases and lerobot_side

CAMERA, STATE = 'observation.images.camera', 'observation.state'
ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'
STATISTICS = {
    STATE: {'min': [0.01, 0.02], 'max': [0.5, 0.48], 'mean': [0.2, 0.3], 'std': [0.1, 0.1]},
    'action': {'min': [0.02, 0.05], 'max': [0.51, 0.49], 'mean': [0.2, 0.3], 'std': [0.1, 0.1]}}


@pytest.fixture(scope='session')
def contract():
    """Return the contract of the Push-T robot."""
    return load_contract(ROBOTS / 'pusht.yaml')


@pytest.fixture(scope='session')
def make_policy(contract):
    """Return a function that builds a small policy, the same weights every time."""
    def make(robot=contract, statistics=STATISTICS, sampler=None, **changes):
        torch.manual_seed(0)
        config = PolicyConfig.from_contract(robot, **{
            'down_dims': (16, 32), 'diffusion_step_embed_dim': 16, 'vision_backbone': 'light_cnn',
            'crop_shape': (40, 44), 'spatial_softmax_num_keypoints': 4, **changes})
        return Policy.from_dataset(config, statistics, robot, sampler=sampler)

    return make


@pytest.fixture(scope='session')
def policy(make_policy):
    """Return a small policy that no test changes."""
    return make_policy().eval()


@pytest.fixture
def window():
    """Return a window of two samples, as the observation side hands it over."""
    random = np.random.default_rng(0)
    return {CAMERA: random.integers(0, 256, (2, 2, 96, 96, 3), dtype=np.uint8),
            STATE: random.uniform(0, 0.5, (2, 2, 2)).astype(np.float32)}


@pytest.fixture(scope='session')
def saved(policy, tmp_path_factory):
    """Return a checkpoint folder that no test changes."""
    folder = tmp_path_factory.mktemp('models') / 'small'
    policy.save(folder)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    """Return a checkpoint folder that a test may damage."""
    return shutil.copytree(saved, tmp_path / 'copy')
