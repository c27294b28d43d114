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

"""What a bench of whole chunks found: lines, ``chunk.json``, ``chunk.md`` and ``chunk.png``."""

from dataclasses import asdict
import json

from diffusion_policy_ros.evaluation.bench_files import write_lines, write_picture
from diffusion_policy_ros.evaluation.chunk_bench import PEERS
from matplotlib.figure import Figure
import numpy as np

OUTPUTS = ('chunk.json', 'chunk.md', 'chunk.png')
FIGURE_INCHES = (12, 5.5)
BARS_SHARE = 0.8
EXPLAINED = (
    'Each time is that of a whole chunk: from a window of observations, over its encoding and all '
    'denoiser calls, to rows in robot units. "served" is the policy as policy_server runs it, for '
    'a window that shares no picture with the one before; "plain" the same weights in a plain '
    'PyTorch loop of the same package; "diffusers" that loop with a scheduler of diffusers; and '
    '"lerobot" LeRobot\'s DiffusionPolicy with the same weights, in its own Python, where neither '
    'the normalization of the observation nor the way back to robot units is timed; it encodes '
    'the observation once for each candidate. All but what is served with another precision '
    'compute in float32. What is served is timed before each of the others, in turn; "times as '
    'fast" is the median of these pairs, with the least and the greatest. Roofline: weights of '
    'the denoiser times evaluations, and those of the encoder once, by how fast this machine '
    'reads memory; or multiply-adds by how fast it multiplies large matrices; the larger of the '
    'two. Weights that stay in a cache are read faster than that. Difference: the largest from '
    'the plain chunk, over the rows that may be executed, in normalized units, relative above 1.')


def columns() -> tuple:
    """Return the names of the table's columns."""
    return ('network', 'evaluations', 'candidates', 'what', 'ms', 'p99 ms',
            *(f'times as fast as {peer}' for peer in PEERS), 'roofline ms', 'of the roofline',
            'difference')


def cells(row) -> tuple:
    """
    Return a row as text.

    :param row: ``ChunkRow``.
    """
    figures = row_figures(row)
    ratios = [_ratio(figures['ratios'].get(peer)) for peer in PEERS]
    return (row.network, str(row.setting.evaluations), str(row.setting.candidates), row.name,
            f'{figures["median_ms"]:.2f}', f'{figures["p99_ms"]:.2f}', *ratios,
            f'{row.bound.ms:.2f} ({_limit(row.bound)})', f'{figures["times_roofline"]:.2f}',
            f'{row.difference:.1e}')


def row_figures(row) -> dict:
    """
    Return what is derived from a row, by name.

    :param row: ``ChunkRow``.
    """
    middle = float(np.median(row.times_ms))
    return {'median_ms': middle, 'p99_ms': float(np.percentile(row.times_ms, 99)),
            'ratios': {peer: {'median': float(np.median(pairs)), 'least': min(pairs),
                              'greatest': max(pairs)} for peer, pairs in row.ratios.items()},
            'roofline_ms': row.bound.ms, 'times_roofline': middle / row.bound.ms}


def told(row) -> str:
    """
    Return a row as a line for a terminal.

    :param row: ``ChunkRow``.
    """
    figures = row_figures(row)
    ratios = ''.join(f', {_ratio(ratio)} times as fast as {peer}'
                     for peer, ratio in figures['ratios'].items())
    return (f'{row.network}, {row.setting.evaluations} evaluations, {row.setting.candidates} '
            f'candidate(s), {row.name}: {figures["median_ms"]:.2f} ms, p99 '
            f'{figures["p99_ms"]:.2f}{ratios}; {figures["times_roofline"]:.2f} times the '
            f'roofline of {row.bound.ms:.2f} ms ({_limit(row.bound)}); difference '
            f'{row.difference:.1e}')


def write_chunks(folder, rows, facts, notes):
    """
    Write ``chunk.json``, ``chunk.md`` and ``chunk.png``.

    :param folder: Folder that exists.
    :param rows: ``ChunkRow`` objects, at least one.
    :param facts: What was measured on what, text by name.
    :param notes: Sentences about what was left out or went wrong.
    """
    document = {'facts': facts, 'notes': notes,
                'rows': [{**asdict(row), **row_figures(row), 'pairs': row.ratios}
                         for row in rows]}
    write_lines(folder / 'chunk.json', [json.dumps(document, indent=1)])
    table = [columns(), ['---'] * len(columns()), *map(cells, rows)]
    write_lines(folder / 'chunk.md', [
        '# Whole chunks', '', EXPLAINED, '', *(f'| {" | ".join(line)} |' for line in table), '',
        *(f'- {note}' for note in notes), *[''] * bool(notes), '![](chunk.png)', '', '| | |',
        '|---|---|', *(f'| {name} | {text} |' for name, text in facts.items()), '',
        'Policies:', '', *_shapes(rows)])
    _write_picture(folder / 'chunk.png', rows)


def _shapes(rows):
    """Say once what each network sees and makes."""
    shapes = {row.network: row.shape for row in rows}
    return [f'- {network}: {", ".join(f"{name} {value}" for name, value in shape.items())}'
            for network, shape in shapes.items()]


def _ratio(ratio):
    """Write a median and its range, a dash where there is none."""
    if ratio is None:
        return '-'
    return f'{ratio["median"]:.2f} ({ratio["least"]:.2f} to {ratio["greatest"]:.2f})'


def _limit(bound):
    """Say which of the two limits a roofline is."""
    return 'read' if bound.read_ms >= bound.arithmetic_ms else 'arithmetic'


def _write_picture(path, rows):
    """Draw a bar for every row, in groups of the same setting, and its roofline as a mark."""
    groups = list(dict.fromkeys(map(_group, rows)))
    names = list(dict.fromkeys(row.name for row in rows))
    width = BARS_SHARE / len(names)
    page = Figure(figsize=FIGURE_INCHES, layout='constrained')
    axes = page.subplots()
    for index, name in enumerate(names):
        shown = [row for row in rows if row.name == name]
        places = [groups.index(_group(row)) + (index - (len(names) - 1) / 2) * width
                  for row in shown]
        axes.bar(places, [row_figures(row)['median_ms'] for row in shown], width, label=name)
        axes.plot(places, [row.bound.ms for row in shown], '_', color='black', markersize=10,
                  label='roofline' if index == 0 else None)
    axes.set_xticks(range(len(groups)), groups, fontsize=8)
    axes.set(yscale='log', ylabel='time of a chunk (ms)')
    axes.legend(fontsize=8)
    write_picture(path, page)


def _group(row):
    """Name the setting of a row, as it stands below its bars."""
    return (f'{row.network}\n{row.setting.evaluations} evaluations\n'
            f'{row.setting.candidates} candidate(s)')
