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

"""Curves count what is solved by each instant."""

import json

from diffusion_policy_ros.evaluation.eval_curves import curves
from diffusion_policy_ros.evaluation.intervals import bootstrap_interval, success_interval
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
import numpy as np
import pytest


def test_an_episode_counts_from_the_step_at_which_it_was_solved():
    results = [EpisodeResult(1, 1.0, True, 2), EpisodeResult(2, 0.5, False, 4),
               EpisodeResult(3, 1.0, True, 4)]
    courses = [[0, 0.3, 1.0], [0, 0.1, 0.2, 0.3, 0.5], [0.2, 0.2, 0.2, 0.2, 1.0]]
    found = curves(results, courses, rate_hz=10.0, max_steps=4)
    assert found.seconds == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert found.success[:, 0] == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3])
    assert tuple(found.success[2, 1:]) == pytest.approx(success_interval(1, 3))
    assert found.score[:, 0] == pytest.approx(
        [np.mean(c) for c in ([0, 0, 0.2], [0.3, 0.1, 0.2], [1, 0.2, 0.2], [1, 0.3, 0.2],
                              [1, 0.5, 1])])
    # three episodes tell no interval of a mean, which JSON has no number for
    assert np.isnan(found.score[:, 1:]).all()
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))['score'][0] == [
        pytest.approx(0.2 / 3, abs=1e-6), None, None]


def test_the_last_band_is_the_interval_of_the_mean_score():
    scores = np.random.default_rng(0).random(30)
    results = [EpisodeResult(seed, score, False, 2) for seed, score in enumerate(scores)]
    found = curves(results, [[0, score / 2, score] for score in scores], rate_hz=10.0, max_steps=2)
    assert tuple(found.score[-1, 1:]) == pytest.approx(bootstrap_interval(scores))
    assert np.isnan(found.score[0, 1:]).all()  # all are 0 at the start
    assert (found.score[1:, 1] < found.score[1:, 0]).all()
    assert (found.score[1:, 2] > found.score[1:, 0]).all()
    assert set(found.to_dict()) == {'seconds', 'success', 'score'}
