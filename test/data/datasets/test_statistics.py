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

"""Statistics agree with numpy over all the values at once."""

from diffusion_policy_ros.data.datasets.statistics import (
    DatasetStatistics, merge_statistics, picture_statistics, PictureStatistics, QUANTILES,
    RunningStatistics, vector_statistics)
import numpy as np
import pytest


def test_vector_statistics_are_numpys():
    """Every entry, in float64."""
    values = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    found = vector_statistics(values)
    exact = values.astype(np.float64)
    assert np.allclose(found['mean'], exact.mean(0), atol=1e-12)
    assert np.allclose(found['std'], exact.std(0), atol=1e-12)
    assert np.array_equal(found['min'], exact.min(0)) and found['count'].tolist() == [200]
    for name, q in QUANTILES.items():
        assert np.allclose(found[name], np.quantile(exact, q, axis=0))


def test_integers_keep_their_kind():
    """Nanoseconds since 1970 are not rounded to float64."""
    stamps = np.array([1_700_000_000_000_000_001, 1_700_000_000_000_000_003])
    found = vector_statistics(stamps)
    assert found['min'].tolist() == [1_700_000_000_000_000_001]
    assert found['max'].dtype == np.int64


def test_numbers_too_large_for_int64_are_not_wrapped():
    """They are told in float64, of all rows at once and of blocks."""
    values = np.array([[0], [2**63], [2**63 + 2**60], [2**64 - 1]], np.uint64)
    exact = values.astype(np.float64)
    running = RunningStatistics((1,), np.uint64)
    running.add(values[:3])
    running.add(values[3:])
    for found in (vector_statistics(values), running.result()):
        for name, value in (('min', 0), ('max', 2.0**64), ('mean', exact.mean()),
                            ('std', exact.std()), ('q50', np.median(exact))):
            assert found[name] == pytest.approx(value, abs=2.0**64 / 2048), name


def test_picture_statistics_are_those_of_the_pixels():
    """In [0, 1], per channel, shaped (channels, 1, 1)."""
    pictures = np.random.default_rng(1).integers(3, 250, (4, 20, 30, 3), dtype=np.uint8)
    statistics = PictureStatistics(3)
    for picture in pictures:
        statistics.add(picture)
    found = statistics.result()
    pixels = pictures.reshape(-1, 3) / 255.0
    for name, value in (('min', pixels.min(0)), ('max', pixels.max(0)), ('mean', pixels.mean(0)),
                        ('std', pixels.std(0)), *(
            (name, np.quantile(pixels, q, axis=0, method='inverted_cdf'))
            for name, q in QUANTILES.items())):
        assert found[name].shape == (3, 1, 1)
        assert np.allclose(found[name].ravel(), value, atol=1e-9), name
    assert found['count'].tolist() == [4]


@pytest.mark.parametrize('cut', [1, 60, 199])
def test_merged_statistics_equal_those_of_all_rows(cut):
    """Exact for all but the quantiles."""
    values = np.random.default_rng(2).uniform(-5, 100, size=(200, 2))
    merged = merge_statistics(vector_statistics(values[:cut]), vector_statistics(values[cut:]))
    whole = vector_statistics(values)
    for name in ('min', 'max', 'mean', 'std', 'count'):
        assert np.allclose(merged[name], whole[name], rtol=1e-12), name


@pytest.mark.parametrize('shape, dtype', [((3,), np.float32), ((1,), np.int64), ((2, 3), float),
                                          ((1,), bool)])
def test_running_statistics_are_those_of_all_rows_at_once(shape, dtype):
    """In the shape of a row; exact but for the quantiles."""
    values = np.random.default_rng(3).normal(scale=9, size=(500, *shape)).astype(dtype)
    running = RunningStatistics(shape, dtype)
    for block in np.split(values, [1, 60, 61, 400]):
        running.add(block)
    found, whole = running.result(), vector_statistics(values.astype(np.float64))
    for name in ('min', 'max', 'mean', 'std'):
        assert found[name].shape == shape
        assert np.allclose(found[name].ravel(), whole[name], rtol=1e-12, atol=1e-15), name
    assert found['count'].tolist() == [500]
    for name, q in QUANTILES.items():
        exact = np.quantile(values.astype(float), q, axis=0)
        assert found[name].shape == shape
        assert (np.abs(found[name] - exact) <= np.ptp(values.astype(float), axis=0) / 2048).all()


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_depth_statistics_are_in_the_unit_of_the_pixels(dtype):
    """Not in [0, 1], which depth has no meaning in."""
    pictures = np.random.default_rng(4).integers(0, 60000, (5, 20, 30, 1)).astype(dtype)
    statistics = picture_statistics({'shape': [20, 30, 1]}, dtype)
    for picture in pictures:
        statistics.add(picture)
    found = statistics.result()
    pixels = pictures.astype(np.float64).ravel()
    assert found['count'].tolist() == [5]
    for name, value in (('min', pixels.min()), ('max', pixels.max()), ('mean', pixels.mean()),
                        ('std', pixels.std())):
        assert found[name].shape == (1, 1, 1)
        assert np.allclose(found[name], value, rtol=1e-9), name
    assert np.allclose(found['q50'], np.median(pixels), atol=60)


def test_quantiles_of_a_dataset_are_those_of_all_rows_and_no_mean_of_episodes():
    """Episodes that differ: their mean median would be 55, which no row is near."""
    statistics = DatasetStatistics()
    for values in (np.zeros((60, 1)), np.full((50, 1), 110.0)):
        episode = RunningStatistics((1,), np.float64)
        episode.add(values)
        statistics.add_episode({'x': episode.result()}, {'x': episode.histogram})
    found = statistics.result()['x']
    assert found['q50'] == pytest.approx(0, abs=0.06)
    assert found['q90'] == pytest.approx(110, abs=0.06)
    assert found['mean'].tolist() == [50] and found['count'].tolist() == [110]
