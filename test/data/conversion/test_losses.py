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

"""A loss is as long as it lasted, and the longest one tells what went wrong."""

from diffusion_policy_ros.data.conversion.episodes import Gap
from diffusion_policy_ros.data.conversion.losses import Losses, moment
import pytest

S = 10**9


def test_without_gaps_nothing_is_lost():
    losses = Losses(S)
    assert losses.end(5 * S) == 0
    losses.finish(9 * S)
    assert losses.head_s == losses.tail_s == 0
    assert losses.reason == losses.head_reason == losses.tail_reason == ''


def test_the_longest_gap_gives_the_reason_and_the_last_one_the_tail():
    losses = Losses(S)
    losses.end(0)
    for begin, end, reason in ((1, 2, 'short'), (10, 19, 'long'), (30, 32, 'middle')):
        losses.begin(Gap(begin * S, reason), begin * S)
        assert losses.end(end * S) == end - begin
        assert losses.tail_s == 0
    losses.begin(Gap(40 * S, 'tail'), 40 * S)
    losses.finish(43 * S)
    assert losses.reason == 'at 10.000 s (9.000 s into the bag): long'
    assert losses.tail_s == pytest.approx(3)
    assert losses.tail_reason == 'at 40.000 s (39.000 s into the bag): tail'
    assert losses.head_s == 0


def test_what_comes_before_the_first_row_is_the_head():
    """All gaps of it, and none of those that follow."""
    losses = Losses(S)
    losses.begin(Gap(1 * S, 'late'), 1 * S)
    losses.begin(Gap(60 * S, 'stale'), 99 * S)
    losses.end(63 * S)
    losses.begin(Gap(70 * S, 'long'), 70 * S)
    losses.end(270 * S)
    assert losses.head_s == pytest.approx(62)
    assert losses.head_reason == 'at 1.000 s (0.000 s into the bag): late'


def test_gaps_of_several_passes_add_up_and_none_is_negative():
    """The second begins before the first one, as the clock was set back."""
    losses = Losses(S)
    losses.begin(Gap(100 * S, 'stale'), 100 * S)
    losses.begin(Gap(104 * S, 'set back'), 104 * S)
    losses.begin(Gap(20 * S, 'missing'), 20 * S)
    losses.finish(27 * S)
    assert losses.tail_s == pytest.approx(4 + 0 + 7)
    assert losses.reason == losses.tail_reason == 'at 20.000 s (19.000 s into the bag): missing'


def test_a_tick_just_before_the_first_arrival_is_at_its_beginning():
    assert moment(S - 1000, S) == '1.000 s (0.000 s into the bag)'


def test_what_lasted_longest_in_all_is_the_reason_and_not_what_was_first():
    """Numbers in the sentences make no other reason."""
    losses = Losses(0)
    for at, reason in ((1, 'one tick'), (2, 'joint 5 is 0.1 s old'), (3, 'no picture'),
                       (5, 'joint 5 is 0.9 s old')):
        losses.begin(Gap(at * S, reason), at * S)
    losses.finish(7 * S)
    assert losses.tail_s == pytest.approx(6)
    assert losses.reason == 'at 2.000 s (2.000 s into the bag): joint 5 is 0.1 s old'


def test_many_short_gaps_of_one_kind_are_worse_than_a_longer_one():
    losses = Losses(0)
    losses.begin(Gap(0, 'no message yet'), 0)
    for at in range(2, 12, 2):
        losses.end(at * S - S // 2)
        losses.begin(Gap(at * S, f'joint {at} is missing'), at * S)
    losses.finish(12 * S)
    assert losses.reason == 'at 2.000 s (2.000 s into the bag): joint 2 is missing'
