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

"""What is shown of an episode is what was measured."""

from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.evaluation.evaluate import evaluate
from diffusion_policy_ros.evaluation.rollout import EpisodeResult, LoopSettings
from diffusion_policy_ros.policy.planner import PlanOptions
from diffusion_policy_ros.policy.policy import Policy
import numpy as np
import pytest

pytest.importorskip('gym_pusht')
pytest.importorskip('av')
eval_video = pytest.importorskip('diffusion_policy_ros.evaluation.eval_video')
PushT = eval_video.PushT


def test_best_median_and_worst_go_by_score_and_then_by_speed():
    results = [EpisodeResult(n, score, score == 1, steps) for n, (score, steps) in enumerate(
        [(1.0, 90), (0.2, 300), (1.0, 50), (0.7, 300), (0.9, 300)])]
    assert eval_video.choose(results) == {'best': 2, 'median': 4, 'worst': 1}
    assert eval_video.choose(results[:1]) == {'best': 0, 'median': 0, 'worst': 0}


@pytest.fixture(scope='module')
def measured(save_tiny_policy):
    """Run two short episodes with a delay; the policy, the evaluation and the plans."""
    policy, book = Policy.load(save_tiny_policy()), eval_video.PlanBook()
    loop = LoopSettings(ReplanSettings(4), delay_ms=100.0)
    found = evaluate(policy, PushT, [3, 4], options=PlanOptions(policy.sampler), loop=loop,
                     max_steps=14, watch=book, look_at=eval_video.look_at)
    return policy, found, book


def test_the_record_repeats_the_episode_step_by_step(measured):
    policy, found, book = measured
    record = eval_video.as_record(1, found, book, rate_hz=10.0, n_obs_steps=2)
    assert (record.number, record.seed, len(record.frame_ns)) == (1, 4, 15)
    again = PushT(policy.contract)
    again.reset(4)
    commands, _ = found.traces[1]
    for step, command in enumerate([None, *commands]):
        if step:
            again.wait() if command is None else again.step(command)
        shown = again.observation()
        assert record.states[step] == pytest.approx(
            [*shown['observation.state'], *shown['observation.environment_state']], abs=1e-6)
        assert record.score[step, 0] == pytest.approx(again.coverage())
    assert again.score() == found.episodes[1].score
    # Rounding may move an edge by a pixel of the table.
    apart = record.pictures[-1, 0].astype(int) - again.picture()
    assert np.abs(apart).mean() < 0.1


def test_the_plan_that_is_shown_is_the_one_that_was_followed(measured):
    _, found, book = measured
    record = eval_video.as_record(0, found, book, rate_hz=10.0, n_obs_steps=2)
    commands, borders = found.traces[0]
    assert len(record.plans) == len(borders) and borders[0] == 1
    for step, command in enumerate(commands):
        rows = record.plan_at(record.frame_ns[step])
        if command is None:
            assert not len(rows)
        else:
            assert rows[0] == pytest.approx(command, abs=1e-6)


def test_an_episode_without_a_plan_has_a_record(measured):
    _, found, _ = measured
    record = eval_video.as_record(0, found, eval_video.PlanBook(), rate_hz=10.0, n_obs_steps=2)
    assert not len(record.plan_at(record.frame_ns[-1]))
