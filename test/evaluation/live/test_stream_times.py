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

"""Measures of a stream's times are those of their definitions, whatever stamps come."""

from diffusion_policy_ros.evaluation.live.stream_times import Clocks, StreamTimes
from hypothesis import given, strategies as st
import numpy as np
import pytest

S, MS = 10**9, 10**6
NOW = 1_790_000_000 * S
BOOT = 5000 * S
CLOCKS = Clocks(NOW, BOOT)


def times_of(pairs):
    times = StreamTimes()
    for receive_ns, stamp_ns in pairs:
        times.add(receive_ns, stamp_ns)
    return times


def regular(count=20, age_ns=5 * MS, period_ns=100 * MS):
    return [(NOW + i * period_ns, NOW + i * period_ns - age_ns) for i in range(count)]


def test_rate_age_and_jitter_are_those_of_a_regular_stream():
    times = times_of(regular())
    assert times.rate_hz == pytest.approx(10)
    assert times.age_ms()['p50'] == times.age_ms()['p99'] == pytest.approx(5)
    assert times.jitter_ms()['max'] == pytest.approx(0, abs=1e-3)
    assert times.least_age_ns() == 5 * MS and not times.backward and not times.unstamped
    assert times.text(150) == '10.0 Hz, age p50 5.0 p99 5.0 ms of 150, jitter p99 0.0 ms'
    assert times.pace == pytest.approx(1)


def test_jitter_is_the_distance_of_steps_from_their_median():
    pairs = [(NOW + t * MS, None) for t in (0, 100, 200, 330, 400, 500)]
    assert times_of(pairs).jitter_ms()['max'] == pytest.approx(30)


def test_a_stream_without_stamps_has_no_ages():
    times = times_of([(NOW, None), (NOW + S, None)])
    assert times.age_ms() == {} and 'age' not in times.text(100) and not times.is_ahead


def test_backward_and_missing_stamps_are_counted():
    times = times_of([(NOW, NOW), (NOW + 1, NOW - 7 * MS), (NOW + 2, 0), (NOW + 3, NOW - 7 * MS)])
    assert (times.backward, times.worst_back_ns, times.unstamped) == (1, 7 * MS, 1)


def test_equal_stamps_stand_still():
    assert times_of([(NOW + i, NOW) for i in range(5)]).stands_still
    assert not times_of(regular(5)).stands_still


@pytest.mark.parametrize('stamp, clocks, words', [
    (BOOT, CLOCKS, 'the time since boot'), (12 * S, CLOCKS, 'a simulated time'),
    (NOW - 3600 * S, CLOCKS, 'a clock 3600 s behind'),
    (NOW + 3600 * S, CLOCKS, 'a clock 3600 s ahead'),
    (NOW, Clocks(NOW, BOOT, is_simulated=True), 'the time of day')])
def test_another_clock_is_recognised(stamp, clocks, words):
    arrival = 700 * S if clocks.is_simulated else NOW
    times = times_of([(arrival, stamp)] * 3)
    assert times.is_of_another_clock
    whose, remedy = times.stamp_clock(clocks)
    assert whose == words and remedy


def test_a_clock_that_is_a_little_ahead_is_no_other_clock():
    times = times_of(regular(age_ns=-200 * MS))
    assert times.is_ahead and not times.is_of_another_clock


stamps = st.none() | st.integers(-2**31 * S, 2**31 * S)


@given(st.lists(st.tuples(st.integers(1, 2**62), stamps), max_size=40),
       st.integers(0, 2**62), st.booleans())
def test_any_stamps_give_finite_measures(pairs, now_ns, is_simulated):
    times = times_of(pairs)
    for measures in (times.age_ms(), times.jitter_ms()):
        assert np.isfinite(list(measures.values())).all()
        if measures:
            assert measures['p50'] <= measures['p99'] <= measures['max']
    assert times.rate_hz >= 0 and np.isfinite(times.pace)
    assert isinstance(times.text(100), str)
    if times.is_of_another_clock:
        assert all(times.stamp_clock(Clocks(now_ns, BOOT, is_simulated)))
    dated = [stamp for _, stamp in pairs if stamp]
    assert times.backward == sum(b < a for a, b in zip(dated, dated[1:]))
