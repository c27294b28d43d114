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

"""The histogram of scores counts whole episodes."""

from diffusion_policy_ros.evaluation.rollout import EpisodeResult
import pytest

pytest.importorskip('matplotlib')


@pytest.mark.parametrize('counts, ticks', [
    ([1], [0, 1]), ([3], [0, 1, 2]), ([1, 0, 12], [0, 1, 2, 5, 10]),
    ([400], [0, 1, 2, 5, 10, 20, 50, 100, 200])])
def test_ticks_are_numbers_of_episodes_that_a_bar_reaches(counts, ticks, monkeypatch):
    from diffusion_policy_ros.evaluation import eval_plots
    drawn, png = [], eval_plots.as_png
    monkeypatch.setattr(eval_plots, 'as_png', lambda figure: drawn.append(figure) or png(figure))
    scores = [0.1 + place / 4 for place, count in enumerate(counts) for _ in range(count)]
    results = [EpisodeResult(seed, score, False, 9) for seed, score in enumerate(scores)]
    assert eval_plots.plot_scores({'model': results})[:4] == b'\x89PNG'
    low, high = drawn[0].axes[0].get_ylim()
    assert [tick for tick in drawn[0].axes[0].get_yticks() if low <= tick <= high] == ticks
    assert [label.get_text() for label in drawn[0].axes[0].get_yticklabels()] == list(
        map(str, ticks))
