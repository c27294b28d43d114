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

"""A small robot, its contract and a written dataset for the training tests."""

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.training.config import load_train_config
import numpy as np
import pytest
import torch

torch.set_num_threads(1)

CONTRACT = """
robot: dot
rate_hz: 10
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 32, width: 32}, max_age_ms: 150}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [x, y], max_age_ms: 150}
  - {key: observation.environment_state, topic: target, role: auxiliary, max_age_ms: 150,
     type: std_msgs/msg/Float64MultiArray, names: [target_x, target_y], stamp: receive}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [x, y], max_age_ms: 150}
"""
SMALL = ['batch_size=8', 'log_every=2', 'validate_every=4', 'checkpoint_every=4',
         'validation_episodes=1', 'warmup_steps=2', 'policy.vision_backbone=light_cnn',
         'policy.down_dims=[16,32]', 'policy.horizon=8', 'policy.n_action_steps=4']


def write_dataset(folder, episodes=3, rows=12, seed=0):
    """Write episodes in which a white dot is the target that the robot moves to."""
    contract = parse_contract(CONTRACT)
    random = np.random.default_rng(seed)
    # Without loss: what libx264 loses may differ between two runs on a busy machine.
    with LeRobotWriter(folder, contract, codec='h264-lossless') as writer:
        for _ in range(episodes):
            target, place = random.uniform(0.2, 0.8, 2), random.uniform(0, 1, 2)
            for row in range(rows):
                picture = np.zeros((32, 32, 3), np.uint8)
                column, line = (target * 31).astype(int)
                picture[line - 2:line + 3, column - 2:column + 3] = 255
                writer.add_row({
                    'observation.images.camera': picture,
                    'observation.state': place.astype(np.float32),
                    'observation.environment_state': target.astype(np.float32),
                    'action': target.astype(np.float32)},
                    tick_ns=row * 100_000_000 + 1,
                    ages_ns={s.topic: 0 for s in (*contract.observations, *contract.actions)})
                place = place + 0.3 * (target - place)
            writer.save_episode('Go to the dot.')
    return folder


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    """Leave the picture of the curves out: drawing it takes longer than a small training."""
    monkeypatch.setattr('diffusion_policy_ros.training.record.draw_curves', lambda *_: None)


@pytest.fixture(scope='session')
def dataset(tmp_path_factory):
    """Give the folder of a small written dataset."""
    return write_dataset(tmp_path_factory.mktemp('training') / 'dataset')


@pytest.fixture(scope='session')
def other_dataset(tmp_path_factory):
    """Give the folder of a dataset of equal shapes with other values."""
    return write_dataset(tmp_path_factory.mktemp('training') / 'other', seed=1)


@pytest.fixture
def small_config():
    """Build a small configuration with some settings changed."""
    return lambda *overrides: load_train_config(None, [*SMALL, *overrides])
