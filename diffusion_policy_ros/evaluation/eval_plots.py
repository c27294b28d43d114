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

"""The plots of an evaluation's report, as PNG bytes."""

from io import BytesIO

from matplotlib.figure import Figure
import numpy as np

DPI = 130
CURVES_INCHES, BARS_INCHES = (11.0, 3.4), (11.0, 2.6)
BINS = np.linspace(0, 1, 21)
COLOURS = ('#2b6cb0', '#dd7a1d')
GREY = '#718096'


def plot_curves(named) -> bytes:
    """
    Plot solved episodes and mean score over time, with their 95 % bands.

    :param named: Name to ``Curves``, one or two.
    :return: PNG bytes.
    """
    figure = Figure(figsize=CURVES_INCHES, layout='constrained')
    panels = figure.subplots(1, 2)
    for axes, what, label in zip(panels, ('success', 'score'),
                                 ('share of episodes solved', 'mean score so far')):
        for (name, curves), colour in zip(named.items(), COLOURS):
            middle, low, high = getattr(curves, what).T
            axes.plot(curves.seconds, middle, color=colour, label=name)
            axes.fill_between(curves.seconds, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel='time (s)', ylabel=label, ylim=(0, 1.02),
                 xlim=(0, curves.seconds[-1]))
        _tidy(axes)
    panels[1].legend(fontsize=8, frameon=False, loc='lower right')
    return as_png(figure)


def plot_scores(named) -> bytes:
    """
    Plot how many episodes had which score.

    :param named: Name to ``EpisodeResult`` objects, one or two.
    :return: PNG bytes.
    """
    figure = Figure(figsize=BARS_INCHES, layout='constrained')
    axes = figure.subplots()
    counts, _, _ = axes.hist(
        [[result.score for result in results] for results in named.values()], bins=BINS,
        color=COLOURS[:len(named)], label=list(named))
    # Scores crowd at 1; the few elsewhere are to be seen as well.
    axes.set_yscale('symlog')
    largest = int(np.max(counts))
    axes.set_yticks([0, *(step * 10**power for power in range(7) for step in (1, 2, 5)
                          if step * 10**power <= largest)])
    axes.yaxis.set_major_formatter('{x:g}')
    axes.minorticks_off()
    axes.set(xlabel='score (1 is best)', ylabel='episodes', xlim=(0, 1))
    axes.legend(fontsize=8, frameon=False, loc='upper left')
    _tidy(axes)
    return as_png(figure)


def _tidy(axes):
    """Draw no more lines than needed."""
    axes.tick_params(labelsize=8, color=GREY)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)


def as_png(figure) -> bytes:
    """
    Return a figure as PNG bytes.

    :param figure: Figure of matplotlib.
    """
    data = BytesIO()
    figure.savefig(data, format='png', dpi=DPI)
    return data.getvalue()
