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

"""The figures of a control loop, against series made by hand."""

from itertools import combinations
import json
from statistics import median

from diffusion_policy_ros.evaluation.loop_bench import (
    check_gap, check_growth, loop_figures, LoopRecord, LoopSetting, median_slope, MIB,
    own_times, usage_figures)
from diffusion_policy_ros.evaluation.loop_bench_report import lines, OUTPUTS, write_loop
from hypothesis import given, strategies as st
import numpy as np
import pytest

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000


def _rows(seconds=180, hz=20, *, leak_mib_per_min=0.0, missing=(), dated=True, warm_up_mib=0.0):
    """
    Make what an observer tells of a regular loop, one row per second.

    The server keeps a quarter of a core busy, and its memory rises as asked for; during the first
    minute also by ``warm_up_mib`` a minute. Commands whose numbers are ``missing`` never came.
    """
    rows = []
    for second in range(seconds + 1):
        numbers = [0] if second == 0 else range((second - 1) * hz + 1, second * hz + 1)
        due = [START_NS + number * 1000 * MS // hz for number in numbers if number not in missing]
        used = 500 * MIB + round(MIB / 60 * (
            leak_mib_per_min * second + warm_up_mib * min(second, 60)))
        usage = {'cpu_s': 10 + second / 4, 'resident_bytes': used,
                 'private_bytes': used - 100 * MIB, 'threads': 20,
                 'involuntary_switches': 7 * second}
        rows.append({
            'until_ns': START_NS + second * 1000 * MS,
            'commands': [(ns, ns - MS // 2, ns - MS if dated else None) for ns in due],
            'latencies': [{'capture_ms': 1.0, 'decode_ms': 2.0, 'sampling_ms': 40.0 + second % 3}],
            'notes': [], 'usage': {'server': usage, 'robot': {**usage, 'cpu_s': 0.0}},
            'diagnostics': {'policy_server: commands': {'sent': str(second * hz)}}})
    return rows


def _setting(**changes):
    return LoopSetting(**{
        'model': 'a policy', 'rate_hz': 10.0, 'command_rate_hz': 20.0, 'streams': 'one camera',
        'parameters': {'num_threads': 2}, 'machine': {'cores': '2'}, 'versions': {'torch': '2'},
        **changes})


def _figures(rows, **changes):
    return loop_figures(LoopRecord.from_rows(rows), _setting(**changes))


def _words(figures):
    return [check['passed'] for check in figures['checks']]


def test_a_regular_loop_passes_and_its_figures_are_those_of_the_series():
    figures = _figures(_rows())
    assert figures['passed'] and _words(figures) == [True] * 4
    assert figures['timing']['commands'] == 180 * 20
    assert figures['timing']['deviation_p99_ms'] == 0.0
    assert figures['worst_gap_ms'] == 50.0
    for name, ms in (('due_to_sent_ms', 0.5), ('sent_to_received_ms', 0.5), ('own_ms', 3.5)):
        assert [figures[name][rank] for rank in ('p50', 'p99', 'max')] == [ms] * 3
    assert figures['plans'] == 181
    assert figures['plan_latency']['sampling_ms']['p50'] == 41.0
    assert figures['server']['cpu_cores'] == pytest.approx(0.25)
    assert figures['server']['involuntary_switches_per_s'] == pytest.approx(7.0)
    assert figures['server']['resident_mib'] == 500 and figures['server']['private_mib'] == 400
    assert figures['robot']['cpu_cores'] == 0.0
    assert figures['diagnostics']['policy_server: commands']['sent'] == '3600'


@pytest.mark.parametrize('missing, gap_ms, passed', [
    ((100,), 100.0, True), ((100, 101), 150.0, False), ((3600,), 50.0, True),
    ((3598, 3599, 3600), 150.0, False)])
def test_one_lost_command_is_borne_and_two_in_a_row_are_not_at_the_end_either(
        missing, gap_ms, passed):
    figures = _figures(_rows(missing=missing))
    assert figures['worst_gap_ms'] == pytest.approx(gap_ms)
    assert _words(figures)[:3] == [True, True, passed] and figures['passed'] is passed


@pytest.mark.parametrize('leak, passed', [(0.0, True), (0.9, True), (1.1, False), (60.0, False),
                                          (-5.0, True)])
def test_a_steady_leak_is_found_with_its_rate(leak, passed):
    figures = _figures(_rows(leak_mib_per_min=leak))
    assert figures['server']['growth_mib_per_min'] == pytest.approx(leak, abs=1e-4)
    assert figures['server']['private_growth_mib_per_min'] == pytest.approx(leak, abs=1e-4)
    assert _words(figures)[3] is passed


def test_what_buffers_take_in_the_first_minute_is_no_leak():
    figures = _figures(_rows(warm_up_mib=200.0))
    assert figures['server']['growth_mib_per_min'] == 0.0
    assert figures['server']['growth_over_s'] == 120.0


def test_a_short_run_says_nothing_about_memory():
    figures = _figures(_rows(seconds=60, leak_mib_per_min=30.0))
    assert figures['server']['growth_mib_per_min'] == pytest.approx(30.0, abs=1e-4)
    assert figures['server']['growth_over_s'] == 40.0
    assert _words(figures)[3] is None and figures['passed']
    assert check_growth(5.0, 60.0).passed is False
    assert check_growth(0.0, 59.9).passed is None


def test_one_jump_of_memory_is_not_a_trend():
    time_s = np.arange(600.0)
    assert median_slope(time_s, np.where(time_s < 400, 500.0, 550.0)) == 0.0
    leak = time_s / 60 + np.where(time_s % 50 == 7, 300.0, 0.0)
    assert median_slope(time_s, leak) == pytest.approx(1 / 60, rel=0.01)


@given(st.lists(st.tuples(st.integers(1, 1000), st.integers(-10**6, 10**6)), min_size=2,
                max_size=30))
def test_the_slope_is_the_median_over_all_pairs(steps):
    times = np.cumsum([step for step, _ in steps])
    values = [value for _, value in steps]
    slopes = [(values[j] - values[i]) / (times[j] - times[i])
              for i, j in combinations(range(len(steps)), 2)]
    assert median_slope(times, values) == pytest.approx(median(slopes), rel=1e-9, abs=1e-12)


def test_the_slope_of_a_long_series_is_that_of_evenly_spread_points():
    times = np.arange(14_400.0)
    assert median_slope(times, 3 * times + 5) == pytest.approx(3.0)
    assert median_slope([1.0], [2.0]) is None


@pytest.mark.parametrize('withheld, passed', [(0.0, False), (0.049, False), (0.05, None)])
def test_a_gap_is_not_judged_where_a_host_withheld_much_cpu_time(withheld, passed):
    assert check_gap(100.1, 20.0, withheld).passed is passed
    assert check_gap(100.0, 20.0, withheld).passed is True
    assert check_gap(None, 20.0, withheld).passed is False


def test_commands_without_a_date_have_no_lateness():
    figures = _figures(_rows(seconds=5, dated=False))
    assert figures['due_to_sent_ms'] == figures['own_ms'] == {}
    assert figures['timing']['commands'] == 100


def test_parts_of_the_latency_may_be_added_on_the_way():
    rows = _rows(seconds=3)
    rows[2]['latencies'].append({'sampling_ms': 1.0, 'total_ms': 1.0, 'queue_ms': 2.5})
    figures = _figures(rows)
    assert figures['plan_latency']['queue_ms']['p50'] == 2.5
    assert figures['plans'] == 5


def test_the_first_row_alone_can_be_reported(tmp_path):
    rows = _rows(seconds=0)
    figures = _figures(rows)
    assert figures['server']['growth_mib_per_min'] is None
    assert usage_figures(LoopRecord.from_rows(rows), 'server')['cpu_cores'] is None
    write_loop(tmp_path, LoopRecord.from_rows(rows), figures)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(OUTPUTS)


def test_reasons_for_not_commanding_are_counted_and_the_first_ones_shown():
    rows = _rows(seconds=4)
    rows[1]['notes'] = ['too late'] * 2 + ['a', 'b']
    rows[3]['notes'] = ['too late', 'c']
    figures = _figures(rows)
    assert figures['not_commanding'] == {'too late': 3, 'a': 1, 'b': 1, 'c': 1}
    shown = '\n'.join(lines(figures))
    assert 'did not command for a while (3x): too late' in shown
    assert 'and for 1 other reasons' in shown


def test_files_hold_the_figures_the_verdicts_and_a_picture(tmp_path):
    record = LoopRecord.from_rows(_rows(missing=(100, 101)))
    figures = loop_figures(record, _setting(withheld=0.03))
    write_loop(tmp_path, record, figures)
    assert json.loads((tmp_path / 'loop.json').read_text()) == figures
    text = (tmp_path / 'loop.md').read_text()
    assert '- PASS  commands per second: 19.99, wanted 19.00 or more' in text
    assert '- FAIL  longest time without a command, in ms: 150.00, wanted 100.00 or less' in text
    assert '| interval between commands (ms) | 50.00 | 50.00 | 150.00 |' in text
    assert '| plan: sampling (ms) | 41.00 | 42.00 | 42.00 |' in text
    assert '| CPU (cores) | 0.25 | 0.00 |' in text and '| policy | a policy |' in text
    assert 'withheld 3% of the CPU time' in '\n'.join(lines(figures))
    assert (tmp_path / 'loop.png').read_bytes().startswith(b'\x89PNG')


def test_what_the_loop_itself_adds_is_every_way_there_with_every_way_back():
    rng = np.random.default_rng(0)
    parts = {'capture_ms': rng.exponential(1, 70), 'decode_ms': rng.exponential(2, 70)}
    back = rng.exponential(0.3, 50)
    expected = sorted(a + b + c for a, b in zip(*parts.values()) for c in back)
    np.testing.assert_allclose(np.sort(own_times(parts, back)), expected)
    assert len(own_times({}, back)) == len(own_times(parts, back[:0])) == 0
    assert len(own_times({name: np.ones(100_000) for name in parts}, np.ones(100_000))) == 10**6
