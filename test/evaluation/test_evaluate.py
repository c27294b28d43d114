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

from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.diffusion import Sampler, sampling
from diffusion_policy_ros.evaluation.evaluate import evaluate, Evaluation, observation_messages
from diffusion_policy_ros.evaluation.intervals import bootstrap_interval
from diffusion_policy_ros.evaluation.rollout import EpisodeResult, LoopSettings
from diffusion_policy_ros.message_types import POSE_STAMPED, POSITION, ROT6D
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.policy.planner import PlanOptions
from diffusion_policy_ros.streams import ObservationStream
import numpy as np
import pytest
import torch

FOUR_ROWS = LoopSettings(ReplanSettings(4))
OPTIONS = PlanOptions(Sampler())


def test_the_policy_sees_the_last_two_rows_and_its_rows_are_executed(echo, counter):
    policy, made = echo(), []

    def make(contract):
        made.append(counter(contract))
        return made[-1]

    result = evaluate(policy, make, [7], options=OPTIONS, loop=FOUR_ROWS, max_steps=300)
    states = [w['observation.state'][0].tolist() for w in policy.windows]
    assert states[0] == [[7, 0, 0.5], [7, 0, 0.5]]
    assert states[1] == [[7, 3, 0.5], [7, 4, 0.5]]
    pictures = policy.windows[1]['observation.images.camera'][0]
    assert pictures.dtype == torch.uint8 and pictures[:, 0, 0, 0].tolist() == [3, 4]
    assert made[0].actions[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 4.1])
    assert made[0].rendered[:3] == [0, 3, 4]
    assert result.episodes[0].success and result.episodes[0].steps == 9
    commands, borders = result.traces[0]
    assert [float(c[0]) for c in commands] == made[0].actions and borders == [0, 4, 8]


def test_a_policy_may_see_the_pose_of_an_object(echo, counter):
    dot = echo().contract
    observations = (*dot.observations, ObservationStream(
        'observation.environment_state', 'block_pose', POSE_STAMPED, 150.0,
        names=POSITION + ROT6D))
    contract = replace(dot, observations=observations)
    pose = np.array([0.1, 0.2, 0.0, 0.6, 0.8, 0.0, -0.8, 0.6, 0.0], np.float32)
    robot = counter(contract)
    robot.reset(3)
    shown = {**robot.observation(), 'observation.environment_state': pose}
    windows = WindowBuilder(contract, 1)
    for topic, message in observation_messages(contract, shown, 10**9):
        windows.push(topic, message, 10**9)
    window, _ = windows.window(10**9)
    np.testing.assert_allclose(window['observation.environment_state'], [pose], atol=1e-6)


def test_an_episode_ends_at_its_last_step_without_success(echo, counter):
    policy, every_row = echo(), LoopSettings(ReplanSettings(1))
    result = evaluate(policy, counter, [1], options=OPTIONS, loop=every_row, max_steps=3)
    assert (result.episodes[0].steps, result.episodes[0].success) == (3, False)
    assert result.episodes[0].score == pytest.approx(0.15)
    assert len(policy.windows) == 3


def test_noise_belongs_to_the_episode_and_not_to_the_batch(echo, counter):
    alone, together = echo(), echo()
    evaluate(alone, counter, [3], options=OPTIONS, loop=FOUR_ROWS, max_steps=4)
    evaluate(together, counter, [2, 3], options=OPTIONS, loop=FOUR_ROWS, max_steps=4)
    assert torch.equal(alone.noises[0][0], together.noises[0][1])


def test_the_noise_of_stochastic_samplers_repeats(echo, counter, monkeypatch):
    draw, fresh = sampling.draw_noise, []
    monkeypatch.setattr(sampling, 'draw_noise',
                        lambda *args, **how: fresh.append(draw(*args, **how)) or fresh[-1])
    options = PlanOptions(Sampler('ddpm', 4))
    for _ in range(2):
        evaluate(echo(), counter, [2, 3], options=options, loop=FOUR_ROWS, max_steps=8)
    first, second = fresh[:len(fresh) // 2], fresh[len(fresh) // 2:]
    assert len(first) == 2 * 3 and all(map(torch.equal, first, second))
    assert len({float(noise[0, 0, 0]) for noise in first}) == len(first)


def test_summary_counts_scores_and_successes(echo, counter):
    progress = []
    result = evaluate(echo(), counter, range(5), options=OPTIONS, loop=FOUR_ROWS, max_steps=300,
                      batch_size=2, progress=progress.append)
    figures = result.to_dict()
    assert progress == [2, 2, 1]
    assert figures['success_rate'] == 1 and figures['success_rate_95'][1] == 1
    assert [r['seed'] for r in figures['results']] == list(range(5))
    assert figures['mean_score_95'] is None  # too few to tell
    assert (f'5 episodes: mean score {result.mean_score:.3f} (1 is best; 95 % -), success '
            '100.0 % (95 % 56.6 to 100.0)') == result.sentence()


def test_the_summary_of_many_episodes_has_the_interval_of_their_mean():
    scores = np.random.default_rng(0).random(40)
    result = Evaluation(tuple(EpisodeResult(seed, score, False, 9)
                              for seed, score in enumerate(scores)), 1.0)
    low, high = bootstrap_interval(scores)
    assert f'(1 is best; 95 % {low:.3f} to {high:.3f}), success 0.0 %' in result.sentence()


def test_messages_carry_the_observation_through_the_shared_path(echo):
    contract = echo().contract
    observation = {'observation.images.camera': np.arange(48, dtype=np.uint8).reshape(4, 4, 3),
                   'observation.state': np.array([0.25, -1.5, 0.5], np.float32)}
    builder = WindowBuilder(contract, 1)
    for topic, message in observation_messages(contract, observation, 10**9):
        builder.push(topic, message, 10**9)
    window, ages = builder.window(10**9)
    for key, value in observation.items():
        assert np.array_equal(window[key][0], value)
    assert set(ages.values()) == {0}


def test_ctrl_c_keeps_whole_batches_where_that_is_wanted(echo, counter):
    def interrupted(seed):
        if seed == 4:
            raise KeyboardInterrupt
        return observation_messages

    how = {'options': OPTIONS, 'loop': FOUR_ROWS, 'max_steps': 300, 'batch_size': 2,
           'sensors': interrupted}
    kept = evaluate(echo(), counter, range(1, 7), keeps_finished=True, **how)
    assert [e.seed for e in kept.episodes] == [1, 2] and not kept.is_whole
    with pytest.raises(KeyboardInterrupt):
        evaluate(echo(), counter, range(1, 7), **how)
    with pytest.raises(KeyboardInterrupt):
        evaluate(echo(), counter, range(4, 7), keeps_finished=True, **how)
    assert evaluate(echo(), counter, range(1, 3), keeps_finished=True, **how).is_whole
