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
"""What a bench of success found: JSON to go on from, Markdown and a picture."""

from dataclasses import asdict
import json

from diffusion_policy_ros.checks import is_number, shown
from diffusion_policy_ros.data.files import replacing
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.bench_files import write_lines, write_picture
from diffusion_policy_ros.evaluation.eval_result import read_episodes, read_figures
from diffusion_policy_ros.evaluation.evaluate import Evaluation
from diffusion_policy_ros.evaluation.intervals import interval_text
from diffusion_policy_ros.evaluation.success_bench import compared, SuccessRow
from diffusion_policy_ros.settings import from_mapping
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

FIGURE_INCHES = (12, 4.5)
JSON = 'success.json'
TIMES = ('time_ms', 'time_ratio', 'seconds')
COLUMNS = ('solver', 'evaluations', 'ms', 'x DDIM', 'success %', '95 %', 'mean score', '95 %',
           'success points', '95 %', 'p')
MEASURED = (
    'Every row ran the same episodes from the same seeds. Evaluations: denoiser calls of a chunk. '
    'ms: median time of one chunk alone, as policy_server draws it, its observation encoded '
    'before; x DDIM: that relative to DDIM with as many calls, measured in turn. '
    'Success points: success rate minus that of the '
    "first row, episode by episode, with its bootstrap interval; p: McNemar's exact test. Of "
    'many rows some reach p = 0.05 by chance. An interval is - where there are too few episodes, '
    'or all are the same.')


def cells(row):
    """
    Return a row as text.

    :param row: ``SuccessRow``.
    """
    figures = row.evaluation.to_dict()
    cells = (row.name, str(row.evaluations), f'{row.time_ms:.1f}', f'{row.time_ratio:.2f}',
             f'{100 * row.evaluation.success_rate:.1f}',
             interval_text(figures['success_rate_95'], 100, 1), f'{row.evaluation.mean_score:.3f}',
             interval_text(figures['mean_score_95'], 1, 3))
    if row.comparison is None:
        return (*cells, '', '', '')
    test = row.comparison.success
    return (*cells, f'{100 * test.difference:+.1f}', interval_text(test.difference_95, 100, 1),
            test.p_text)


def write_bench(folder, rows, identity, facts):
    """
    Write ``success.json``, ``success.md`` and ``success.png``.

    :param folder: pathlib.Path of a folder that exists.
    :param rows: ``SuccessRow`` objects, at least one.
    :param identity: What a bench that goes on must share, ready for JSON.
    :param facts: What was measured on what, text by name.
    """
    stored = [{'sampler': asdict(row.sampler), 'time_ms': row.time_ms,
               'time_ratio': row.time_ratio, 'seconds': row.evaluation.seconds,
               'results': [asdict(episode) for episode in row.evaluation.episodes]}
              for row in rows]
    with replacing(folder / JSON) as part:
        part.write_text(json.dumps({'identity': identity, 'rows': stored}), encoding='utf-8')
    ordered = sorted(rows[1:], key=lambda row: (row.name, row.evaluations))
    table = [COLUMNS, ['---'] * len(COLUMNS), *map(cells, [rows[0], *ordered])]
    lines = ['# Solvers by success', '', '| | |', '|---|---|',
             *(f'| {name} | {text} |' for name, text in facts.items()), '', MEASURED, '',
             '![](success.png)', '', *(f'| {" | ".join(line)} |' for line in table)]
    write_lines(folder / 'success.md', lines)
    _write_picture(folder / 'success.png', [rows[0], *ordered])


def read_bench(folder, identity) -> list:
    """
    Return the rows that a bench measured before it was stopped.

    :param folder: pathlib.Path of its folder.
    :param identity: As for ``write_bench``.
    :raises ConfigError: if there is none, or it measured something else.
    """
    path = folder / JSON
    try:
        document = read_figures(path)
        rows, found = _read_rows(document.get('rows')), document.get('identity')
        if not isinstance(found, dict):
            raise ConfigError(f'identity is {shown(found)}; it must map names to values')
    except ConfigError as error:
        raise ConfigError(f'{path} holds no bench to go on with ({error}); leave out --resume'
                          ) from error
    different = [key for key in identity if found.get(key) != identity[key]]
    if different:
        key = different[0]
        raise ConfigError(f'{path} was measured with {key} {found.get(key, "not told")}, not '
                          f'{identity[key]}; go on with the same arguments, or choose another '
                          '--out')
    return rows[:1] + [compared(row, rows[0]) for row in rows[1:]]


def _read_rows(stored):
    """Read the rows that ``write_bench`` wrote, which are all of the same episodes."""
    if not isinstance(stored, list):
        raise ConfigError(f'rows is {shown(stored)}; it must be a list')
    rows = []
    for number, row in enumerate(stored):
        try:
            rows.append(_read_row(row))
        except ConfigError as error:
            raise ConfigError(f'rows[{number}]: {error}') from error
    if len(set(map(_seeds, rows))) > 1:
        raise ConfigError('its rows are of different episodes')
    return rows


def _read_row(stored):
    """Read what ``write_bench`` wrote of a row."""
    if not isinstance(stored, dict):
        raise ConfigError(f'it is {shown(stored)}; it must map names to values')
    for name in TIMES:
        if not is_number(stored.get(name)) or stored[name] <= 0:
            raise ConfigError(f'{name} is {shown(stored.get(name))}; it must be a number above 0')
    time_ms, ratio, seconds = (float(stored[name]) for name in TIMES)
    sampler = from_mapping(Sampler, 'sampler', stored.get('sampler'))
    return SuccessRow(sampler, time_ms, ratio,
                      Evaluation(read_episodes(stored.get('results')), seconds))


def _seeds(row):
    """Return the seeds of a row's episodes."""
    return tuple(episode.seed for episode in row.evaluation.episodes)


def _write_picture(path, rows):
    """Plot success over denoiser calls and over time, one line per solver."""
    page = Figure(figsize=FIGURE_INCHES, layout='constrained')
    panels = (('denoiser calls of a chunk', lambda row: row.evaluations),
              ('time of a chunk (ms)', lambda row: row.time_ms))
    for axes, (label, cost) in zip(page.subplots(1, 2, sharey=True), panels):
        for number, name in enumerate(dict.fromkeys(row.name for row in rows)):
            own = [row for row in rows if row.name == name]
            rates = [100 * row.evaluation.success_rate for row in own]
            low, high = zip(*([100 * end for end in row.evaluation.to_dict()['success_rate_95']]
                              for row in own))
            axes.errorbar([cost(row) for row in own], rates, marker='o', markersize=4, capsize=2,
                          elinewidth=0.6, color=f'C{number}', label=name, yerr=(
                              [rate - end for rate, end in zip(rates, low)],
                              [end - rate for rate, end in zip(rates, high)]))
        axes.set(xscale='log', xlabel=label)
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(alpha=0.3)
    page.axes[0].set(ylabel='success (%)')
    page.axes[1].legend(fontsize=8)
    write_picture(path, page)
