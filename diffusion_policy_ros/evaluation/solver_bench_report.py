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

"""What a bench of solvers found, as a table, CSV, Markdown and a picture."""

import csv

from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.evaluation.bench_files import write_lines, write_picture
from matplotlib.figure import Figure

FIGURE_INCHES = (12, 5.5)
MEASURED = (
    'Distance: root mean square over the executable rows and entries of a chunk between a sampler '
    'and the converged solution of the probability-flow ODE, from the same noise and the same '
    'first noise level; median over windows, with the quartiles in brackets. Energy: energy '
    'distance between samples of the solver and samples of the converged ODE from other noise, '
    'normalized units, mean over windows, as are the error of the mean and the ratio of the '
    'deviations; the SDE of an imperfect denoiser has another distribution than its ODE, so that '
    'they need not fall to the floor. Time: one chunk, batch 1, without encoding; "x ddim" is the '
    'ratio to DDIM with as many evaluations, measured in turn. Evaluations are those really made; '
    'of the adaptive solver, those of the median window.')


def sorted_rows(rows):
    """
    Sort rows by evaluations, then by distance.

    :param rows: ``SolverRow`` objects.
    :return: Two lists: solvers of the ODE, solvers of the SDE.
    """
    ode = [row for row in rows if row.distance is not None]
    sde = [row for row in rows if row.distance is None]
    return (sorted(ode, key=lambda row: (row.evaluations, row.distance.median)),
            sorted(sde, key=lambda row: (row.evaluations, row.energy)))


def tables(rows, bench):
    """
    Return the result as tables of text.

    :param rows: ``SolverRow`` objects.
    :param bench: The ``SolverBench`` that measured them.
    :return: List of (title, column names, rows of text); none for a kind that was not measured.
    """
    ode, sde = sorted_rows(rows)
    common = ('evaluations', 'solver', 'spacing', 'steps')
    found = []
    if ode:
        found.append(('Solvers of the ODE', (
            *common, f'distance {bench.unit}', 'distance normalized', 'ms', 'x ddim'), [
            (*_common(row), _spread(row.distance_robot), _spread(row.distance),
             f'{row.time_ms:.1f}', f'{row.time_ratio:.2f}') for row in ode]))
    if sde:
        found.append(('Solvers of the SDE', (
            *common, 'energy', 'error of mean', 'deviation ratio', 'ms', 'x ddim'), [
            (*_common(row), f'{row.energy:.4g}', f'{row.mean_error:.3g}', f'{row.std_ratio:.3f}',
             f'{row.time_ms:.1f}', f'{row.time_ratio:.2f}') for row in sde]))
    return found


def floors(bench):
    """
    Tell how well the reference itself is known.

    :param bench: The ``SolverBench``.
    :return: List of sentences.
    """
    found = [f'Floor from level {timestep}: two converged runs of different kind differ by '
             f'{_spread(bench.floors_robot[timestep])} {bench.unit}, {_spread(spread)} '
             'normalized.' for timestep, spread in sorted(bench.floors.items())]
    if bench.energy_floor is not None:
        found.append(f'Floor of the samples: two sets of converged ones have energy '
                     f'{bench.energy_floor:.4g}, error of mean {bench.mean_floor:.3g} and '
                     f'deviation ratio {bench.std_floor:.3f}.')
    return found


def aligned(title, columns, rows):
    """
    Lay a table out for a terminal.

    :param title: What stands above it.
    :param columns: Names of the columns.
    :param rows: Rows of text.
    :return: Text of several lines.
    """
    widths = [max(map(len, column)) for column in zip(columns, *rows)]
    return '\n'.join([title, *('  '.join(text.ljust(width) for text, width in zip(row, widths))
                               .rstrip() for row in (columns, *rows))])


