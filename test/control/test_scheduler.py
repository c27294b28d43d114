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
"""Receding horizon: the command due now of the newest plan, whatever the latency."""

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.control.scheduler import RecedingHorizon
from diffusion_policy_ros.policy.action_chunk import TimedChunk
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

T0 = 1_700_000_000_000_000_000
PERIOD = 100_000_000
TEXT = """
robot: r
rate_hz: 10
settle_ms: 20
observations:
  - {key: observation.state, topic: s, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 100}
actions:
  - {topic: arm, type: sensor_msgs/msg/JointState, joints: [a], offset_ms: OFFSET}
  - {topic: hand, type: sensor_msgs/msg/JointState, joints: [b], interpolation: hold}
"""


def _contract(offset_ms=0):
    return parse_contract(TEXT.replace('OFFSET', str(offset_ms)))


def _clock_chunk(obs_ns, rows=8):
    """Return a plan whose every entry is the time, in periods since T0, at which it is due."""
    start = (obs_ns - T0) / PERIOD
    return TimedChunk(np.repeat(start + np.arange(rows)[:, None], 2, axis=1), obs_ns, 10.0)


def _horizon(execute_horizon=4, offset_ms=0):
    horizon = RecedingHorizon(_contract(offset_ms), execute_horizon)
    horizon.observed(T0)
    return horizon


@given(latencies=st.lists(st.integers(0, 600), min_size=30, max_size=30),
       execute_horizon=st.integers(1, 8))
def test_what_is_commanded_at_a_time_is_what_was_planned_for_it(latencies, execute_horizon):
    horizon, pending, latencies = _horizon(execute_horizon), None, iter(latencies)
    for tick in range(30):
        now_ns = T0 + tick * PERIOD
        if pending and pending[0] <= now_ns:
            assert horizon.accept(pending[1], 0, now_ns)
            pending = None
        horizon.observed(now_ns)
        if pending is None and horizon.wants_plan(now_ns):
            pending = now_ns + next(latencies) * 1_000_000, _clock_chunk(now_ns)
        command = horizon.command(now_ns)
        if command is not None:
            assert command.tolist() == [tick, tick]


def test_between_rows_one_output_moves_on_and_the_held_one_waits():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.command(T0 + PERIOD * 3 // 2).tolist() == pytest.approx([1.5, 1.0])


def test_rows_that_are_past_on_arrival_are_dropped_and_counted():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0 + 250_000_000)
    assert horizon.rows_dropped == 2
    assert horizon.command(T0 + 2 * PERIOD)[0] == 2


@pytest.mark.parametrize('execute_horizon', [1, 3, 8])
def test_the_next_plan_starts_when_the_rows_to_execute_are_done(execute_horizon):
    horizon = _horizon(execute_horizon)
    assert horizon.wants_plan(T0)
    horizon.accept(_clock_chunk(T0), 0, T0)
    wanted = [horizon.wants_plan(T0 + k * PERIOD) for k in range(9)]
    assert wanted == [k >= execute_horizon for k in range(9)]


def test_the_old_plan_serves_until_the_next_one_arrives_and_then_ends():
    horizon = _horizon(execute_horizon=2)
    horizon.accept(_clock_chunk(T0), 0, T0)
    for tick in range(12):
        horizon.observed(T0 + tick * PERIOD)
        command = horizon.command(T0 + tick * PERIOD)
        assert (command is None) if tick >= 8 else command[0] == tick


def test_a_plan_from_before_a_reset_is_discarded():
    horizon = _horizon()
    epoch = horizon.epoch
    horizon.reset()
    assert not horizon.accept(_clock_chunk(T0), epoch, T0)
    horizon.observed(T0)
    assert horizon.command(T0) is None
    assert horizon.accept(_clock_chunk(T0), horizon.epoch, T0)
    assert horizon.command(T0) is not None


def test_an_older_plan_does_not_replace_a_newer_one():
    horizon = _horizon()
    assert horizon.accept(_clock_chunk(T0 + PERIOD), 0, T0 + PERIOD)
    assert not horizon.accept(_clock_chunk(T0), 0, T0 + PERIOD)


def test_without_fresh_observations_the_commands_end_before_the_plan_does():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.command(T0 + 3 * PERIOD) is not None
    assert horizon.command(T0 + 4 * PERIOD) is None


def test_an_output_with_an_offset_is_late_by_it_and_bridged_by_the_old_plan():
    horizon = _horizon(offset_ms=150)
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.command(T0) is None  # the first row of the arm is due 150 ms later
    assert horizon.command(T0 + 2 * PERIOD).tolist() == pytest.approx([0.5, 2.0])
    horizon.observed(T0 + 2 * PERIOD)
    horizon.accept(_clock_chunk(T0 + 2 * PERIOD), 0, T0 + 2 * PERIOD)
    assert horizon.command(T0 + 3 * PERIOD).tolist() == pytest.approx([1.5, 3.0])


def test_what_is_upcoming_goes_to_the_end_of_the_plan():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.upcoming(T0 + 2 * PERIOD)[:, 1].tolist() == [2, 3, 4, 5, 6, 7]
    assert horizon.upcoming(T0 + 9 * PERIOD) is None


@pytest.mark.parametrize('offset_ms', [300, 750, -150])
def test_frequent_plans_do_not_silence_an_output_with_an_offset(offset_ms):
    horizon, silent = _horizon(1, offset_ms), []
    for tick in range(40):
        now_ns = T0 + tick * PERIOD
        horizon.observed(now_ns)
        if horizon.wants_plan(now_ns):
            assert horizon.accept(_clock_chunk(now_ns), 0, now_ns)
        command = horizon.command(now_ns)
        if command is None:
            silent.append(tick)
        else:  # the newest plan that has a row for this time: all of them agree
            assert command.tolist() == pytest.approx([tick - offset_ms / 100, tick])
    assert silent == list(range(-(-max(offset_ms, 0) // 100)))


def test_plans_without_rows_to_come_are_forgotten():
    horizon = _horizon(1, offset_ms=300)
    for tick in range(100):
        horizon.accept(_clock_chunk(T0 + tick * PERIOD), 0, T0 + tick * PERIOD)
    assert len(horizon._plans) <= 8 + 3 + 1


def test_the_reason_for_silence_is_the_start_then_the_plan_or_the_observation():
    horizon = _horizon(execute_horizon=1)
    assert horizon.command(T0) is None and horizon.shortage(T0) == 'start'
    horizon.accept(_clock_chunk(T0, rows=2), 0, T0)
    assert horizon.command(T0) is not None
    late_ns = T0 + 2 * PERIOD
    assert horizon.command(late_ns) is None and horizon.shortage(late_ns) == 'plan'
    blind_ns = T0 + 4 * PERIOD
    horizon.accept(_clock_chunk(late_ns), 0, blind_ns)
    assert horizon.command(blind_ns) is None and horizon.shortage(blind_ns) == 'observation'
    horizon.reset()
    assert horizon.command(blind_ns) is None and horizon.shortage(blind_ns) == 'start'


def test_a_first_row_that_is_not_due_yet_is_still_the_start():
    horizon = _horizon(offset_ms=150)
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.command(T0) is None and horizon.shortage(T0) == 'start'
    horizon.upcoming(T0 + 2 * PERIOD)
    assert horizon.shortage(T0 + 20 * PERIOD) == 'observation'
