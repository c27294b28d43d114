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

"""The step counter keeps time without drift and forgives what it cannot catch up."""

from diffusion_policy_ros.sim.pacing import falls_due, StepCounter
from hypothesis import given, strategies as st
import pytest

STEP_NS = 10_000_000


@given(st.lists(st.integers(0, 100_000_000), min_size=1, max_size=50),
       st.sampled_from([0.5, 1.0, 3.0]))
def test_steps_follow_the_clock_whatever_its_jitter(waits_ns, speed):
    counter = StepCounter(STEP_NS, 7, speed=speed, max_lag_ns=10**12)
    now_ns, made = 7, 0
    for wait_ns in waits_ns:
        now_ns += wait_ns
        for number, instant_ns in counter.due(now_ns):
            made += 1
            assert number == made
            assert instant_ns == 7 + round(made * STEP_NS / speed)
            assert instant_ns <= now_ns
        assert now_ns < 7 + round((made + 1) * STEP_NS / speed)
    assert counter.dropped_ns == 0


def test_a_long_pause_is_not_caught_up():
    counter = StepCounter(STEP_NS, 0, max_lag_ns=100_000_000)
    steps = list(counter.due(5_000_000_000))
    assert len(steps) == 11
    assert counter.dropped_ns == 4_890_000_000
    assert steps[-1][1] == 5_000_000_000
    assert list(counter.due(5_009_000_000)) == []


def test_only_a_clock_that_went_behind_the_last_step_has_gone_back():
    counter = StepCounter(STEP_NS, 1000)
    assert counter.is_ahead_of(999) and not counter.is_ahead_of(1000)
    assert len(list(counter.due(1000 + 25_000_000))) == 2
    assert not counter.is_ahead_of(1000 + 20_000_000)
    assert counter.is_ahead_of(1000 + 20_000_000 - 1)


@pytest.mark.parametrize('rate_hz', [1.0, 10.0, 30.0, 33.3, 50.0, 99.0, 100.0])
def test_an_event_keeps_its_own_rate(rate_hz):
    events = [step for step in range(1, 1001) if falls_due(step, rate_hz, 100.0)]
    assert len(events) == round(rate_hz * 10)
    gaps = {b - a for a, b in zip(events, events[1:])}
    assert max(gaps) - min(gaps) <= 1


def test_a_multiple_of_the_rows_rate_meets_every_row():
    assert all(falls_due(step, 30.0, 100.0) for step in range(10, 1001, 10))


def test_a_step_counts_as_made_when_it_has_been_made():
    counter = StepCounter(10_000_000, 0)
    steps = counter.due(20_000_000)
    assert next(steps) == (1, 10_000_000) and counter.next_ns == 10_000_000
    assert next(steps) == (2, 20_000_000) and counter.next_ns == 20_000_000
    assert next(steps, None) is None and counter.next_ns == 30_000_000