def write_bench(folder, rows, bench, facts):
    """
    Write ``solvers.csv``, ``solvers.md`` and ``solvers.png``.

    :param folder: Folder that exists.
    :param rows: ``SolverRow`` objects, at least one.
    :param bench: The ``SolverBench`` that measured them.
    :param facts: What was measured on what, text by name.
    """
    _write_csv(folder / 'solvers.csv', rows, bench.unit)
    lines = ['# Solvers', '', '| | |', '|---|---|',
             *(f'| {name} | {text} |' for name, text in facts.items()), '', MEASURED, '',
             *(f'- {sentence}' for sentence in floors(bench)), '', '![](solvers.png)']
    for title, columns, texts in tables(rows, bench):
        lines += ['', f'## {title}', '', *(f'| {" | ".join(row)} |' for row in (
            columns, ['---'] * len(columns), *texts))]
    write_lines(folder / 'solvers.md', lines)
    _write_picture(folder / 'solvers.png', rows, bench)


def _common(row):
    """Return the cells that both tables begin with."""
    if row.name == 'adaptive':
        return str(row.evaluations), f'{row.name}, rtol {row.sampler.rtol:g}', '-', '-'
    return (str(row.evaluations), row.name, row.sampler.spacing,
            str(row.sampler.num_inference_steps))


def _spread(spread):
    """Write a median and its quartiles."""
    return f'{spread.median:.3g} ({spread.low:.3g} to {spread.high:.3g})'


def _write_csv(path, rows, unit):
    """Write one line per sampler, with every digit."""
    spreads = (('distance', 'normalized'), ('distance_robot', unit.replace(' ', '_')))
    with replacing(path) as part, open(part, 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(
            ['solver', 'order', 'spacing', 'steps', 'rtol', 'evaluations',
             *(f'distance_{name}{end}' for _, name in spreads for end in ('', '_q25', '_q75')),
             'energy', 'mean_error', 'std_ratio', 'time_ms', 'time_ratio'])
        for row in (row for part in sorted_rows(rows) for row in part):
            sampler, is_adaptive = row.sampler, row.name == 'adaptive'
            writer.writerow(
                [sampler.solver, sampler.order, *((None, None, sampler.rtol) if is_adaptive else
                                                  (sampler.spacing, sampler.num_inference_steps,
                                                   None)), row.evaluations,
                 *(cell for name, _ in spreads for cell in (getattr(row, name) or [None] * 3)),
                 row.energy, row.mean_error, row.std_ratio, row.time_ms, row.time_ratio])


def _write_picture(path, rows, bench):
    """Plot distance and energy over evaluations, one line per solver and spacing."""
    ode, sde = sorted_rows(rows)
    panels = [(part, figure, floor, label) for part, figure, floor, label in (
        (ode, lambda row: row.distance_robot.median,
         max((spread.median for spread in bench.floors_robot.values()), default=None),
         f'distance to the converged ODE ({bench.unit})'),
        (sde, lambda row: row.energy, bench.energy_floor,
         'energy distance to samples of the converged ODE')) if part]
    page = Figure(figsize=FIGURE_INCHES, layout='constrained')
    for axes, (part, figure, floor, label) in zip(page.subplots(1, len(panels), squeeze=False)[0],
                                                  panels):
        _draw_lines(axes, part, figure)
        axes.axhline(floor, color='grey', linestyle='--', linewidth=1, label='floor')
        axes.set(xscale='log', yscale='log', xlabel='denoiser evaluations', ylabel=label)
        ticks = sorted({row.evaluations for row in part})
        axes.set_xticks(ticks, ticks)
        axes.set_xticks([], minor=True)
        axes.tick_params(axis='x', labelsize=7, rotation=90)
        axes.legend(fontsize=7)
    write_picture(path, page)


def _draw_lines(axes, rows, figure):
    """Draw a line per solver, order and spacing."""
    several = len({row.sampler.spacing for row in rows}) > 1
    lines = {}
    for row in rows:
        name = f'{row.name}, {row.sampler.spacing}' if several else row.name
        lines.setdefault(name, []).append((row.evaluations, figure(row)))
    for index, (name, points) in enumerate(sorted(lines.items())):
        axes.plot(*zip(*points), marker='os^v'[index // 10 % 4], markersize=4, linewidth=1,
                  linestyle=('-', ':')[index // 10 % 2], label=name)
