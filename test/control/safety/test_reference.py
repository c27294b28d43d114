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
"""The way between commands: straight, in time, and never beyond what was said."""

from diffusion_policy_ros.control.safety.reference import Reference
from hypothesis import given, strategies as st
import numpy as np
import pytest


def _follow(reference, now_s, *points):
    due_s, rows = zip(*points)
    reference.follow(np.array(due_s), np.array(rows, dtype=float)[:, None], now_s)


def _at(reference, *times_s):
    return [pytest.approx(float(reference.at(time_s)[0])) for time_s in times_s]


def test_without_a_command_nothing_is_wanted():
    assert Reference(is_held=False).at(0.0) is None


def test_a_single_command_is_wanted_from_now_on():
    reference = Reference(is_held=False)
    _follow(reference, 1.0, (1.5, 3.0))
    assert _at(reference, 1.0, 1.2, 1.5, 9.0) == [3.0, 3.0, 3.0, 3.0]


def test_the_next_command_is_reached_in_a_straight_line_and_then_kept():
    reference = Reference(is_held=False)
    _follow(reference, 0.0, (0.0, 1.0))
    _follow(reference, 1.0, (3.0, 2.0))
    assert _at(reference, 1.0, 2.0, 3.0, 99.0) == [1.0, 1.5, 2.0, 2.0]


def test_a_new_command_on_the_way_starts_from_there():
    reference = Reference(is_held=False)
    _follow(reference, 0.0, (0.0, 0.0))
    _follow(reference, 0.0, (2.0, 4.0))
    _follow(reference, 1.0, (3.0, 0.0))
    assert _at(reference, 1.0, 2.0, 3.0) == [2.0, 1.0, 0.0]


def test_a_chunk_is_followed_by_its_own_times_without_what_is_past():
    reference = Reference(is_held=False)
    _follow(reference, 1.0, (0.5, 0.0), (1.5, 1.0), (2.5, 5.0))
    assert _at(reference, 1.0, 1.25, 1.5, 2.0, 3.0) == [0.5, 0.75, 1.0, 3.0, 5.0]


def test_what_is_due_now_is_wanted_at_once():
    reference = Reference(is_held=False)
    _follow(reference, 0.0, (0.0, 1.0))
    _follow(reference, 1.0, (0.2, 3.0), (1.0, 7.0))
    assert _at(reference, 1.0, 2.0) == [7.0, 7.0]


def test_after_clear_the_next_command_begins_where_it_says():
    reference = Reference(is_held=False)
    _follow(reference, 0.0, (0.0, 100.0))
    reference.clear()
    _follow(reference, 1.0, (2.0, 3.0))
    assert _at(reference, 1.0) == [3.0]


def test_what_is_held_keeps_each_point_of_a_chunk_until_the_next_is_due():
    reference = Reference(is_held=True)
    _follow(reference, 0.0, (0.0, 7.0))
    _follow(reference, 1.0, (1.5, 1.0), (2.5, 5.0))
    assert _at(reference, 1.0, 1.49, 1.5, 2.49, 2.5, 9.0) == [7.0, 7.0, 1.0, 1.0, 5.0, 5.0]


@given(st.lists(st.tuples(
    st.floats(0.0, 0.3), st.lists(st.tuples(st.floats(-1.0, 1.0), st.floats(-5.0, 5.0)),
                                  min_size=1, max_size=4)), min_size=1, max_size=6),
       st.booleans())
def test_it_never_leaves_the_range_of_the_commands(commands, is_held):
    reference, now_s, said = Reference(is_held=is_held), 0.0, []
    for pause_s, points in commands:
        now_s += pause_s
        due = np.cumsum(np.abs([offset for offset, _ in points])) + now_s + points[0][0]
        rows = np.array([[value] for _, value in points])
        reference.follow(due, rows, now_s)
        said += rows.ravel().tolist()
        for time_s in np.linspace(now_s, now_s + 1.5, 7):
            wanted = float(reference.at(time_s)[0])
            assert min(said) - 1e-9 <= wanted <= max(said) + 1e-9
