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

"""Quantiles agree with numpy's to within a bin, however the values were cut into blocks."""

import json

from diffusion_policy_ros.data.datasets.histogram import Histogram
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

SHARES = (0, 0.01, 0.1, 0.5, 0.9, 0.99, 1)
floats = st.floats(-1e300, 1e300, width=64)
wholes = st.integers(-2**62, 2**62)


def filled(values):
    """Count some rows."""
    histogram = Histogram(values.shape[1], values.dtype.kind == 'i')
    histogram.add(values)
    return histogram


@settings(max_examples=200, deadline=None)
@given(values=st.one_of(st.lists(floats, min_size=1, max_size=60),
                        st.lists(wholes, min_size=1, max_size=60),
                        st.lists(st.floats(0.999, 1.001), min_size=1, max_size=60)),
       cuts=st.lists(st.integers(0, 60), max_size=4))
def test_quantiles_are_those_of_the_values_whatever_the_blocks(values, cuts):
    values = np.array(values)[:, None]
    exact = values.astype(np.float64)
    blocks = [b for b in np.split(values, sorted(min(c, len(values)) for c in cuts)) if len(b)]
    added, merged = filled(blocks[0]), filled(blocks[-1])
    for block in blocks[1:]:
        added.add(block)
    for block in blocks[:-1]:
        merged.merge(filled(block))
    whole = filled(values)
    width = exact.max() / 2048 - exact.min() / 2048 + 1e-15 * np.abs(exact).max()
    for share in SHARES:
        found = whole.quantile(share)
        assert abs(found[0] - np.quantile(exact, share)) <= width
        assert added.quantile(share) == merged.quantile(share) == found


@pytest.mark.parametrize('is_whole', [False, True])
def test_histograms_of_blocks_merge_in_any_order(is_whole):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(3000, 3)) * [1, 1e4, 1e9] + [0, 5e5, -1e12]
    values = values.astype(np.int64) if is_whole else values
    merged = None
    for block in np.array_split(rng.permutation(values), 29):
        one = filled(block)
        if merged is not None:
            one.merge(merged)
        merged = one
    for share in SHARES:
        assert np.array_equal(merged.quantile(share), filled(values).quantile(share))


def test_whole_numbers_in_a_small_range_are_exact():
    values = np.random.default_rng(0).integers(-3, 900, (5000, 2))
    for share in SHARES:
        np.testing.assert_allclose(filled(values).quantile(share),
                                   np.quantile(values, share, axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize('rows', [1, 2, 3, 11, 30, 1000, 100_000])
def test_between_two_values_a_quantile_is_where_numpy_has_it(rows):
    """With few rows, and where values lie far apart, that is many bins from both."""
    rng = np.random.default_rng(rows)
    values = np.stack([rng.normal(size=rows), rng.standard_cauchy(rows), rng.random(rows) ** 9,
                       np.where(rng.random(rows) < 0.5, -1, 1e3)], axis=1)
    width = np.ptp(values, axis=0) / 2048
    for share in (*SHARES, 1 / 3, 0.25):
        wanted = np.quantile(values, share, axis=0)
        assert (abs(filled(values).quantile(share) - wanted) <= width).all()


@pytest.mark.parametrize('entries, bins', [(1, 4096), (14, 4096), (1024, 4096), (27648, 128),
                                           (10**7, 64)])
def test_wide_rows_get_fewer_bins_so_that_memory_stays_bounded(entries, bins):
    assert Histogram(entries, False).bins == bins


def test_one_value_is_all_its_quantiles():
    assert filled(np.full((9, 1), 0.1)).quantile(0.5).tolist() == [0.1]
    assert filled(np.zeros((9, 1))).quantile(0.5).tolist() == [0]


@settings(deadline=None)
@given(first=st.lists(wholes, max_size=40), second=st.lists(wholes, max_size=40))
def test_what_was_stored_counts_as_before(first, second):
    """Also where nothing was counted."""
    def counted(values):
        return filled(np.array(values)[:, None]) if values else Histogram(1, True)

    found = Histogram.from_dict(json.loads(json.dumps(counted(first).to_dict())))
    found.merge(counted(second))
    whole = counted(first + second)
    assert found.count == whole.count == len(first + second)
    assert found.to_dict() == whole.to_dict()
    if whole.count:
        assert (found.low[0], found.high[0]) == (min(first + second), max(first + second))
        assert [found.quantile(q) for q in SHARES] == [whole.quantile(q) for q in SHARES]


def test_what_was_stored_of_several_entries_counts_as_before():
    values = np.random.default_rng(0).normal(0, (1e-3, 1, 1e6), (500, 3))
    found = Histogram.from_dict(json.loads(json.dumps(filled(values).to_dict())))
    for share in SHARES:
        np.testing.assert_array_equal(found.quantile(share), filled(values).quantile(share))
