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
from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.control.scheduler import RecedingHorizon
from diffusion_policy_ros.errors import ChunkError
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


def _horizon(execute_horizon=4, offset_ms=0, join='none', trigger='executed', **options):
    horizon = RecedingHorizon(_contract(offset_ms), ReplanSettings(execute_horizon, trigger),
                              JoinSettings(join, **options))
    horizon.observed(T0)
    return horizon


@given(latencies=st.lists(st.integers(0, 600), min_size=30, max_size=30),
       execute_horizon=st.integers(1, 8))
def test_what_is_commanded_at_a_time_is_what_was_planned_for_it(latencies, execute_horizon):
    horizon, pending, latencies = _horizon(execute_horizon), None, iter(latencies)
    from_row_0 = {}  # tick of the observation -> ticks by which the plan is followed later
    for tick in range(30):
        now_ns = T0 + tick * PERIOD
        if pending and pending[0] <= now_ns:
            is_held = horizon.command(pending[0]) is None
            assert horizon.accept(pending[1], 0, pending[0])
            late_ns = pending[0] - pending[1].obs_ns
            from_row_0[pending[1].obs_ns] = -(-late_ns // PERIOD) if is_held else 0
            pending = None
        horizon.observed(now_ns)
        if pending is None and horizon.wants_plan(now_ns):
            pending = now_ns + next(latencies) * 1_000_000, _clock_chunk(now_ns)
        command = horizon.command(now_ns)
        if command is not None:
            assert command.tolist() == [tick - from_row_0[max(from_row_0)]] * 2


def test_a_plan_that_finds_nothing_followed_begins_with_its_first_row():
    horizon = _horizon()
    followed = horizon.accept(_clock_chunk(T0), 0, T0 + 250_000_000)
    assert followed.chunk.due_ns(0) == T0 + 3 * PERIOD
    assert horizon.command(T0 + 2 * PERIOD) is None
    assert horizon.command(T0 + 3 * PERIOD).tolist() == [0, 0]
    assert [horizon.wants_plan(T0 + k * PERIOD) for k in (6, 7)] == [False, True]


@pytest.mark.parametrize('join', ['none', 'naive'])
def test_a_plan_that_took_longer_than_it_lasts_moves_nothing_not_even_from_rest(join):
    horizon = _horizon(join=join)
    with pytest.raises(ChunkError, match=r'came 0.80 s after its observation, and its 8 rows'):
        horizon.accept(_clock_chunk(T0), 0, T0 + 8 * PERIOD)
    horizon.observed(T0 + 8 * PERIOD)
    assert all(horizon.command(T0 + k * PERIOD) is None for k in range(8, 20))
    assert horizon.wants_plan(T0 + 8 * PERIOD)
    assert horizon.accept(_clock_chunk(T0), 0, T0 + 8 * PERIOD - 1) is not None


@pytest.mark.parametrize('offset_ms, late', [(-150, 2), (0, 1), (150, 1)])
def test_from_rest_there_is_nothing_to_blend_with_before_or_after(offset_ms, late):
    horizon = _horizon(join='blend', offset_ms=offset_ms)
    horizon.accept(_clock_chunk(T0), 0, T0 + 50_000_000)
    known = horizon.promise(T0, 8, 0).rows
    assert np.isfinite(known[4]).all()
    for k in range(3, 6):
        horizon.observed(T0 + k * PERIOD)
        command = horizon.command(T0 + k * PERIOD)
        assert command.tolist() == pytest.approx([k - late - offset_ms / 100, k - late])


@pytest.mark.parametrize('offset_ms, late', [(-350, 4), (-150, 2), (0, 1), (150, 1), (500, 1)])
def test_from_rest_no_output_skips_a_row_and_each_waits_at_its_first(offset_ms, late):
    horizon = _horizon(offset_ms=offset_ms)
    horizon.accept(_clock_chunk(T0, rows=16), 0, T0 + 50_000_000)
    horizon.observed(T0)
    assert horizon.command(T0) is None  # before it came
    for k in range(1, 10):
        horizon.observed(T0 + k * PERIOD)
        rows = [k - late - offset_ms / 100, k - late]
        assert horizon.command(T0 + k * PERIOD).tolist() == pytest.approx(np.maximum(rows, 0))


def test_a_late_plan_is_entered_at_the_row_that_is_due_and_its_delay_is_learnt():
    horizon = _horizon(execute_horizon=2)
    horizon.accept(_clock_chunk(T0, rows=16), 0, T0)
    for tick, arrival_ms in ((3, 10), (6, 290), (12, 350)):
        obs_ns = T0 + tick * PERIOD
        arrival_ns = obs_ns + arrival_ms * 1_000_000
        horizon.observed(obs_ns)
        assert horizon.accept(_clock_chunk(obs_ns, rows=16), 0, arrival_ns).obs_ns == obs_ns
        slot_ns = T0 + -(-(arrival_ns - T0) // PERIOD) * PERIOD
        horizon.observed(slot_ns)
        assert horizon.command(slot_ns)[0] == (slot_ns - T0) // PERIOD
    # 1, 3 and 4 rows were due by then; the plan expects the slowest, beside the observed row
    assert horizon.promise(T0 + 20 * PERIOD, 16, 1).frozen == 1 + 4
    assert horizon.facts()['plans later than expected'] == '2'  # expected were 1, then 1, then 3


@pytest.mark.parametrize('rate_hz', [7, 12, 15, 24, 30, 60])
@given(origin_ns=st.integers(T0, T0 + 10**9), factor=st.integers(1, 4), plans=st.integers(2, 6))
def test_rates_whose_period_is_no_whole_number_of_nanoseconds_skip_and_repeat_no_row(
        rate_hz, origin_ns, factor, plans):
    contract = parse_contract(TEXT.replace('rate_hz: 10', f'rate_hz: {rate_hz}').replace(
        'OFFSET', '0').replace('settle_ms: 20', 'settle_ms: 0'))
    horizon, sent = RecedingHorizon(contract, ReplanSettings(4)), {}
    for tick in range(4 * plans):
        tick_ns = origin_ns + round(tick * 1e9 / rate_hz)
        horizon.observed(tick_ns)
        if horizon.wants_plan(tick_ns):
            known = horizon.promise(tick_ns, 16, 2).rows
            for row in range(-2, 4 if sent else 0):
                wanted = sent.get(tick + row, tick + row if sent and row >= 0 else np.nan)
                np.testing.assert_allclose(known[row + 2], wanted, atol=1e-6)
            rows = np.repeat(tick + np.arange(14.0)[:, None], 2, axis=1)
            assert horizon.accept(TimedChunk(rows, tick_ns, rate_hz), 0, tick_ns)
        for part in range(factor):
            slot = tick * factor + part
            command = horizon.command(origin_ns + round(slot * 1e9 / (rate_hz * factor)))
            assert command.tolist() == [pytest.approx(tick + part / factor, abs=1e-6), tick]
            sent[tick] = sent.get(tick, command)


def test_between_rows_one_output_moves_on_and_the_held_one_waits():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.command(T0 + PERIOD * 3 // 2).tolist() == pytest.approx([1.5, 1.0])


def test_rows_that_are_past_on_arrival_are_dropped_and_counted():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0)
    horizon.accept(_clock_chunk(T0 + PERIOD), 0, T0 + 350_000_000)
    assert horizon.facts()['rows past on arrival'] == '2'
    horizon.observed(T0 + 4 * PERIOD)
    assert horizon.command(T0 + 4 * PERIOD)[0] == 4


@pytest.mark.parametrize('execute_horizon', [1, 3, 8])
def test_the_next_plan_starts_when_the_rows_to_execute_are_done(execute_horizon):
    horizon = _horizon(execute_horizon)
    assert horizon.wants_plan(T0)
    horizon.accept(_clock_chunk(T0), 0, T0)
    wanted = [horizon.wants_plan(T0 + k * PERIOD) for k in range(9)]
    assert wanted == [k >= execute_horizon for k in range(9)]


def test_when_rows_run_low_or_always_the_next_plan_is_wanted_too():
    low, always = _horizon(trigger='low'), _horizon(trigger='continuous')
    for horizon in (low, always):
        horizon.accept(_clock_chunk(T0), 0, T0)
        assert not horizon.wants_plan(T0)  # of the same observation
    assert [low.wants_plan(T0 + k * PERIOD) for k in range(1, 7)] == [k >= 4 for k in range(1, 7)]
    assert all(always.wants_plan(T0 + k * PERIOD) for k in range(1, 9))


def _value_chunk(obs_ns, value, rows=8):
    return TimedChunk(np.full((rows, 2), float(value)), obs_ns, 10.0)


def test_blending_moves_over_smoothly_and_leaves_what_is_held_alone():
    horizon = _horizon(join='blend', blend_rows=4)
    horizon.accept(_value_chunk(T0, 0), 0, T0)
    horizon.observed(T0 + 2 * PERIOD)
    horizon.accept(_value_chunk(T0 + 2 * PERIOD, 1), 0, T0 + 2 * PERIOD)
    u = np.linspace(0, 1, 21)
    commands = np.array([horizon.command(T0 + 2 * PERIOD + round(part * 4 * PERIOD))
                         for part in u[:15]])
    np.testing.assert_allclose(commands[:, 0], (10 * u**3 - 15 * u**4 + 6 * u**5)[:15], atol=1e-9)
    assert (commands[:, 1] == 1).all()


def test_blending_is_over_before_the_older_plan_ends():
    horizon = _horizon(join='blend', blend_rows=100)
    horizon.accept(_value_chunk(T0, 0, rows=4), 0, T0)
    horizon.observed(T0 + 2 * PERIOD)
    horizon.accept(_value_chunk(T0 + 2 * PERIOD, 1), 0, T0 + 2 * PERIOD)
    last = [horizon.command(T0 + 4 * PERIOD - gap)[0] for gap in (PERIOD // 100, 1)]
    assert 0.99 < last[0] < last[1] <= horizon.command(T0 + 4 * PERIOD)[0] == 1


def test_blending_into_a_blend_that_is_not_over_does_not_jump():
    horizon = _horizon(join='blend', blend_rows=4)
    horizon.accept(_value_chunk(T0, 0, rows=30), 0, T0)
    before = 0.0
    for tenth in range(1, 100):
        now_ns = T0 + tenth * PERIOD // 10
        if tenth in (10, 25, 40):
            horizon.observed(now_ns)
            horizon.accept(_value_chunk(now_ns, tenth, rows=30), 0, now_ns)
        if (command := horizon.command(now_ns)) is not None:
            # the steepest of a blend over 40 tenths is 1.875 / 40 of its height
            assert abs(command[0] - before) <= 3 * 40 * 1.875 / 40
            before = command[0]
    assert before > 0


@given(values=st.lists(st.floats(-10, 10), min_size=1, max_size=8),
       decay=st.floats(-1, 1))
def test_ensembling_is_the_weighted_mean_of_all_plans_for_that_instant(values, decay):
    horizon = _horizon(join='ensemble', ensemble_decay=decay)
    for age, value in enumerate(values):
        horizon.accept(_value_chunk(T0 + age * PERIOD, value), 0, T0 + age * PERIOD)
    now_ns = T0 + (len(values) - 1) * PERIOD
    horizon.observed(now_ns)
    weights = np.exp(-decay * np.arange(len(values)))
    assert horizon.command(now_ns).tolist() == pytest.approx(
        [np.average(values, weights=weights), values[-1]], abs=1e-9)


def test_what_is_promised_is_what_was_sent_and_what_the_plan_still_says():
    horizon = _horizon(execute_horizon=3)
    horizon.accept(_clock_chunk(T0), 0, T0)
    for tick in range(4):
        horizon.observed(T0 + tick * PERIOD)
        horizon.command(T0 + tick * PERIOD)
    promise = horizon.promise(T0 + 3 * PERIOD, 16, 1)
    wanted = np.full(16, np.nan)
    wanted[:6] = [2, 3, 4, 5, 6, 7]
    np.testing.assert_array_equal(promise.rows, np.stack([wanted, wanted], axis=1))
    assert not promise.is_empty
    later = horizon.promise(T0 + 5 * PERIOD, 16, 1)
    assert later.first_row - promise.first_row == 2
    horizon.reset()
    assert horizon.promise(T0 + 6 * PERIOD, 16, 1).is_empty


def test_a_promised_row_in_the_past_is_what_was_sent_and_not_what_a_later_plan_says():
    horizon = _horizon(execute_horizon=1)
    horizon.accept(_value_chunk(T0, 5), 0, T0)
    horizon.observed(T0)
    horizon.command(T0)
    horizon.accept(_value_chunk(T0 - PERIOD + 2 * PERIOD, 9), 0, T0 + PERIOD)
    horizon.command(T0 + PERIOD)
    rows = horizon.promise(T0 + 2 * PERIOD, 6, 2).rows
    assert rows[:3, 0].tolist() == [5, 9, 9]


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
    assert horizon.accept(_clock_chunk(T0), 0, T0 + PERIOD) is None


def test_without_fresh_observations_the_commands_end_before_the_plan_does():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.command(T0 + 3 * PERIOD) is not None
    assert horizon.command(T0 + 4 * PERIOD) is None


def test_an_output_with_an_offset_is_late_by_it_and_bridged_by_the_old_plan():
    horizon = _horizon(offset_ms=150)
    horizon.accept(_clock_chunk(T0), 0, T0)
    assert horizon.command(T0).tolist() == [0, 0]  # the arm's first row is due 150 ms later
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
    horizon = _horizon(1, offset_ms)
    for tick in range(40):
        now_ns = T0 + tick * PERIOD
        horizon.observed(now_ns)
        if horizon.wants_plan(now_ns):
            assert horizon.accept(_clock_chunk(now_ns), 0, now_ns)
        # Of the newest plan that has a row for this time: all of them agree.
        late = 2 if offset_ms < 0 and tick < 3 else 0  # so that the first one skips no row
        rows = [tick - late - offset_ms / 100, tick - late]
        assert horizon.command(now_ns).tolist() == pytest.approx(np.maximum(rows, 0))


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


def test_after_a_chunk_was_sent_silence_is_no_start():
    horizon = _horizon()
    horizon.accept(_clock_chunk(T0), 0, T0)
    horizon.upcoming(T0 + 2 * PERIOD)
    assert horizon.shortage(T0 + 20 * PERIOD) == 'observation'
