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

"""The lag between command and motion is that of the system the rows come from."""

from dataclasses import replace
import json

from diffusion_policy_ros.data.conversion.episodes import Row
from diffusion_policy_ros.data.conversion.lag import LagEstimator
import numpy as np
import pytest

STEP_S = 0.001


def rests_and_reaches(seconds, seed):
    """Move from goal to goal with minimum jerk (Flash and Hogan 1985), resting in between."""
    rng, parts, at = np.random.default_rng(seed), [], 0.0
    while sum(map(len, parts)) < seconds / STEP_S:
        goal, rows = rng.normal(), round(rng.uniform(0.8, 2.0) / STEP_S)
        s = np.linspace(0, 1, rows)
        parts += [at + (goal - at) * (10 * s**3 - 15 * s**4 + 6 * s**5),
                  np.full(round(rng.uniform(0, 0.5) / STEP_S), goal)]
        at = goal
    return np.concatenate(parts)[:round(seconds / STEP_S)]


def follow(command, time_constant_s, delay_s):
    """Let a first-order system follow, after a dead time."""
    late = round(delay_s / STEP_S)
    delayed = command[np.clip(np.arange(len(command)) - late, 0, len(command) - 1)]
    if not time_constant_s:
        return delayed
    motion, share = np.empty_like(delayed), 1 - np.exp(-STEP_S / time_constant_s)
    motion[0] = delayed[0]
    for k in range(1, len(motion)):
        motion[k] = motion[k - 1] + share * (delayed[k] - motion[k - 1])
    return motion


