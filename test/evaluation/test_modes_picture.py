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

"""Pictures of chunks have titles within their edges, labels, and no empty panel."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('cv2')
Figure = pytest.importorskip('matplotlib.figure').Figure

SENTENCE = ('100 chunks for a table that is its own mirror image: 65 pass on the left, 35 on the '
            'right (65.0 % left, 95 % 55.3 to 73.6); two modes of 66 and 34 (the larger 66.0 %, '
            '95 % 56.3 to 74.5), 8.0 standard deviations apart (p 0.0005)')


@pytest.fixture
def drawn(monkeypatch):
    """Return a list of the figures that are saved."""
    figures, save = [], Figure.savefig

    def keep(figure, *args, **options):
        save(figure, *args, **options)
        figures.append(figure)

    monkeypatch.setattr(Figure, 'savefig', keep)
    return figures


def draw_entries(path, entries):
    """Draw chunks of some entries."""
    from diffusion_policy_ros.evaluation.modes import split_in_two
    from diffusion_policy_ros.evaluation.modes_picture import draw_entries as draw
    chunks = np.random.default_rng(0).random((20, 6, entries))
    draw(path, chunks, split_in_two(chunks), [f'joint_{n}' for n in range(entries)],
         rate_hz=10.0, title=SENTENCE, recorded=chunks[0])


def draw_table(path):
    """Draw chunks over a table."""
    from diffusion_policy_ros.evaluation.modes_picture import draw_table as draw
    chunks = np.random.default_rng(0).random((20, 6, 2)) / 2
    sim = SimpleNamespace(picture=lambda px: np.zeros((px, px, 3), np.uint8))
    draw(path, sim, chunks, np.arange(20) < 10, SENTENCE)


def draw_ways(path):
    """Draw ways in a room."""
    from diffusion_policy_ros.evaluation.modes_picture import draw_ways as draw
    draw(path, np.array([[(0, 0), (1, 0)]]), [((0, 0), 0.1, 'start')],
         np.random.default_rng(0).random((5, 6, 2)), np.arange(5) < 2, SENTENCE)


@pytest.mark.parametrize('draw', [
    draw_table, draw_ways, lambda path: draw_entries(path, 1), lambda path: draw_entries(path, 9)])
def test_the_title_keeps_a_margin_and_no_line_begins_with_per_cent(draw, drawn, tmp_path):
    draw(tmp_path / 'modes.png')
    figure, = drawn
    title = figure._suptitle
    extent = title.get_window_extent()
    width = figure.get_figwidth() * figure.dpi
    assert 0.01 * width < extent.x0 and extent.x1 < 0.99 * width
    assert not any(line.startswith('%') or line.endswith('(p')
                   for line in title.get_text().splitlines())
    assert title.get_text().replace('\n', ' ').replace('\N{NO-BREAK SPACE}', ' ') == SENTENCE


@pytest.mark.parametrize('entries, panels', [(1, 2), (2, 3), (3, 4), (7, 8)])
def test_no_panel_is_empty_and_every_axis_says_what_it_is(drawn, tmp_path, entries, panels):
    draw_entries(tmp_path / 'modes.png', entries)
    axes = drawn[0].axes
    assert len(axes) == panels and all(each.get_visible() and each.has_data() for each in axes)
    assert all(each.get_xlabel() and each.get_ylabel() for each in axes)
