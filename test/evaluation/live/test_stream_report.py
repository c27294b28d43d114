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

"""Each fault of a stream is a line that says what to do; a sound stream is one that says OK."""

from diffusion_policy_ros.evaluation.live.stream_report import stream_findings, StreamSeen
from diffusion_policy_ros.evaluation.live.stream_times import Clocks, StreamTimes
from diffusion_policy_ros.finding import LEVELS
from hypothesis import given, strategies as st
import pytest

S, MS = 10**9, 10**6
NOW = 1_790_000_000 * S
CLOCKS = Clocks(NOW, 5000 * S)
DROPPED = 'dropped on /cam: the header stamps skip 3 messages, where one comes every 33 ms'
OLD = 'age on /cam: 2 messages older than 100 ms on arrival, the oldest 130 ms'
AHEAD = 'clock_skew on /cam: 20 messages stamped after the arrival, by up to 200 ms'


def findings(age_ms=5, clocks=CLOCKS, stamp_step_ns=None, **seen):
    times = StreamTimes()
    for i in range(20):
        receive_ns = NOW + i * 33 * MS
        stamp_ns = receive_ns - age_ms * MS
        times.add(receive_ns, stamp_ns if stamp_step_ns is None else NOW + i * stamp_step_ns)
    found = stream_findings(StreamSeen('/cam', 'cam', 100, times=times, **seen), clocks)
    assert {finding.name for finding in found} == {'/cam'}
    return [(finding.level, finding.value, finding.remedy) for finding in found]


def test_a_sound_stream_is_one_line_with_its_measures():
    (level, value, _), = findings(facts=('joints come as b, a',))
    assert level == 'OK'
    assert value == ('30.3 Hz, age p50 5.0 p99 5.0 ms of 100, jitter p99 0.0 ms; joints come as '
                     'b, a')


def test_a_problem_is_told_once_without_the_topic_and_with_its_remedy():
    found = stream_findings(StreamSeen('/cam', 'cam', 100, problem='/cam has no publisher; start '
                                       'its driver, or remap cam'), CLOCKS)
    assert [str(finding) for finding in found] == [
        f'ERROR {"/cam":<17} has no publisher\n{"":24}-> start its driver, or remap cam']


def test_a_topic_that_is_near_is_the_remedy():
    found, = stream_findings(StreamSeen('/cam', 'cam', 100, near=('/left/cam',),
                                        problem='/cam has no publisher; start it'), CLOCKS)
    assert 'is it /left/cam?' in found.remedy


def test_what_no_policy_needs_is_a_warning():
    (level, value, _), = findings(refused=2, refusal='no joint a', is_needed=False)
    assert level == 'WARN' and '2 of the messages looked at cannot be used: no joint a' in value


def test_alarms_of_the_recorder_are_told_with_a_remedy():
    found = findings(alarms=(DROPPED, OLD))
    assert [level for level, _, _ in found] == ['WARN', 'WARN'] and all(r for _, _, r in found)
    assert found[0][1].startswith('dropped: the header stamps skip 3 messages')
    assert '30.3 Hz' in found[0][1] and '30.3 Hz' not in found[1][1]


@pytest.mark.parametrize('age_ms, alarm, words', [
    (150, OLD, 'most messages are older than 100 ms on arrival, the freshest 150 ms'),
    (-200, AHEAD, "the sender's clock is ahead of this machine's, by about 200 ms"),
    (7_200_000, OLD, 'stamped by a clock 7200 s behind')])
def test_times_that_stop_a_policy_are_an_error_and_told_once(age_ms, alarm, words):
    (level, value, remedy), = findings(age_ms=age_ms, alarms=(alarm,))
    assert level == 'ERROR' and words in value and 'chrony' in remedy


def test_stamps_that_stand_still_or_go_back_are_told():
    assert 'all messages bear the same stamp' in str(findings(stamp_step_ns=0))
    back = findings(stamp_step_ns=-MS)
    assert '19 of 20 messages are stamped before the one ahead of them' in str(back)


def test_pictures_that_the_middleware_would_lose_are_told():
    (level, value, remedy), = findings(transport='images of 0.9 MB will be lost; X is not set. '
                                                 'Set it, for every process, to fastdds.xml')
    assert level == 'WARN' and 'X is not set' in value and remedy.startswith('Set it')


@given(st.lists(st.tuples(st.integers(1, 2**62), st.none() | st.integers(0, 2**62)), max_size=9),
       st.text(max_size=30), st.text(max_size=30), st.booleans(),
       st.lists(st.sampled_from([OLD, DROPPED, AHEAD])))
def test_whatever_is_seen_becomes_lines(pairs, problem, refusal, is_needed, alarms):
    times = StreamTimes()
    for receive_ns, stamp_ns in pairs:
        times.add(receive_ns, stamp_ns)
    found = stream_findings(StreamSeen(
        '/cam', 'cam', 100, is_needed, problem, times=times, refused=len(refusal),
        refusal=refusal, alarms=tuple(alarms)), CLOCKS)
    assert found and {finding.level for finding in found} <= set(LEVELS)
    assert not (problem or refusal) or 'OK' not in {finding.level for finding in found}
    assert is_needed or 'ERROR' not in {finding.level for finding in found}