def rows_of(contract, command, motion, *, command_age_s=0.0, motion_age_s=0.0):
    """Sample two entries (the second one stands still) into rows of the contract."""
    every, offset = round(1 / contract.rate_hz / STEP_S), contract.actions[0].offset_ms / 1e3
    for k in range(1000 // every, (len(command) - 1000) // every):
        seen = [signal[k * every - round(back_s / STEP_S)] for signal, back_s in
                ((command, command_age_s - offset), (motion, motion_age_s))]
        yield Row(k, {'action': np.float32([seen[0], 3.0]),
                      'observation.state': np.float32([seen[1], 1.0]),
                      'observation.environment_state': np.zeros(9, np.float32)},
                  {'joint_commands': round(command_age_s * 1e9),
                   'joint_states': round(motion_age_s * 1e9), 'block_pose': 0})


def lag_of(contract, rows, into=None):
    """Estimate the lag of the contract's one output."""
    found = into or LagEstimator(contract)
    for row in rows:
        found.add(row)
    found.end(is_kept=True)
    return found.results()[0]


@pytest.mark.parametrize('rate_hz', [10, 30])
@pytest.mark.parametrize('time_constant_s, delay_s', [
    (0, 0.0), (0, 0.03), (0, 0.08), (0, 0.33), (0.05, 0.02), (0.1, 0.0), (0.2, 0.05), (0, -0.12)])
def test_the_lag_of_a_first_order_system_is_its_delay_and_time_constant(
        contract, rate_hz, time_constant_s, delay_s):
    """To a tenth of a row without dynamics; a slow system blurs fast motion, so within 10 %."""
    contract = replace(contract, rate_hz=rate_hz, settle_ms=0)
    command = rests_and_reaches(40, 1)
    lag = lag_of(contract, rows_of(contract, command, follow(command, time_constant_s, delay_s)))
    wanted_ms = 1e3 * (time_constant_s + delay_s)
    every_ms = round(1000 / rate_hz / (STEP_S * 1e3)) * STEP_S * 1e3
    wanted_ms *= 1000 / rate_hz / every_ms  # 30 Hz are not a whole number of milliseconds
    assert lag.lag_ms == pytest.approx(wanted_ms, abs=max(3, 0.1 * abs(wanted_ms)))
    assert lag.correlation > 0.98 and lag.reason == ''


def test_noise_lowers_the_correlation_and_not_the_lag(contract):
    command = rests_and_reaches(60, 2)
    noise = np.random.default_rng(0).normal(0, 0.5, len(command))
    lag = lag_of(contract, rows_of(contract, command, follow(command, 0, 0.08) + noise))
    assert lag.lag_ms == pytest.approx(80, abs=15) and 0.6 < lag.correlation < 0.95


def test_ages_of_samples_and_the_offset_are_no_lag(contract):
    """A slow joint topic and a command that is read later change nothing about the robot."""
    command = rests_and_reaches(40, 3)
    motion = follow(command, 0, 0.08)
    changed = replace(contract, actions=(replace(contract.actions[0], offset_ms=150.0),))
    for tried in (contract, changed):
        lag = lag_of(tried, rows_of(tried, command, motion, command_age_s=0.02,
                                    motion_age_s=0.06))
        assert lag.lag_ms == pytest.approx(80, abs=4)


def test_episodes_and_bags_are_pooled_and_left_out_ones_forgotten(contract):
    """A sum over two, of which one was stored, is that over both."""
    first, second = rests_and_reaches(20, 4), rests_and_reaches(20, 5)
    pooled = LagEstimator(contract)
    lag_of(contract, rows_of(contract, first, follow(first, 0, 0.08)), into=pooled)
    for row in rows_of(contract, second, follow(second, 0, 0.6)):
        pooled.add(row)
    pooled.end(is_kept=False)
    other = LagEstimator(contract)
    lag_of(contract, rows_of(contract, second, follow(second, 0, 0.08)), into=other)
    pooled.merge(json.loads(json.dumps(other.to_dict())))
    assert pooled.results()[0].lag_ms == pytest.approx(80, abs=3)


def test_a_command_that_nothing_measures_is_pooled_as_well(contract):
    """Such as the velocity of a base."""
    output = replace(contract.actions[0], names=('base_x', 'base_y'))
    unseen = replace(contract, actions=(output,))
    pooled, other = LagEstimator(unseen), LagEstimator(unseen)
    pooled.merge(json.loads(json.dumps(other.to_dict())))
    assert pooled.results()[0].reason == 'no observation measures what is commanded'


def test_a_long_episode_is_taken_in_blocks(contract, monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.data.conversion.lag.BLOCK_ROWS', 64)
    command = rests_and_reaches(40, 6)
    lag = lag_of(contract, rows_of(contract, command, follow(command, 0, 0.08)))
    assert lag.lag_ms == pytest.approx(80, abs=4)


@pytest.mark.parametrize('reason, make', [
    ('nothing moves', lambda u: (u * 0 + 2, u * 0 + 2)),
    ('nothing moves', lambda u: (u, u * 0)),
    ('too even', lambda u: (np.arange(len(u)) * 1e-4, np.arange(len(u)) * 1e-4)),
    ('does not follow the command', lambda u: (u, rests_and_reaches(40, 99))),
    ('no episode is as long as 2 s', lambda u: (u[:3000], u[:3000])),
])
def test_what_cannot_be_known_is_unknown(contract, reason, make):
    """Rather than a number that means nothing."""
    command, motion = make(rests_and_reaches(40, 7))
    lag = lag_of(contract, rows_of(contract, command, motion))
    assert lag.lag_ms is None and reason in lag.reason
    assert lag.sentence(0).startswith('lag unknown: ')


def test_outputs_without_a_measurement_or_a_command_are_unknown(contract):
    output = contract.actions[0]
    odd = replace(contract, actions=(replace(output, names=('left', 'right')),))
    assert lag_of(odd, []).reason == 'no observation measures what is commanded'
    velocity = replace(contract, actions=(replace(output, field='velocity'),))
    assert lag_of(velocity, []).reason == 'no observation measures what is commanded'
    shown = replace(contract, actions=(replace(output, label='next_state'),))
    assert lag_of(shown, []).reason == 'the label is next_state'


def test_the_sentence_tells_what_offset_to_set(contract):
    command = rests_and_reaches(40, 8)
    lag = lag_of(contract, rows_of(contract, command, follow(command, 0, 0.2)))
    assert 'follows 200 ms after the command (correlation 1.00)' in lag.sentence(0)
    assert 'keep offset_ms: 0 where the robot is' in lag.sentence(0)
    assert 'or set offset_ms: -200' in lag.sentence(0)
    lag = lag_of(contract, rows_of(contract, command, follow(command, 0, -0.1)))
    assert 'comes 100 ms before its command' in lag.sentence(0)
    assert 'set offset_ms: 100 to read' in lag.sentence(0)
    none = replace(lag, lag_ms=-0.2)
    assert none.sentence(0).startswith('the measured motion shows no lag behind the command')
