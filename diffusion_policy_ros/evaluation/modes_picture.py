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

"""Pictures of sampled chunks: over the Push-T table, or entry by entry for any robot."""

from textwrap import fill

from diffusion_policy_ros.sim.pusht import METRES_PER_PIXEL
from diffusion_policy_ros.sim.pusht_picture import TABLE_PX
from matplotlib.figure import Figure
import numpy as np

DPI = 120
TITLE_POINTS, TITLE_SHARE = 9, 0.92
WIDTH_OF_LETTER = 0.62  # of the font's size, on average
COLOURS = ('#2b6cb0', '#dd7a1d')
COLUMNS, MOST_ENTRIES = 4, 28


def draw_table(path, sim, chunks, is_left, title) -> None:
    """
    Draw chunks over the table that they are answers to.

    :param path: PNG file to write.
    :param sim: ``PushT``.
    :param chunks: float64 (K, rows, 2), m.
    :param is_left: Which of them pass on the left, bool (K,).
    :param title: One sentence.
    """
    figure = Figure(figsize=(6.4, 6.8), layout='constrained')
    axes = figure.subplots()
    axes.imshow(sim.picture(TABLE_PX))
    for chunk, left in zip(chunks / METRES_PER_PIXEL, is_left):
        axes.plot(*chunk.T, color=COLOURS[int(not left)], alpha=0.35, linewidth=1)
    axes.set(xlim=(0, TABLE_PX), ylim=(TABLE_PX, 0))
    axes.axis('off')
    _set_title(figure, title)
    figure.savefig(path, dpi=DPI)


def draw_ways(path, segments, circles, ways, is_left, title) -> None:
    """
    Draw ways over the plan of a room.

    :param path: PNG file to write.
    :param segments: Walls, float64 (N, 2, 2), m.
    :param circles: ``(middle, radius, name)`` of what else is there, m.
    :param ways: float64 (K, points, 2), m.
    :param is_left: Which of them pass on the left, bool (K,).
    :param title: One sentence.
    """
    figure = Figure(figsize=(7.2, 5.4), layout='constrained')
    axes = figure.subplots()
    for segment in segments:
        axes.plot(*segment.T, color='black', linewidth=1.5)
    for (x, y), radius, name in circles:
        turn = np.linspace(0, 2 * np.pi, 60)
        axes.plot(x + radius * np.cos(turn), y + radius * np.sin(turn), color='grey')
        axes.annotate(name, (x, y - radius), ha='center', va='top', fontsize=8)
    for way, left in zip(ways, is_left):
        axes.plot(*way.T, color=COLOURS[int(not left)], alpha=0.35, linewidth=1)
    axes.set(aspect='equal', xlabel='x in m', ylabel='y in m')
    _set_title(figure, title)
    figure.savefig(path, dpi=DPI)


def draw_entries(path, chunks, split, names, *, rate_hz, title, recorded) -> None:
    """
    Draw every entry of the chunks over time, and the chunks on their two principal axes.

    :param path: PNG file to write.
    :param chunks: float64 (K, rows, entries), robot units.
    :param split: ``Split`` of them.
    :param names: Names of the entries.
    :param rate_hz: Rows per second, Hz.
    :param title: One sentence.
    :param recorded: What was done in the recording, (rows, entries), drawn in black.
    """
    names = names[:MOST_ENTRIES]
    columns = min(COLUMNS, len(names) + 1)
    rows = -(-(len(names) + 1) // columns)
    figure = Figure(figsize=(3.0 * columns, 2.3 * rows + 0.5), layout='constrained')
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    colours = np.array(COLOURS)[split.labels if split.is_two else np.zeros_like(split.labels)]
    panels[0].scatter(*split.plane.T, c=colours, s=8)
    panels[0].set_title(f'all rows: {split.explained:.0%} of the variance', fontsize=8)
    panels[0].set_xlabel('first principal axis', fontsize=7)
    panels[0].set_ylabel('second principal axis', fontsize=7)
    seconds = np.arange(chunks.shape[1]) / rate_hz
    for entry, (name, axes) in enumerate(zip(names, panels[1:])):
        for chunk, colour in zip(chunks, colours):
            axes.plot(seconds, chunk[:, entry], color=colour, alpha=0.35, linewidth=0.8)
        axes.plot(seconds, recorded[:, entry], color='black', linewidth=1.2)
        axes.set_title(name, fontsize=8)
        axes.set_xlabel('time (s)', fontsize=7)
        axes.set_ylabel('robot units', fontsize=7)
    for axes in panels:
        axes.tick_params(labelsize=7)
    for axes in panels[len(names) + 1:]:
        axes.set_visible(False)
    _set_title(figure, title)
    figure.savefig(path, dpi=DPI)


def _set_title(figure, title):
    """Break a sentence into lines that leave a margin, and no number from its per cent or p."""
    width = int(TITLE_SHARE * 72 * figure.get_figwidth() / (TITLE_POINTS * WIDTH_OF_LETTER))
    glued = title.replace(' %', '\N{NO-BREAK SPACE}%').replace('(p ', '(p\N{NO-BREAK SPACE}')
    figure.suptitle(fill(glued, width), fontsize=TITLE_POINTS)
