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

"""Recorded episodes that nobody has played, and a robot and a policy that can be seen through."""

from types import SimpleNamespace

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.diffusion import DiscreteVp
from diffusion_policy_ros.evaluation.demo_record import EpisodeRecord
import numpy as np
import pytest
import torch

START_NS = 1_700_000_000_000_000_000
CONTRACT = parse_contract("""
robot: dot
rate_hz: 10
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 4, width: 4}, max_age_ms: 150}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [x, y], max_age_ms: 150}
  - {key: observation.state, topic: gripper, type: std_msgs/msg/Float64MultiArray,
     names: [width], stamp: receive, max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [x], max_age_ms: 150}
""")
ROBOT_UNITS = 0.5  # per normalized unit


class Counter:
    """A robot that counts its steps and is done when told to go to its goal."""

    def __init__(self, contract, goal=5):
        self.contract, self.goal = contract, goal
        self.rendered = []

    def reset(self, seed):
        self.seed, self.steps, self.actions, self.waits = seed, 0, [], 0

    def step(self, action):
        self.steps += 1
        self.actions.append(float(action[0]))

    def wait(self):
        self.steps += 1
        self.waits += 1

    def observation(self):
        self.rendered.append(self.steps)
        return {'observation.images.camera': np.full((4, 4, 3), self.steps, np.uint8),
                'observation.state': np.array([self.seed, self.steps, 0.5], np.float32)}

    def score(self):
        return min(1.0, self.steps / 20)

    @property
    def success(self):
        return bool(self.actions) and self.actions[-1] >= self.goal


class EchoPolicy:
    """
    Remembers its windows and start noises, and plans what it is told to.

    ``answer(seen, x_t, level)`` gives the clean chunk (B, horizon, 1) in robot units for the step
    counters that the newest pictures were taken at, (B, 1, 1); by default that counter and a
    tenth for each row.
    """

    def __init__(self, answer=None, horizon=8, n_obs_steps=2, n_action_steps=4):
        self.contract, self.device, self.process = CONTRACT, torch.device('cpu'), DiscreteVp()
        self.config = SimpleNamespace(
            horizon=horizon, action_dim=1, n_obs_steps=n_obs_steps, num_train_timesteps=100,
            n_action_steps=n_action_steps)
        self.normalizer = SimpleNamespace(normalize=lambda key, x: x / ROBOT_UNITS,
                                          unnormalize=lambda key, x: x * ROBOT_UNITS)
        self.windows, self.noises = [], []
        self._answer = answer or (lambda seen, x_t, level: seen + self.row_numbers() / 10)

    def row_numbers(self):
        return torch.arange(self.config.horizon)[None, :, None]

    def encode(self, window):
        self.windows.append(window)
        return window['observation.state'][:, -1, 1:2]

    def denoiser(self, global_cond, sampler):
        is_first = iter([True])

        def denoise(x_t, level):
            if next(is_first, False):
                self.noises.append(x_t)
            return self._answer(global_cond[:, :, None], x_t, level) / ROBOT_UNITS

        return denoise

    def executable(self, chunk):
        first = self.config.n_obs_steps - 1
        return chunk[:, first:first + self.config.n_action_steps]


@pytest.fixture(scope='session')
def counter():
    """Return the robot, a class."""
    return Counter


@pytest.fixture(scope='session')
def echo():
    """Return the policy, a class."""
    return EchoPolicy


def make_record(number=0, seconds=3, top=0.5, **changes):
    """Make an episode of Push-T of some seconds in which the coverage rises to ``top``."""
    ticks = START_NS + np.arange(seconds * 10 + 1) * 100_000_000
    rising = np.linspace(0.0, top, len(ticks))
    none, cos, sin = np.zeros_like(rising), np.cos(rising), np.sin(rising)
    states = np.column_stack([rising * 0.4 + 0.05, rising * 0.3 + 0.1, none + 0.25, none + 0.3,
                              none, cos, sin, none, -sin, cos, none])
    rows = np.arange(15)
    values = {
        'sim': 'pusht', 'number': number, 'seed': 7 + number, 'end_ns': int(ticks[-1]),
        'received_ns': ticks, 'sent_ns': ticks - 300_000,
        'score_ns': ticks, 'score': np.column_stack([rising, rising]),
        'latency_ns': ticks[::8], 'latency_ms': np.linspace(80, 120, len(ticks[::8])),
        'plan_ns': ticks[::8], 'plan_due_ns': ticks[::8, None] + rows * 100_000_000,
        'plans': np.broadcast_to(np.column_stack([rows, rows]) * 0.03,
                                 (len(ticks[::8]), 15, 2)).copy(),
        'frame_ns': ticks, 'states': states,
        'pictures': np.full((len(ticks), 1, 96, 96, 3), 200, dtype=np.uint8),
        'notes': np.array([], dtype=str)}
    return EpisodeRecord(**{**values, **changes})


@pytest.fixture
def record():
    """Return what makes records."""
    return make_record
