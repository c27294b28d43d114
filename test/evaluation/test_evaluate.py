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

"""Lock-step evaluation shows the policy what the robot shows, and repeats exactly."""

from dataclasses import replace

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.evaluation.evaluate import evaluate, observation_messages
from diffusion_policy_ros.message_types import POSE_STAMPED, POSITION, ROT6D
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.streams import ObservationStream
import numpy as np
import pytest
import torch

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


class Counter:
    """A robot that counts its steps and is done when told to go to 5."""

    def __init__(self, contract):
        self.contract = contract
        self.rendered = []

    def reset(self, seed):
        self.seed, self.steps, self.actions = seed, 0, []

    def step(self, action):
        self.steps += 1
        self.actions.append(float(action[0]))

    def observation(self):
        self.rendered.append(self.steps)
        return {'observation.images.camera': np.full((4, 4, 3), self.steps, np.uint8),
                'observation.state': np.array([self.seed, self.steps, 0.5], np.float32)}

    def score(self):
        return min(1.0, self.steps / 20)

    @property
    def success(self):
        return bool(self.actions) and self.actions[-1] >= 5


class EchoPolicy:
    """Remembers its windows and commands the step counter it sees plus the start noise."""

    def __init__(self):
        self.contract = CONTRACT
        self.device = torch.device('cpu')
        self.config = type('Config', (), {
            'horizon': 8, 'action_dim': 1, 'n_obs_steps': 2, 'n_action_steps': 4})
        self.windows, self.noises, self.fresh = [], [], []

    def sample(self, window, *, sampler, generator, noise):
        del sampler
        self.fresh.append(torch.randn(1, generator=generator).item())
        self.windows.append(window)
        self.noises.append(noise)
        seen = window['observation.state'][:, -1, 1]
        return seen[:, None, None] + torch.arange(8.0)[None, :, None] / 10

    def executable(self, chunk):
        return chunk[:, 1:5]


def test_the_policy_sees_the_last_two_rows_and_its_rows_are_executed():
    policy, made = EchoPolicy(), []

    def make(contract):
        made.append(Counter(contract))
        return made[-1]

    result = evaluate(policy, make, [7], sampler=Sampler(), execute_horizon=4, max_steps=300)
    states = [w['observation.state'][0].tolist() for w in policy.windows]
    assert states[0] == [[7, 0, 0.5], [7, 0, 0.5]]
    assert states[1] == [[7, 3, 0.5], [7, 4, 0.5]]
    pictures = policy.windows[1]['observation.images.camera'][0]
    assert pictures.dtype == torch.uint8 and pictures[:, 0, 0, 0].tolist() == [3, 4]
    assert made[0].actions[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 4.1])
    assert made[0].rendered[:3] == [0, 3, 4]
    assert result.episodes[0].success and result.episodes[0].steps == 9


def test_a_policy_may_see_the_pose_of_an_object():
    observations = (*CONTRACT.observations, ObservationStream(
        'observation.environment_state', 'block_pose', POSE_STAMPED, 150.0,
        names=POSITION + ROT6D))
    contract = replace(CONTRACT, observations=observations)
    pose = np.array([0.1, 0.2, 0.0, 0.6, 0.8, 0.0, -0.8, 0.6, 0.0], np.float32)
    counter = Counter(contract)
    counter.reset(3)
    shown = {**counter.observation(), 'observation.environment_state': pose}
    windows = WindowBuilder(contract, 1)
    for topic, message in observation_messages(contract, shown, 10**9):
        windows.push(topic, message, 10**9)
    window, _ = windows.window(10**9)
    np.testing.assert_allclose(window['observation.environment_state'], [pose], atol=1e-6)


def test_an_episode_ends_at_its_last_step_without_success():
    policy = EchoPolicy()
    result = evaluate(policy, Counter, [1], sampler=Sampler(), execute_horizon=1, max_steps=3)
    assert (result.episodes[0].steps, result.episodes[0].success) == (3, False)
    assert result.episodes[0].score == pytest.approx(0.15)
    assert len(policy.windows) == 3


def test_noise_belongs_to_the_episode_and_not_to_the_batch():
    alone, together = EchoPolicy(), EchoPolicy()
    evaluate(alone, Counter, [3], sampler=Sampler(), execute_horizon=4, max_steps=4)
    evaluate(together, Counter, [2, 3], sampler=Sampler(), execute_horizon=4, max_steps=4)
    assert torch.equal(alone.noises[0][0], together.noises[0][1])


def test_the_noise_of_stochastic_samplers_repeats():
    first, second = EchoPolicy(), EchoPolicy()
    for policy in (first, second):
        evaluate(policy, Counter, [2, 3], sampler=Sampler('ddpm'), execute_horizon=4,
                 max_steps=8)
    assert first.fresh == second.fresh and len(set(first.fresh)) == 2


def test_summary_counts_scores_and_successes():
    policy = EchoPolicy()
    progress = []
    result = evaluate(policy, Counter, range(5), sampler=Sampler(), execute_horizon=4,
                      max_steps=300, batch_size=2, progress=progress.append)
    figures = result.to_dict()
    assert progress == [2, 2, 1]
    assert figures['success_rate'] == 1 and figures['success_rate_95'][1] == 1
    assert [r['seed'] for r in figures['results']] == list(range(5))
    low, high = figures['mean_score_95']
    assert (f'5 episodes: mean score {result.mean_score:.3f} (1 is best; 95 % {low:.3f} to '
            f'{high:.3f}), success 100.0 %') in result.sentence()


def test_messages_carry_the_observation_through_the_shared_path():
    observation = {'observation.images.camera': np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
                   'observation.state': np.array([0.25, -1.5, 0.5], np.float32)}
    builder = WindowBuilder(CONTRACT, 1)
    for topic, message in observation_messages(CONTRACT, observation, 10**9):
        builder.push(topic, message, 10**9)
    window, ages = builder.window(10**9)
    for key, value in observation.items():
        assert np.array_equal(window[key][0], value)
    assert set(ages.values()) == {0}
