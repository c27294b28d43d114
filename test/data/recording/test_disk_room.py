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


"""The disk alarm says how much is free and for how long."""

from collections import namedtuple

from diffusion_policy_ros.data.recording.disk_room import DiskRoom, lack_of_room
import pytest

Usage = namedtuple('Usage', ['total', 'used', 'free'])
S = 10**9


@pytest.fixture
def free(monkeypatch):
    """Return a function that says how much is free."""
    def tell(count):
        monkeypatch.setattr('shutil.disk_usage', lambda place: Usage(10**12, 0, count))

    tell(10**11)
    return tell


def test_minutes_are_free_bytes_over_the_rate_of_the_last_seconds(free):
    room = DiskRoom('bags')
    assert room.minutes_left is None
    for second in range(60):
        room.watch(second, second * S, second * 10**8, 5)
    assert room.minutes_left == pytest.approx(10**11 / 10**8 / 60)
    assert room.counts() == {}


def test_a_disk_that_will_be_full_soon_is_told_once_with_the_minutes(free):
    room = DiskRoom('bags')
    free(12 * 10**9)
    for second in range(60):
        room.watch(second, second * S, second * 10**8, 5)
    assert room.counts() == {'disk': 1}
    assert room.sentences() == ['disk: the disk of bags is full in about 2.0 minutes, 12000 MB '
                                'are free']
    assert room.present(60 * S) == room.sentences()


def test_where_nothing_is_written_any_more_no_minutes_are_told_and_the_alarm_ends(free):
    room = DiskRoom('bags')
    free(12 * 10**9)
    for second in range(60):
        room.watch(second, second * S, min(second, 30) * 10**8, 5)
    assert room.minutes_left is None
    assert room.present(60 * S) == []
    # The minutes in the sentence are those for which the alarm was given, not none.
    assert room.counts() == {'disk': 1} and 'full in about 0.0' not in room.sentences()[0]


def test_a_disk_that_is_nearly_full_is_told_though_nothing_was_written(free):
    room = DiskRoom('bags')
    free(99 * 10**6)
    room.watch(0, 0, 0, 5)
    assert room.sentences() == ['disk: 99 MB free on the disk of bags; the episode ends when it '
                                'is full']


def test_there_is_room_or_a_sentence(free, tmp_path):
    assert lack_of_room(tmp_path / 'not' / 'yet') == []
    free(5 * 10**6)
    (said,) = lack_of_room(tmp_path)
    assert '5 MB free, at least 100 MB are needed; make room' in said


def test_a_look_that_fails_leaves_what_was_seen(free, monkeypatch):
    room = DiskRoom('bags')

    def fail(place):
        raise OSError(116, 'Stale file handle')

    monkeypatch.setattr('shutil.disk_usage', fail)
    room.watch(0, 0, 0, 5)
    assert room.free_bytes == 10**11 and room.sentences() == []


def test_a_disk_that_does_not_keep_up_is_told_once_with_the_worst(free):
    room = DiskRoom('bags')
    for second, behind_s in enumerate((0.6, 1.9, 2.5, 3.5, 0.4)):
        room.watch(second, second * S, 0, 5, behind_s)
    assert room.counts() == {'disk': 1}
    assert room.sentences() == ['disk: the disk of bags is up to 3.5 s behind the recording; a '
                                'power loss costs as much']


@pytest.mark.parametrize('lost, words', [(0, '0 messages'), (1, '1 message'), (7, '7 messages')])
def test_an_episode_that_broke_off_says_why_and_what_is_lost(free, lost, words):
    room = DiskRoom('bags')
    assert not room.has_refused
    room.refuse(5 * S, 'no space; make room', lost)
    assert room.has_refused and room.counts() == {'disk': 1}
    assert room.sentences() == [
        f'disk: the episode broke off, {words} of it not written: no space; make room']


def test_a_disk_that_cannot_be_looked_at_is_an_obstacle_and_no_crash(tmp_path, monkeypatch):
    def fail(place):
        raise OSError(116, 'Stale file handle')

    monkeypatch.setattr('shutil.disk_usage', fail)
    said, = lack_of_room(tmp_path)
    assert said.startswith(f'the disk of {tmp_path} cannot be looked at: [Errno 116] Stale')
