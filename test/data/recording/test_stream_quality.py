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


"""Each fault of a stream raises its alarm, and nothing else does."""

import re
import struct

from diffusion_policy_ros.data.recording.stream_facts import QualityLimits, StreamFacts
from diffusion_policy_ros.data.recording.stream_quality import StreamQuality
from hypothesis import given, strategies as st
import pytest

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
PERIOD_MS = 20
LEARNED = 250  # messages before the start


def message(stamp_ns, content):
    """Serialize a header and some content by hand, little-endian."""
    head = struct.pack('<iII', stamp_ns // 10**9, stamp_ns % 10**9, 4) + b'cam\0'
    return b'\0\1\0\0' + head + content


class Stream:
    """
    A camera that publishes every 20 ms and arrives 5 ms later, until told otherwise.

    :ivar now_ns: The time.
    """

    def __init__(self, limits=None, **facts):
        facts = {'topic': '/cam', 'max_age_ms': 100, 'rate_hz': 10, 'is_image': True, **facts}
        self.quality = StreamQuality(StreamFacts(**facts))
        self.quality.limits = limits or QualityLimits()
        self.now_ns, self.count = START_NS, 0

    def send(self, count=1, *, period_ms=PERIOD_MS, delay_ms=5.0, content=None, stamp_ns=None):
        """Let so many messages come, and look around twice a second as the recorder does."""
        for _ in range(count):
            self.wait(period_ms)
            self.count += 1
            stamp = self.now_ns - round(delay_ms * MS) if stamp_ns is None else stamp_ns
            body = struct.pack('<Q', self.count) if content is None else content
            self.quality.add(self.now_ns, message(stamp, body * 300))

    def wait(self, duration_ms):
        """Let time pass."""
        step = 500 * MS
        end_ns = self.now_ns + round(duration_ms * MS)
        while self.now_ns // step < end_ns // step:
            self.now_ns = (self.now_ns // step + 1) * step
            self.quality.watch(self.now_ns)
        self.now_ns = end_ns

    def begin(self, pre_roll_ms=0):
        """Start an episode."""
        since_ns = self.now_ns - pre_roll_ms * MS if pre_roll_ms else None
        self.quality.begin(self.now_ns, since_ns)

    def end(self):
        """End it."""
        self.quality.end(self.now_ns)

    @property
    def said(self):
        """Return the alarms of the episode."""
        return self.quality.sentences()


@pytest.fixture
def stream():
    """Return a stream that is known, and being recorded."""
    found = Stream()
    found.send(LEARNED)
    found.begin()
    return found


def test_a_healthy_stream_raises_nothing(stream):
    stream.send(1000)
    assert stream.said == [] and stream.quality.counts() == {}


def test_nothing_is_counted_before_the_start_and_after_the_end(stream):
    stream.end()
    stream.wait(5000)
    stream.send(100, delay_ms=900, content=b'same')
    assert stream.said == []
    stream.begin()
    assert stream.said == []


def test_a_slower_rate_is_told_against_the_one_before_the_start(stream):
    stream.send(100, period_ms=40)
    said = [text for text in stream.said if text.startswith('rate')]
    assert re.fullmatch(r'rate on /cam: up to 25.\d Hz below the 50.0 Hz seen before the start, '
                        'once', *said)


def test_a_faster_rate_is_told(stream):
    stream.send(400, period_ms=10)
    (said,) = stream.said
    assert re.fullmatch('rate on /cam: up to (49.5|50.0) Hz above the 50.0 Hz seen before the '
                        'start, once', said)


def test_a_rate_that_was_not_seen_before_is_that_of_the_contract():
    stream = Stream()
    stream.begin()
    stream.send(20, period_ms=300)
    assert stream.quality.counts()['rate'] == 1
    assert 'below the 10.0 Hz in the contract' in stream.said[-1]
    stream.begin()
    stream.quality = Stream().quality
    stream.begin()
    stream.send(400)  # faster than the contract needs
    assert stream.said == []


def test_what_piled_up_before_a_driver_began_is_not_taken_for_its_rate():
    stream = Stream()
    for left in reversed(range(60)):  # a simulation that catches up, for a third of a second
        stream.send(period_ms=5.5, delay_ms=5 + left * (PERIOD_MS - 5.5))
    stream.begin()
    stream.send(300)
    assert stream.said == []


def test_a_stream_whose_last_message_is_held_may_come_when_it_likes():
    stream = Stream(is_held=True)
    stream.send(20, period_ms=500)
    stream.begin()
    stream.wait(8000)
    stream.send(2, period_ms=1500)
    stream.send(20, period_ms=100)
    stream.wait(8000)
    stream.end()
    assert stream.said == []


@pytest.mark.parametrize('facts, count', [
    ({'is_needed_each_row': True}, 1), ({}, 0), ({'is_needed_each_row': True, 'rate_hz': 3.2}, 0)])
def test_pictures_that_were_too_slow_for_the_rows_already_before_are_told(facts, count):
    stream = Stream(max_age_ms=500, **facts)
    stream.send(30, period_ms=333)
    stream.begin()
    stream.send(60, period_ms=333)
    assert stream.quality.counts().get('rate', 0) == count
    assert not count or 'below the 10.0 Hz in the contract' in stream.said[0]


def test_two_slow_spells_are_two_alarms(stream):
    for _ in range(2):
        stream.send(100, period_ms=40)
        stream.send(200)
    assert stream.quality.counts()['rate'] == 2


def test_late_messages_are_told_with_the_oldest(stream):
    stream.send(1, delay_ms=100.5)
    stream.send(1, delay_ms=140)
    stream.send(1, delay_ms=99.5)
    assert stream.said[0] == ('age on /cam: 2 messages older than 100 ms on arrival, the oldest '
                              '140 ms')


def test_a_gap_is_counted_once_while_it_lasts_and_when_it_ends(stream):
    stream.wait(5000)
    assert stream.quality.counts()['gap'] == 1
    stream.send(1)
    assert stream.quality.counts()['gap'] == 1
    assert 'gap on /cam: silent for more than 100 ms once, at most 5020 ms' in stream.said
    stream.send(1, period_ms=101)
    assert stream.quality.counts()['gap'] == 2
    stream.send(1, period_ms=99)
    assert stream.quality.counts()['gap'] == 2


def test_messages_that_wait_to_be_taken_in_are_no_gap(stream):
    arrivals = [stream.now_ns + k * PERIOD_MS * MS for k in range(1, 26)]
    stream.quality.watch(arrivals[-1])  # the recorder was held up, and looks before it reads
    for arrival_ns in arrivals:
        stream.quality.add(arrival_ns, message(arrival_ns, b'x'))
    stream.now_ns = arrivals[-1]
    stream.end()
    assert stream.said == []


def test_faults_of_the_pre_roll_count_and_those_before_it_do_not():
    stream = Stream()
    stream.send(LEARNED)
    stream.send(3, delay_ms=150)
    stream.send(100)
    stream.wait(400)
    stream.send(50)
    stream.send(2, delay_ms=150)
    stream.quality.lost(stream.now_ns, 4)
    stream.send(1)
    stream.begin(pre_roll_ms=2000)
    assert stream.quality.counts() == {'age': 2, 'gap': 1, 'dropped': 4}
    assert 'dropped on /cam: the middleware lost 4 messages' in stream.said
    stream.end()
    stream.begin(pre_roll_ms=2000)
    assert stream.said == []


def test_messages_that_are_missing_before_the_pre_roll_are_no_fault_of_the_episode():
    stream = Stream()
    stream.send(LEARNED)
    stream.wait(1000)
    stream.send(60)
    stream.begin(pre_roll_ms=1500)  # begins in the silence
    assert stream.said == []
    stream.send(1, period_ms=3 * PERIOD_MS)
    stream.send(10)
    stream.end()
    assert stream.quality.counts() == {'dropped': 2}


@pytest.mark.parametrize('before_ms', [100, 300, 900, 1900])
def test_a_stream_that_began_within_the_pre_roll_is_not_slow_for_that(before_ms):
    stream = Stream(rate_hz=40)
    stream.wait(5000)
    stream.send(before_ms // PERIOD_MS)
    stream.begin(pre_roll_ms=5000)
    stream.send(500)
    assert stream.said == []
    stream.send(100, period_ms=50)
    assert stream.quality.counts()['rate'] == 1


def test_a_pre_roll_from_before_the_clock_was_set_back_tells_nothing_of_then():
    stream = Stream()
    stream.send(LEARNED)
    stream.send(3, delay_ms=150)
    stream.now_ns -= 3600 * 10**9
    stream.send(10)
    stream.begin(pre_roll_ms=2000)
    assert stream.said == []


def test_memory_is_bounded_while_the_clock_stands_still(stream):
    for k in range(25_000):
        stream.quality.add(stream.now_ns, message(0, b'x'))
    assert len(stream.quality._arrivals) <= 20_000
    stream.end()
    for k in range(15_000):
        stream.quality.add(stream.now_ns, message(0, b'x'))
    assert len(stream.quality._before) <= 10_000


def test_a_stream_that_never_comes_has_a_gap():
    stream = Stream()
    stream.begin()
    stream.wait(2000)
    assert stream.quality.counts()['gap'] == 1


def test_equal_pictures_are_told_once_for_as_long_as_they_last(stream):
    stream.send(29, content=b'same')
    assert stream.said == []
    stream.send(31, content=b'same')
    assert stream.said == ['frozen on /cam: 30 or more equal messages in a row once, at most 60']
    stream.send(1)
    stream.send(30, content=b'same')
    assert stream.quality.counts() == {'frozen': 2}


@pytest.mark.parametrize('facts, limits, count', [
    ({'is_image': False}, {}, 0), ({}, {'frozen_count': 0}, 0),
    ({'is_image': False, 'frozen_after': 5}, {}, 1), ({'frozen_after': 200}, {}, 0)])
def test_what_counts_as_frozen_can_be_set_and_the_contract_wins(facts, limits, count):
    stream = Stream(QualityLimits(**limits), **facts)
    stream.begin()
    stream.send(100, content=b'same')
    assert stream.quality.counts().get('frozen', 0) == count


def test_stamps_after_the_arrival_are_told(stream):
    stream.send(2, delay_ms=-60)
    assert 'clock_skew on /cam: 2 messages stamped after the arrival, by up to 60 ms' \
        in stream.said
    assert stream.quality.counts()['clock_skew'] == 2


@pytest.mark.parametrize('direction', [1, -1])
def test_a_clock_that_drifts_is_told_when_it_has_gone_too_far(direction):
    stream = Stream(max_age_ms=1000)
    stream.send(LEARNED, delay_ms=200)
    stream.begin()
    for k in range(400):
        stream.send(1, delay_ms=200 + direction * k * 0.2)  # 10 ms per second
    (said,) = stream.said
    moved_ms = int(re.search(r'moved by ([+-]\d+) ms since the start, limit 50 ms', said)[1])
    assert 55 <= direction * moved_ms <= 80
    assert stream.quality.counts() == {'clock_skew': 1}


def test_delays_of_the_first_moments_are_not_taken_for_the_usual_ones():
    stream = Stream(max_age_ms=1000)
    stream.send(20, delay_ms=150)
    stream.begin()
    stream.send(40, delay_ms=150)
    stream.send(400)
    assert 'clock_skew' not in stream.quality.counts()


@pytest.mark.parametrize('before', [0, 1])
def test_another_delay_between_two_episodes_is_no_drift_of_the_second(before):
    stream = Stream(max_age_ms=1000)
    for _ in range(before):
        stream.send(LEARNED, delay_ms=105)
        stream.begin(pre_roll_ms=2000)
        stream.send(LEARNED, delay_ms=105)
        stream.end()
    stream.send(LEARNED, delay_ms=105)
    stream.wait(3000)  # the driver is started anew
    stream.send(750)
    stream.begin(pre_roll_ms=2000)
    stream.send(LEARNED)
    stream.end()
    assert stream.said == []


def test_single_late_messages_are_no_drift(stream):
    for _ in range(50):
        stream.send(9)
        stream.send(1, delay_ms=95)
    assert 'clock_skew' not in stream.quality.counts()


def test_a_clock_that_is_set_back_is_told_and_the_rest_is_learned_anew(stream):
    stream.now_ns -= 3600 * 10**9
    stream.send(300)
    assert stream.said == ["clock_skew on /cam: the recorder's clock was set back once, by up to "
                           '3599980 ms']


@pytest.mark.parametrize('back_s', [3600, 1])
def test_faults_are_counted_also_after_the_clock_was_set_back(stream, back_s):
    stream.send(500)
    stream.now_ns -= back_s * 10**9
    stream.send(200)
    assert set(stream.quality.counts()) == {'clock_skew'}
    stream.wait(5000)
    assert stream.quality.counts()['gap'] == 1
    stream.send(300, period_ms=60)
    assert stream.quality.counts()['rate'] >= 1


def test_a_stream_that_dies_when_the_clock_is_set_back_has_a_gap(stream):
    stream.now_ns -= 3600 * 10**9
    stream.wait(2000)
    assert stream.quality.counts() == {'clock_skew': 1, 'gap': 1}


def test_what_was_told_before_the_clock_was_set_back_is_not_present_for_ever(stream):
    stream.send(1, delay_ms=140)
    stream.now_ns -= 3600 * 10**9
    stream.send(150)
    assert stream.quality.present(stream.now_ns) == []


def test_headers_without_a_time_are_told(stream):
    stream.send(2, stamp_ns=0)
    assert stream.said == ['clock_skew on /cam: 2 messages without a time in the header']


def test_missing_stamps_are_counted_as_dropped(stream):
    stream.send(1, period_ms=3 * PERIOD_MS)
    stream.send(10)
    stream.send(1, period_ms=2 * PERIOD_MS)
    stream.send(10)
    assert stream.said == ['dropped on /cam: the header stamps skip 3 messages, where one comes '
                           'every 20 ms']


def test_many_missing_stamps_are_counted_soon_and_before_the_end():
    stream = Stream(max_age_ms=1000)
    stream.send(LEARNED)
    stream.begin()
    stream.send(1, period_ms=31 * PERIOD_MS)
    stream.send(55)
    assert stream.quality.counts()['dropped'] == 30
    stream.send(1, period_ms=11 * PERIOD_MS)
    stream.send(3)
    stream.end()
    assert stream.quality.counts()['dropped'] == 40


def test_what_is_missing_in_a_gap_is_told_as_a_gap_only(stream):
    stream.send(1, period_ms=3 * PERIOD_MS)  # 2 are missing, and then comes a gap
    stream.send(1)
    stream.send(1, period_ms=1000)
    stream.send(3)
    stream.send(1, period_ms=2 * PERIOD_MS)
    stream.send(10)
    stream.end()
    assert {**stream.quality.counts(), 'rate': 0} == {'gap': 1, 'dropped': 3, 'rate': 0}


def test_who_still_catches_up_at_the_end_has_dropped_nothing(stream):
    stream.send(1, period_ms=4.5 * PERIOD_MS)
    stream.send(2, period_ms=0.125 * PERIOD_MS)
    stream.end()
    assert stream.said == []


def test_messages_that_are_only_late_are_not_taken_for_missing_ones(stream):
    for held_up in (1.9, 3.0, 4.5):
        for _ in range(20):
            stream.send(1, period_ms=held_up * PERIOD_MS)
            for _ in range(4):  # ... and then catches up
                stream.send(1, period_ms=(5 - held_up) / 4 * PERIOD_MS)
            stream.send(12)
    assert stream.said == []


def test_what_the_middleware_lost_is_told(stream):
    stream.quality.lost(stream.now_ns, 4)
    stream.quality.lost(stream.now_ns, 1)
    assert stream.said == ['dropped on /cam: the middleware lost 5 messages']
    assert stream.quality.counts() == {'dropped': 5}


def test_irregular_stamps_are_not_taken_for_missing_messages():
    stream = Stream()
    for _ in range(2):
        for k in range(100):
            stream.send(1, period_ms=(10, 30, 80)[k % 3])
        stream.begin()
    for k in range(100):
        stream.send(1, period_ms=(10, 30, 80)[k % 3])
    assert 'dropped' not in stream.quality.counts()


def test_commands_may_begin_late_end_early_and_come_when_they_like():
    stream = Stream(is_command=True, is_image=False)
    stream.send(100)
    stream.begin()
    stream.wait(3000)
    stream.send(50)
    stream.send(20, period_ms=70)
    stream.wait(5000)
    assert stream.said == []
    stream.send(1)
    assert stream.quality.counts() == {'gap': 1}


@pytest.mark.parametrize('pre_roll_ms', [0, 1000])
def test_commands_that_never_come_are_a_gap_at_the_end(pre_roll_ms):
    stream = Stream(is_command=True, is_image=False)
    stream.send(100)
    stream.wait(2000)
    stream.begin(pre_roll_ms)
    stream.wait(3000)
    assert stream.said == []
    stream.end()
    assert stream.said == ['gap on /cam: not one message in the episode']
    assert stream.quality.counts() == {'gap': 1}
    stream.begin()
    stream.send(1)
    stream.end()
    assert stream.said == []


def test_commands_of_the_pre_roll_alone_are_commands():
    stream = Stream(is_command=True, is_image=False)
    stream.send(100)
    stream.begin(pre_roll_ms=1000)
    stream.wait(3000)
    stream.end()
    assert stream.said == []


def test_those_who_publish_as_one_stream_are_named_once_in_each_episode(stream):
    stream.quality.name_publishers(stream.now_ns, ('/driver',))
    assert stream.said == []
    for _ in range(2):
        stream.quality.name_publishers(stream.now_ns, ('/a', '/b'))
    assert stream.said == ['publishers on /cam: the messages of /a and /b are recorded as one '
                           'stream']
    assert stream.quality.counts() == {'publishers': 1}
    stream.end()
    stream.quality.name_publishers(stream.now_ns, ('/a', '/b'))
    stream.begin()
    assert stream.said == []


def test_streams_dated_by_their_arrival_are_not_judged_by_their_headers():
    stream = Stream(is_dated=False)
    stream.begin()
    stream.send(100, delay_ms=-10_000)
    assert stream.said == []


def test_what_is_there_now_is_forgotten_after_a_while_but_not_what_was(stream):
    stream.send(1, delay_ms=140)
    assert len(stream.quality.present(stream.now_ns)) == 1
    stream.send(150)
    assert stream.quality.present(stream.now_ns) == []
    assert stream.said[0].startswith('age on /cam: 1 message older')


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_gaps_are_what_a_plain_count_of_intervals_says(periods_ms):
    stream = Stream()
    stream.send(1)
    stream.begin()
    for period_ms in periods_ms:
        stream.send(1, period_ms=period_ms)
    assert stream.quality.counts().get('gap', 0) == sum(p > 100 for p in periods_ms)


@given(st.lists(st.tuples(st.integers(-200, 400), st.integers(1, 30)), max_size=60))
def test_ages_and_futures_are_what_a_plain_count_says(delays):
    stream = Stream()
    stream.begin()
    for delay_ms, period_ms in delays:
        stream.send(1, delay_ms=delay_ms, period_ms=period_ms)
    counts = stream.quality.counts()
    assert counts.get('age', 0) == sum(d > 100 for d, _ in delays)
    ahead = [text for text in stream.said if 'after the arrival' in text]
    early = sum(d < -50 for d, _ in delays)
    assert ahead == [] if not early else ahead[0].startswith(
        f'clock_skew on /cam: {early} message')


@given(st.lists(st.tuples(st.integers(0, 2**62), st.binary(max_size=64)), max_size=50))
def test_any_bytes_at_any_time_are_taken_in_and_told_in_words(messages):
    stream = Stream()
    stream.begin()
    for receive_ns, data in messages:
        stream.quality.add(receive_ns, data)
        stream.quality.watch(receive_ns)
    assert all(isinstance(text, str) for text in stream.said)
