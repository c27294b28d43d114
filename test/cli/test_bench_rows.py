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

"""Benches keep each row as soon as it is known, and say where a report cannot be written."""

from types import SimpleNamespace

from diffusion_policy_ros.cli.bench_rows import measure_rows
from diffusion_policy_ros.errors import ConfigError
import pytest

REPORT = SimpleNamespace(COLUMNS=('case', 'a wide column'), cells=lambda row: (row, 'x'))


def measured(cases, rows, write, measure=lambda case, progress: f'row {case}'):
    """Measure rows of one episode."""
    return measure_rows(measure, cases, rows, report=REPORT, write=write, out='here', episodes=1,
                        remedy='nothing helps')


def test_every_row_is_printed_below_the_earlier_ones_and_written_at_once(capsys):
    written = []
    assert measured('bc', ['row a'], lambda rows: written.append(list(rows)))
    assert written == [['row a', 'row b'], ['row a', 'row b', 'row c']]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ['case', 'a'], ['row', 'a'], ['row', 'b'], ['row', 'c']]
    assert {line.index('a wide' if number == 0 else 'x')
            for number, line in enumerate(lines)} == {14}


def test_ctrl_c_loses_the_row_that_is_measured_and_no_other():
    def stopped(case, progress):
        if case == 'b':
            raise KeyboardInterrupt
        return case

    rows, written = [], []
    assert not measured('abc', rows, lambda rows: written.append(list(rows)), stopped)
    assert rows == ['a'] and written == [['a']]


def test_a_report_that_cannot_be_written_names_out_and_the_remedy():
    def full(rows):
        raise OSError(28, 'No space left on device')

    with pytest.raises(ConfigError, match='--out here cannot be written: .*No space.*make room'):
        measured('a', [], full)
