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

"""The plots of a dataset's report, as PNG bytes."""

from diffusion_policy_ros.evaluation.dataset.ages import MOST_MS
from diffusion_policy_ros.evaluation.eval_plots import as_png
from diffusion_policy_ros.streams import ACTION_KEY
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
import numpy as np

WIDTH_INCHES = 11.0
COLUMNS = 5
BLUE, ORANGE, RED, GREY = '#2b6cb0', '#dd7a1d', '#c53030', '#8a94a6'
# More entries than this make no page that is read; the first ones are shown.
MOST_ENTRIES = 40
TITLE = {'fontsize': 8, 'loc': 'left', 'pad': 3}
STYLE = {'labelsize': 7.5, 'labelcolor': '#4a5568', 'color': '#cbd5e0', 'length': 2}


def plot_lengths(audit) -> bytes:
    """
    Plot how long every episode is.

    :param audit: ``Audit``.
    :return: PNG bytes.
    """
    source = audit.source
    seconds = [episode.length / source.rate_hz for episode in source.episodes]
    figure, axes = _figure(2.0)
    axes.bar([episode.index for episode in source.episodes], seconds, color=BLUE,
             width=1.0 if len(seconds) > 60 else 0.8)
    axes.axhline(np.median(seconds), color=GREY, linewidth=0.8, linestyle='--')
    axes.text(1.002, np.median(seconds), f'median\n{np.median(seconds):.1f} s', fontsize=7,
              color=GREY, va='center', transform=axes.get_yaxis_transform())
    axes.set_xlim(-0.7, len(seconds) - 0.3)
    _label(axes, 'episode', 'length (s)')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return as_png(figure)


def plot_streams(audit) -> bytes:
    """
    Plot the ages of each stream's samples, and how many new ones it brought per second.

    :param audit: ``Audit`` of a dataset that holds ages.
    :return: PNG bytes.
    """
    streams = audit.ages.streams
    figure = Figure(figsize=(WIDTH_INCHES, 0.1 + 1.3 * len(streams)), layout='constrained')
    grid = figure.subplots(len(streams), 2, squeeze=False)
    for row, (topic, stream) in zip(grid, streams.items()):
        _plot_ages(row[0], topic, stream, audit.ages.limits_ms.get(topic))
        rates = np.array(stream.rates_hz)
        row[1].plot(rates, '.', color=BLUE, markersize=4)
        row[1].axhline(audit.source.rate_hz, color=GREY, linewidth=0.8, linestyle='--')
        row[1].set_ylim(0, 1.25 * max(audit.source.rate_hz, rates.max(initial=0.0)))
        row[1].xaxis.set_major_locator(MaxNLocator(integer=True))
        row[1].set_title('new samples per second' if len(rates) else '', **TITLE)
        _label(row[1], '', '')
    _label(grid[-1][0], 'age (ms)', 'rows')
    _label(grid[-1][1], 'episode', '')
    return as_png(figure)


def plot_histograms(audit) -> bytes:
    """
    Plot which values each entry of state and action takes.

    :param audit: ``Audit``.
    :return: PNG bytes; empty bytes without state and action.
    """
    panels = _panels(audit)
    if not panels:
        return b''
    figure, grid = _grid(len(panels), 1.35)
    for axes, (name, entries) in zip(grid, panels.items()):
        values = {key: column[np.isfinite(column)] for key, (column, _) in entries.items()}
        both = np.concatenate(list(values.values()))
        edges = np.linspace(both.min(), both.max(), 41) if len(both) and np.ptp(both) > 0 else 10
        for key, column in values.items():
            look = {'histtype': 'stepfilled', 'alpha': 0.5} if key != ACTION_KEY else {
                'histtype': 'step', 'linewidth': 1.2}
            axes.hist(column, bins=edges, color=_colour(key), label=key, **look)
        axes.set_title(name, **TITLE)
        axes.set_yticks([])
        _label(axes, '', '')
    _legend(figure)
    return as_png(figure)


def plot_courses(audit) -> bytes:
    """
    Plot how each entry moves over time, all shown episodes in one panel.

    :param audit: ``Audit``.
    :return: PNG bytes; empty bytes without state and action.
    """
    panels = _panels(audit)
    if not panels:
        return b''
    lengths = {episode.index: episode.length / audit.source.rate_hz
               for episode in audit.source.episodes}
    figure, grid = _grid(len(panels), 1.5)
    opacity = float(np.clip(12 / max(1, len(audit.curves)), 0.22, 0.8))
    for axes, (name, entries) in zip(grid, panels.items()):
        for key, (_, entry) in entries.items():
            for number, curve in audit.curves.items():
                if key in curve:
                    time_s = np.linspace(0, lengths[number], len(curve[key]))
                    axes.plot(time_s, curve[key][:, entry], color=_colour(key), linewidth=0.6,
                              alpha=opacity)
        axes.set_title(name, **TITLE)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        _label(axes, '', '')
    return as_png(figure)


def _panels(audit):
    """Pair entries of state and action that have one name: ``{name: {key: (sample, entry)}}``."""
    panels = {}
    for key in (audit.source.state_key, ACTION_KEY):
        study = audit.studies.get(key)
        if study is None or not len(study.sample):
            continue
        for entry, name in enumerate(study.names):
            panels.setdefault(name, {})[key] = (study.sample[:, entry], entry)
    return dict(list(panels.items())[:MOST_ENTRIES])


def _plot_ages(axes, topic, stream, limit_ms):
    """Plot how many rows had which age, up to the limit or a little beyond what occurs."""
    occurring = np.flatnonzero(stream.histogram)
    most = int(min(max(limit_ms or 0, occurring.max(initial=0), 10), MOST_MS))
    axes.stairs(stream.histogram[:most + 1], np.arange(most + 2), fill=True, color=BLUE)
    axes.set_xlim(0, 1.12 * most)
    if limit_ms and limit_ms <= most:
        axes.axvline(limit_ms, color=RED, linewidth=1)
        axes.text(limit_ms, 0.5, ' limit', color=RED, fontsize=7,
                  transform=axes.get_xaxis_transform(), ha='left')
    axes.set_yscale('symlog')
    axes.set_yticks([], minor=False)
    axes.minorticks_off()
    axes.set_title(f'{topic}: median {stream.quantile_ms(0.5):.0f} ms, 95 % up to '
                   f'{stream.quantile_ms(0.95):.0f} ms', **TITLE)
    _label(axes, '', 'rows')


def _figure(height):
    """Return a figure with one plot."""
    figure = Figure(figsize=(WIDTH_INCHES, height), layout='constrained')
    return figure, figure.subplots()


def _grid(count, height):
    """Return a figure with so many panels, and the panels."""
    columns = min(COLUMNS, max(2, count))
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH_INCHES, height * rows + 0.3), layout='constrained')
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, grid


def _label(axes, below, beside):
    """Name the axes, and draw no more lines than needed."""
    axes.set_xlabel(below, fontsize=8, color='#4a5568')
    axes.set_ylabel(beside, fontsize=8, color='#4a5568')
    axes.tick_params(**STYLE)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ('left', 'bottom'))
        spine.set_color('#cbd5e0')


def _legend(figure):
    """Say once what the colours mean."""
    handles = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc='outside upper right', ncols=2,
                  fontsize=8, frameon=False)


def _colour(key):
    """Return the colour of a column."""
    return ORANGE if key == ACTION_KEY else BLUE
