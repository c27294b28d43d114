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

"""Push-T episodes that ran in lock step as records that ``demo_video`` shows, run only once."""

from diffusion_policy_ros.contract import START_NS
from diffusion_policy_ros.evaluation.demo_record import EpisodeRecord
from diffusion_policy_ros.sim.pusht import CAMERA_KEY, PushT, SUCCESS_COVERAGE
from diffusion_policy_ros.streams import ENVIRONMENT_KEY, STATE_KEY
import numpy as np


def look_at(environment) -> tuple:
    """
    Return what is kept of a Push-T table at each step.

    :param environment: ``PushT``.
    :return: Score so far, coverage now, and the five numbers of ``PushT.state``.
    """
    coverage = environment.coverage()
    # At the start the block may cover a part already, which counts from the first step on.
    score = max(environment.score(), min(coverage / SUCCESS_COVERAGE, 1.0))
    return (score, coverage, *environment.state())


class PlanBook:
    """
    Keeps the plans of all episodes; call it as ``watch`` of ``roll_out``.

    :ivar plans: Seed to a list of plans from their first observation on, float32 (horizon, 2).
    """

    def __init__(self):
        """Start empty."""
        self.plans = {}

    def __call__(self, rollouts, global_cond, plans):
        """
        Keep the plans of a batch.

        :param rollouts: ``Rollout`` objects.
        :param global_cond: Not looked at.
        :param plans: ``Plans``.
        """
        del global_cond
        for rollout, chunk in zip(rollouts, plans.chunks.cpu().numpy()):
            self.plans.setdefault(rollout.seed, []).append((rollout.steps, chunk))


def choose(results) -> dict:
    """
    Return which episodes are the best, the median and the worst.

    :param results: ``EpisodeResult`` objects.
    :return: Name to number of the episode; of equal scores the faster one is better.
    """
    order = sorted(range(len(results)), key=lambda n: (results[n].score, -results[n].steps))
    return {'best': order[-1], 'median': order[(len(order) - 1) // 2], 'worst': order[0]}


def as_record(number, evaluation, book, *, rate_hz, n_obs_steps) -> EpisodeRecord:
    """
    Turn an episode that was run in lock step into a record, as of one over ROS.

    :param number: Number of the episode in the evaluation.
    :param evaluation: ``Evaluation`` that kept what ``look_at`` returned.
    :param book: ``PlanBook`` that watched it.
    :param rate_hz: Steps per second, Hz.
    :param n_obs_steps: Rows of a chunk before the first one that may be followed, and one.
    """
    result, seen = evaluation.episodes[number], np.array(evaluation.seen[number])
    commands, borders = evaluation.traces[number]
    period_ns = round(1e9 / rate_hz)
    frame_ns = START_NS + np.arange(len(seen)) * period_ns
    # A plan that was still under way at the end has no border.
    plans = book.plans.get(result.seed, [])[:len(borders)]
    rows = np.array([chunk[n_obs_steps - 1:] for _, chunk in plans], dtype=np.float64)
    begun = [_first_due(step, border, chunk, commands)
             for (step, _), border, chunk in zip(plans, borders, rows)]
    begun_ns = START_NS + np.array(begun, dtype=np.int64) * period_ns
    due_ns = begun_ns[:, None] + np.arange(rows.shape[1] if plans else 0) * period_ns
    sent = [step for step, command in enumerate(commands) if command is not None]
    sent_ns = START_NS + np.array(sent, dtype=np.int64) * period_ns
    none = np.zeros(0)
    pictures, states = _shown(seen[:, 2:])
    return EpisodeRecord(
        sim='pusht', number=number, seed=result.seed, end_ns=int(frame_ns[-1]),
        received_ns=sent_ns, sent_ns=sent_ns, score_ns=frame_ns,
        score=np.stack([seen[:, 1], np.maximum.accumulate(seen[:, 1])], axis=1),
        latency_ns=none.astype(np.int64), latency_ms=none,
        plan_ns=START_NS + np.array(borders[:len(plans)], dtype=np.int64) * period_ns,
        plan_due_ns=due_ns, plans=rows, frame_ns=frame_ns, pictures=pictures,
        states=states, notes=np.array([], dtype=str))


def _first_due(step, border, rows, commands):
    """
    Return the step at which the first row of a plan was due.

    That is the step of its observation; but where nothing was followed before, or the join takes
    no notice of the delay, a plan is followed from its first row on when it arrives.
    """
    if border >= len(commands) or commands[border] is None:
        return step
    on_time, fresh = (np.linalg.norm(rows[row] - commands[border]) for row in (border - step, 0))
    return border if fresh < on_time else step


def _shown(poses):
    """Return the camera's pictures of all poses, and the vectors that a robot there shows."""
    sim, pictures, states = PushT(), [], []
    for pose in poses:
        sim.reset(state=pose)
        shown = sim.observation()
        pictures.append(shown[CAMERA_KEY][None])
        states.append(np.append(shown[STATE_KEY], shown[ENVIRONMENT_KEY]))
    return np.array(pictures), np.array(states, dtype=np.float64)
