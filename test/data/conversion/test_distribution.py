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

"""The percentiles of a stream are those of its values, however many there are."""

import json

from diffusion_policy_ros.data.conversion.distribution import Distribution, MAX_PLACES
from hypothesis import given
from hypothesis import strategies as st
import numpy as np

VALUES = st.lists(st.integers(-10**19, 10**19) | st.integers(-10**8, 10**8), min_size=1,
                  max_size=60)


def counted(values):
    """Count values."""
    found = Distribution()
    for value in values:
        found.add(value)
    return found


@given(VALUES, st.sampled_from([0, 5, 50, 95, 100]))
def test_percentiles_are_numpys_within_half_a_place(values, percent):
    found = counted(values)
    wanted = sorted(values)[max(0, -(-percent * len(values) // 100) - 1)]
    assert abs(found.percentile(percent) - wanted) <= found.step / 2
    assert (found.low, found.high, found.count) == (min(values), max(values), len(values))


@given(VALUES, VALUES)
def test_two_merged_are_what_one_would_have_counted(first, second):
    """Also after they were stored; a coarser one may round twice."""
    merged = Distribution.from_dict(json.loads(json.dumps(counted(first).to_dict())))
    merged.merge(counted(second))
    whole = counted(first + second)
    assert (merged.count, merged.low, merged.high) == (whole.count, whole.low, whole.high)
    assert abs(merged.percentile(50) - whole.percentile(50)) <= whole.step + merged.step


def test_a_long_stream_takes_little_memory_and_stays_true():
    values = np.random.default_rng(0).normal(0, 5e9, 40_000).astype(np.int64)
    found = counted(values.tolist())
    assert len(found.to_dict()['places']) <= MAX_PLACES
    spread = np.ptp(values) / MAX_PLACES
    for percent in (5, 50, 95):
        assert abs(found.percentile(percent) - np.percentile(values, percent)) < 2 * spread


def test_nothing_has_no_percentile():
    empty = Distribution()
    empty.merge(Distribution())
    assert (empty.count, empty.percentile(50)) == (0, 0)
