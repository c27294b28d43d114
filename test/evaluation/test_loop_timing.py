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

"""The regularity of commands: rates, percentiles, and what passes."""

from diffusion_policy_ros.evaluation.loop_timing import (
    check_timing, intervals_ms, measure_timing, Span)
from hypothesis import given, strategies as st
import numpy as np
import pytest

MS = 1_000_000


def _span(intervals, *, start_ns=10**18, rest_ms=0):
    """Make a span from intervals in ms; it ends some time after its last command."""
    stamps = start_ns + np.cumsum([0, *intervals]) * MS
    return Span(stamps.astype(np.int64), int(stamps[-1]) + rest_ms * MS)


def _passed(timing):
    return [check.passed for check in check_timing(timing)]


def test_regular_commands_pass():
    timing = measure_timing([_span([100] * 50), _span([100] * 30)], 10.0)
    assert timing.commands == 80 and timing.seconds == pytest.approx(8.0)
    assert timing.commands_per_s == pytest.approx(10.0)
    assert (timing.interval_p50_ms, timing.interval_p99_ms) == (100.0, 100.0)
    assert timing.deviation_p99_ms == 0.0
    assert _passed(timing) == [True, True]


def test_time_between_spans_does_not_count():
    spans = [_span([100] * 10), _span([100] * 10, start_ns=2 * 10**18)]
    assert intervals_ms(spans).max() == 100.0
    assert measure_timing(spans, 10.0).commands_per_s == pytest.approx(10.0)


def test_silence_at_the_end_of_a_span_lowers_the_rate():
    timing = measure_timing([_span([100] * 50, rest_ms=1000)], 10.0)
    assert timing.commands_per_s == pytest.approx(50 / 6)
    assert _passed(timing) == [False, True]


def test_commands_that_come_too_early_fail_as_well_as_late_ones():
    assert _passed(measure_timing([_span([79, 121] * 50)], 10.0)) == [True, False]
    assert _passed(measure_timing([_span([81, 119] * 50)], 10.0)) == [True, True]


@pytest.mark.parametrize('wanted_hz, period', [(10.0, 100), (20.0, 50)])
def test_one_interval_in_two_hundred_may_be_wrong(wanted_hz, period):
    intervals = [period] * 398 + [5 * period]
    assert _passed(measure_timing([_span(intervals)], wanted_hz)) == [True, True]
    assert not _passed(measure_timing([_span(intervals[:100] + [5 * period] * 4)], wanted_hz))[1]


@pytest.mark.parametrize('spans', [[], [Span(np.empty(0, np.int64), 5)], [_span([])]])
def test_without_intervals_nothing_passes(spans):
    timing = measure_timing(spans, 30.0)
    assert timing.deviation_p99_ms is None and timing.commands_per_s == 0.0
    assert _passed(timing) == [False, False]
    assert 'nothing measured' in str(check_timing(timing)[1])


def test_a_check_says_what_was_measured_and_what_was_wanted():
    rate, deviation = check_timing(measure_timing([_span([200] * 20)], 10.0))
    assert str(rate) == 'FAIL  commands per second: 5.00, wanted 9.50 or more'
    assert str(deviation) == ('FAIL  p99 of the deviation of the command interval from 100.0 ms, '
                              'in ms: 100.00, wanted 20.00 or less')


@pytest.mark.parametrize('withheld, words', [
    (0.0, ['PASS', 'FAIL']), (0.049, ['PASS', 'FAIL']), (0.05, ['PASS', 'UNSURE'])])
def test_late_commands_are_not_judged_where_a_host_withheld_cpu_time(withheld, words):
    timing = measure_timing([_span([60, 140] * 20)], 10.0)
    assert [str(check).split()[0] for check in check_timing(timing, withheld)] == words


def test_a_lost_rate_and_no_commands_fail_whatever_a_host_withheld():
    assert check_timing(measure_timing([_span([200] * 20)], 10.0), 0.5)[0].passed is False
    assert [c.passed for c in check_timing(measure_timing([_span([])], 10.0), 0.5)] == [False] * 2


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=60), st.sampled_from([10.0, 30.0]))
def test_figures_agree_with_their_definitions(intervals, wanted_hz):
    timing = measure_timing([_span(intervals)], wanted_hz)
    assert timing.seconds == pytest.approx(sum(intervals) / 1e3)
    assert timing.interval_max_ms == max(intervals)
    off = sorted(abs(interval - 1e3 / wanted_hz) for interval in intervals)
    assert off[0] - 1e-6 <= timing.deviation_p99_ms <= off[-1] + 1e-6
    assert timing.interval_p50_ms <= timing.interval_p99_ms <= timing.interval_max_ms
