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

"""The policy of ``dpr bench loop`` where none is named: timing does not depend on the weights."""

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.policy.policy import Policy
import numpy as np

NAME = 'untrained, of the size of models/pusht_image'
# A seven-joint arm with two cameras.
CONTRACT = """
contract_version: 1
robot: bench
rate_hz: 10
settle_ms: 25
observations:
  - key: observation.images.front
    topic: front_camera/image_raw
    type: sensor_msgs/msg/Image
    image: {height: 96, width: 96, encoding: rgb8, resize: stretch}
    max_age_ms: 250
  - key: observation.images.wrist
    topic: wrist_camera/image_raw
    type: sensor_msgs/msg/Image
    image: {height: 96, width: 96, encoding: rgb8, resize: stretch}
    max_age_ms: 250
  - key: observation.state
    topic: joint_states
    type: sensor_msgs/msg/JointState
    joints: [joint_1, joint_2, joint_3, joint_4, joint_5, joint_6, joint_7]
    unit: rad
    max_age_ms: 250
actions:
  - topic: joint_commands
    type: sensor_msgs/msg/JointState
    joints: [joint_1, joint_2, joint_3, joint_4, joint_5, joint_6, joint_7]
    unit: rad
"""
SIZE = {'vision_backbone': 'light_cnn', 'down_dims': (64, 128, 256), 'horizon': 16,
        'n_obs_steps': 2, 'n_action_steps': 8}
SAMPLER = Sampler('dpm_solver++', num_inference_steps=10)


def save_bench_policy(folder):
    """
    Write an untrained policy.

    :param folder: Checkpoint folder to make.
    """
    contract = parse_contract(CONTRACT, 'contract of the bench')
    ones = np.ones(len(contract.action_names))
    limits = {'min': -ones, 'max': ones, 'mean': 0 * ones, 'std': 0.5 * ones}
    Policy.from_dataset(
        PolicyConfig.from_contract(contract, **SIZE),
        {'observation.state': limits, 'action': limits}, contract, sampler=SAMPLER).save(folder)
