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

"""Benches that take long for every row of their table: each row is kept as soon as it is known."""

from diffusion_policy_ros.cli.out_folder import writing_out

LEAST_WIDTH = 12


def measure_rows(measure, cases, rows, *, report, write, out, episodes, remedy) -> bool:
    """
    Measure a row for each case, print it, and write all rows; Ctrl-C loses one row at most.

    :param measure: ``(case, progress)`` to a row; ``progress`` takes newly finished episodes.
    :param cases: What is still to be measured.
    :param rows: List of the rows of an earlier sitting, which the new ones are added to.
    :param report: Module with ``COLUMNS`` and, from a row to texts, ``cells``.
    :param write: Writes the report of the rows so far.
    :param out: Where to, for error messages.
    :param episodes: Episodes of a row.
    :param remedy: What to do where memory does not suffice.
    :return: Whether that came to its end, rather than to Ctrl-C.
    :raises ConfigError: if the report cannot be written.
    """
    from diffusion_policy_ros.policy.device import memory_guard
    from tqdm import tqdm

    for texts in (report.COLUMNS, *map(report.cells, rows)):
        print(_line(report, texts))
    with memory_guard(remedy), tqdm(total=len(cases) * episodes, unit='episode') as bar:
        for case in cases:
            try:
                rows.append(measure(case, bar.update))
            except KeyboardInterrupt:
                return False
            tqdm.write(_line(report, report.cells(rows[-1])))
            with writing_out(out):
                write(rows)
    return True


def _line(report, texts):
    """Align the texts of a row."""
    widths = [max(len(name), LEAST_WIDTH) for name in report.COLUMNS]
    return '  '.join(map(str.ljust, texts, widths))
