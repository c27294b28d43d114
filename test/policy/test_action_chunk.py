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
"""Timed chunks: due times without drift, rows by time, refusal of what is not finite."""

from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.policy.action_chunk import Promise, ROUNDING_NS, TimedChunk
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

T0 = 1_700_000_000_000_000_000


def _brute_force_row(chunk, now_ns):
    """Look at every row."""
    due = [row for row in range(chunk.rows + 1) if chunk.due_ns(row) <= now_ns + ROUNDING_NS]
    return due[-1] if due and due[-1] < chunk.rows else None


def test_due_times_follow_the_exact_rate_without_drift():
    chunk = TimedChunk(np.zeros((400, 1)), T0, 30.0)
    assert chunk.due_ns(0) == T0
    assert chunk.due_ns(30) == T0 + 1_000_000_000
    assert chunk.due_ns(300) == T0 + 10_000_000_000
    assert chunk.due_ns(1) == T0 + 33_333_333
    assert chunk.end_ns == T0 + 13_333_333_333


@given(rows=st.integers(1, 40), rate_hz=st.floats(0.1, 1000), offset_ns=st.integers(-10**9, 10**9),
       share=st.floats(-0.2, 1.2))
def test_the_row_due_is_the_one_a_search_finds(rows, rate_hz, offset_ns, share):
    chunk = TimedChunk(np.zeros((rows, 1)), T0, rate_hz, offset_ns)
    near = chunk.due_ns(round(share * rows))
    around = T0 + round(share * rows * 1e9 / rate_hz)
    for now_ns in (near - 4, near - 3, near, near + 1, around, chunk.end_ns - 4, chunk.end_ns):
        assert chunk.row_due(now_ns) == _brute_force_row(chunk, now_ns)


def test_columns_keep_the_plan_and_move_its_times():
    part = TimedChunk(np.arange(6).reshape(2, 3), T0, 10.0).columns(slice(1, 3), 50_000_000)
    assert part.actions.tolist() == [[1, 2], [4, 5]]
    assert part.row_due(T0) is None and part.row_due(T0 + 50_000_000) == 0


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_is_refused_with_its_place(bad):
    actions = np.zeros((4, 2))
    actions[2, 1] = bad
    with pytest.raises(ChunkError, match='row 2, entry 1 is .*1 of 8 values'):
        TimedChunk(actions, T0, 10.0)


@pytest.mark.parametrize('shape', [(0, 2), (3, 0), (3,), (1, 3, 2)])
def test_other_shapes_than_a_table_are_refused(shape):
    with pytest.raises(ChunkError, match='must be'):
        TimedChunk(np.zeros(shape), T0, 10.0)


def test_a_chunk_does_not_change_with_the_array_it_came_from():
    source = np.zeros((2, 1))
    chunk = TimedChunk(source, T0, 10.0)
    source[0] = 7
    assert chunk.actions[0, 0] == 0
    with pytest.raises(ValueError, match='read-only'):
        chunk.actions[0, 0] = 1


@pytest.mark.parametrize('known, frozen, is_empty', [
    ([], 2, True), ([0, 1], 2, True), ([0, 1, 2], 2, False), ([5], 2, False), ([1], 1, False),
    (range(6), 6, True)])
def test_a_promise_is_empty_unless_a_row_that_is_not_frozen_is_promised(known, frozen, is_empty):
    rows = np.full((6, 2), np.nan)
    rows[list(known)] = 0.5
    assert Promise(rows, frozen).is_empty == is_empty
    rows[:, 1] = np.nan  # a row counts when all of it is promised
    assert Promise(rows, frozen).is_empty
