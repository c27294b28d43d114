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
"""What a bench of joins found, as a table, CSV, Markdown and a picture."""

import csv
import math

from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.evaluation.bench_files import write_lines, write_picture
from diffusion_policy_ros.evaluation.intervals import interval_text
from diffusion_policy_ros.evaluation.join_bench import score_interval
from matplotlib.figure import Figure

FIGURE_INCHES = (12, 4.5)
COLUMNS = ('join', 'delay ms', 'mean score', '95 %', 'lost points', '95 %', 'success %', '95 %',
           'step', 'elsewhere', 'jerk', 'elsewhere')
MEASURED = (
    'Mean score: the largest share of the goal that was covered, divided by the 0.95 that '
    'succeeds. Lost points: hundredths of mean score lost against the first row, paired by '
    'episode. Step: mean distance between neighbouring commands where a new plan takes over, and '
    'elsewhere, in thousandths of the robot unit. Jerk: root mean square third difference of the '
    'commands around such borders, and elsewhere, in robot units per s^3. The delay is the '
    'simulated time from the stamp of an observation to the arrival of its plan. An interval is - '
    'where there are too few episodes, or all are the same.')


def cells(row):
    """
    Return a row as text.

    :param row: ``JoinRow``.
    """
    figures, smooth = row.evaluation.to_dict(), row.smoothness
    return (row.join, f'{row.delay_ms:g}', f'{row.evaluation.mean_score:.3f}',
            interval_text(score_interval(row), 1, 3), f'{100 * row.loss:+.1f}',
            interval_text(row.loss_95, 100, 1), f'{100 * row.evaluation.success_rate:.1f}',
            interval_text(figures['success_rate_95'], 100, 1),
            f'{1e3 * smooth.border_step:.1f}', f'{1e3 * smooth.step:.1f}',
            f'{smooth.border_jerk:.1f}', f'{smooth.jerk:.1f}')


def write_bench(folder, rows, facts):
    """
    Write ``joins.csv``, ``joins.md`` and ``joins.png``.

    :param folder: Folder that exists.
    :param rows: ``JoinRow`` objects, at least one.
    :param facts: What was measured on what, text by name.
    """
    with replacing(folder / 'joins.csv') as part, \
            open(part, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['join', 'delay_ms', 'seed', 'score', 'success', 'steps'])
        writer.writerows([row.join, row.delay_ms, e.seed, e.score, int(e.success), e.steps]
                         for row in rows for e in row.evaluation.episodes)
    table = [COLUMNS, ['---'] * len(COLUMNS), *map(cells, rows)]
    lines = ['# Joins', '', '| | |', '|---|---|',
             *(f'| {name} | {text} |' for name, text in facts.items()), '', MEASURED, '',
             '![](joins.png)', '', *(f'| {" | ".join(line)} |' for line in table)]
    write_lines(folder / 'joins.md', lines)
    _write_picture(folder / 'joins.png', rows)


def _write_picture(path, rows):
    """Plot score, success and jerk over the delay, one line per join."""
    page = Figure(figsize=FIGURE_INCHES, layout='constrained')
    panels = (
        ('mean score', lambda row: row.evaluation.mean_score, score_interval),
        ('success rate', lambda row: row.evaluation.success_rate,
         lambda row: row.evaluation.to_dict()['success_rate_95']),
        ('jerk where a new plan takes over (units/s³)', lambda row: row.smoothness.border_jerk,
         None))
    joins = list(dict.fromkeys(row.join for row in rows))
    for axes, (label, value, interval) in zip(page.subplots(1, len(panels)), panels):
        for number, join in enumerate(joins):
            _draw(axes, [row for row in rows if row.join == join], value, interval,
                  colour=f'C{number}', is_baseline=join == 'naive')
        axes.set(xlabel='injected delay (ms)', ylabel=label)
    axes.set(yscale='log')
    axes.legend(fontsize=8)
    write_picture(path, page)


def _draw(axes, rows, value, interval, *, colour, is_baseline):
    """Draw one join."""
    delays = [row.delay_ms for row in rows]
    axes.plot(delays, [value(row) for row in rows], color=colour, marker='o', markersize=4,
              linestyle='--' if is_baseline else '-', label=rows[0].join)
    if interval is not None:
        bands = [interval(row) or (math.nan, math.nan) for row in rows]
        axes.fill_between(delays, *zip(*bands), color=colour, alpha=0.08)
