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

"""What episodes over ROS came to: results as in lock step, and how the live loop did."""

from diffusion_policy_ros.evaluation.demo_record import number, percentiles, real_time_factor
from diffusion_policy_ros.evaluation.live_simulations import LIVE
from diffusion_policy_ros.evaluation.loop_timing import measure_timing
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
import numpy as np

# What command_safety says while the robot follows its commands, and the policy server before it
# has any.
FOLLOWING = ('RAMPING', 'FOLLOWING')
FIRST_PLAN = 'waiting for the first plan'
# How names of what command_safety counts at each output end.
COUNTED = ('clamped steps', 'refused')
MOST_REASONS = 5


def episode_result(record, rate_hz) -> EpisodeResult:
    """
    Return the result of an episode.

    :param record: ``EpisodeRecord``.
    :param rate_hz: Rows per second of the policy, Hz.
    """
    steps = round((record.end_ns - record.start_ns) / 1e9 * _rows_per_s(record, rate_hz))
    return EpisodeResult(record.seed, min(record.best_score / LIVE[record.sim].goal, 1.0),
                         record.solved, steps)


def score_course(record, rate_hz, max_steps) -> np.ndarray:
    """
    Return the best score so far at every row of an episode.

    :param record: ``EpisodeRecord``.
    :param rate_hz: Rows per second of the policy, Hz.
    :param max_steps: Rows of an episode at most.
    :return: float64 (max_steps + 1,).
    """
    if not len(record.score):
        return np.zeros(max_steps + 1)
    at_ns = record.start_ns + np.arange(max_steps + 1) / _rows_per_s(record, rate_hz) * 1e9
    newest = np.searchsorted(record.score_ns, at_ns, side='right') - 1
    reached = np.where(newest >= 0, record.score[newest, 1], 0.0)
    return np.minimum(np.maximum.accumulate(reached) / LIVE[record.sim].goal, 1.0)


def live_figures(records, guards, wanted_hz) -> dict:
    """
    Return how the live loop did, text by name.

    :param records: ``EpisodeRecord`` objects, at least one.
    :param guards: What ``eval_observer`` told about command_safety after each.
    :param wanted_hz: Commands per second that were wanted of command_safety.
    """
    timing = measure_timing([record.span for record in records], wanted_hz)
    latency = percentiles(np.concatenate([record.latency_ms for record in records]))
    holds = [text for guard in guards for text in _holds(guard['said'])]
    notes = [str(note) for record in records for note in record.notes if note != FIRST_PLAN]
    factor = real_time_factor(records)
    clamped = {name: _summed(guard['facts'][name] for guard in guards)
               for name in guards[-1]['facts'] if name.endswith(COUNTED)}
    return {
        'real-time factor of the simulation': number(factor, 2),
        'commands per second': f'{timing.commands_per_s:.2f} of {wanted_hz:g}',
        'deviation from their period, 99 %': f'{number(timing.deviation_p99_ms)} ms',
        'longest interval': f'{number(timing.interval_max_ms)} ms',
        'picture to finished plan, median': f'{number(latency[0])} ms',
        'picture to finished plan, 99 %': f'{number(latency[1])} ms',
        'holds by command_safety while commanded': _counted(holds),
        'times without a plan': _counted(notes), **clamped}


def _rows_per_s(record, rate_hz):
    """Return the rows per second of the system's clock, which stamps."""
    has_clock = LIVE[record.sim].has_clock
    return rate_hz * (real_time_factor([record]) or 1.0) if has_clock else rate_hz


def _holds(said):
    """Return why the robot was held, from the first command on that it followed; once each."""
    states = [text.split(':')[0] for text in said]
    if FOLLOWING[1] not in states:
        return said[-1:]
    found, before = [], FOLLOWING[1]
    first = states.index(FOLLOWING[1])
    for state, text in zip(states[first:], said[first:]):
        if state not in FOLLOWING and state != before:
            found.append(text)
        before = state
    return found


def _summed(counts):
    """Add up counts of episodes, such as '3 of 60'."""
    return ' of '.join(str(sum(column)) for column in zip(
        *(map(int, count.split(' of ')) for count in counts)))


def _counted(reasons):
    """Return how many reasons there are, and which."""
    which = '; '.join(list(dict.fromkeys(reasons))[:MOST_REASONS])
    return f'{len(reasons)}: {which}' if reasons else '0'
