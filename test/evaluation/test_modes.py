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

"""Two groups are found where there are two, and nowhere else."""

from diffusion_policy_ros.evaluation.intervals import success_interval
from diffusion_policy_ros.evaluation.modes import folding_ratio, split_in_two
import numpy as np
import pytest

HEAPS = {
    'normal': lambda random, shape: random.normal(size=shape),
    'uniform': lambda random, shape: random.random(shape),
    'long-tailed': lambda random, shape: random.standard_t(3, shape),
    'lopsided': lambda random, shape: random.exponential(size=shape),
    'triangle': lambda random, shape: random.triangular(0, 0, 1, shape)}


@pytest.mark.parametrize('heap', HEAPS)
@pytest.mark.parametrize('entries', [1, 2, 30])
def test_a_single_heap_is_hardly_ever_called_two(heap, entries):
    random = np.random.default_rng(0)
    stretch = np.linspace(1.0, 0.1, entries)
    called = [split_in_two(HEAPS[heap](random, (60, entries)) * stretch).is_two
              for _ in range(40)]
    assert sum(called) <= 3


@pytest.mark.parametrize('share', [0.5, 0.8, 0.9])
@pytest.mark.parametrize('entries', [1, 2, 30])
def test_two_heaps_are_found_and_counted(share, entries):
    random = np.random.default_rng(1)
    is_second = np.arange(100) >= round(100 * share)
    apart = np.zeros(entries)
    apart[0] = 8.0
    samples = random.normal(size=(100, entries)) + is_second[:, None] * apart
    found = split_in_two(random.permuted(samples, axis=0) if entries == 1 else samples)
    assert found.is_two and found.share == pytest.approx(share)
    assert found.share_95 == success_interval(round(100 * share), 100)
    if entries > 1:
        assert np.array_equal(found.labels, is_second.astype(int))
        assert found.separation == pytest.approx(8.0, rel=0.25)
    assert f'two modes of {round(100 * share)} and' in found.sentence()


def test_a_few_outliers_are_no_mode():
    samples = np.random.default_rng(6).normal(size=(100, 2))
    samples[:3] += 50
    found = split_in_two(samples)
    assert found.p < 0.01 and found.share == 0.97 and not found.is_two


def test_two_heaps_that_touch_are_one():
    random = np.random.default_rng(2)
    samples = random.normal(size=(100, 2)) + np.outer(np.arange(100) % 2, (1.0, 0.0))
    assert split_in_two(samples).sentence().startswith('one mode (p ')


def test_the_folding_ratio_has_its_known_values():
    random = np.random.default_rng(3)
    assert folding_ratio(random.random(400_000)) == pytest.approx(1 / 4, abs=2e-3)
    assert folding_ratio(random.normal(size=400_000)) == pytest.approx(1 - 2 / np.pi, abs=2e-3)
    # Exponential: the fold is at 2, E|x - 2| = 1 + 2 / e^2, E(x - 2)^2 = 2.
    assert folding_ratio(random.exponential(size=800_000)) == pytest.approx(
        2 - (1 + 2 * np.exp(-2))**2, abs=5e-3)
    for count in (1, 10, 50):
        assert folding_ratio(np.arange(100) < count) == pytest.approx(0, abs=1e-12)


def test_the_order_and_the_unit_of_the_samples_do_not_matter():
    random = np.random.default_rng(4)
    samples = random.normal(size=(50, 8, 2)) + 6 * (np.arange(50) % 3 == 0)[:, None, None]
    first = split_in_two(samples)
    order = random.permutation(50)
    again = split_in_two(1e-3 * samples[order] + 7)
    assert np.array_equal(again.labels, first.labels[order])
    assert (again.p, again.share) == (first.p, first.share)
    assert again.separation == pytest.approx(first.separation)


def test_equal_samples_are_one_mode_and_few_are_refused():
    assert not split_in_two(np.ones((20, 3))).is_two
    with pytest.raises(ValueError, match='9 samples'):
        split_in_two(np.ones((9, 3)))


def test_scipy_finds_the_same_principal_axes_and_two_means():
    cluster = pytest.importorskip('scipy.cluster.vq')
    random = np.random.default_rng(5)
    samples = random.normal(size=(80, 5)) + 5 * (np.arange(80) < 30)[:, None]
    found = split_in_two(samples)
    means, _ = cluster.kmeans(samples, 2, seed=0)
    theirs, _ = cluster.vq(samples, means)
    assert np.array_equal(found.labels, theirs) or np.array_equal(found.labels, 1 - theirs)
