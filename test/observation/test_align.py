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

"""Alignment against a brute-force search over all messages ever pushed."""

from array import array
from dataclasses import replace
from threading import Thread
from types import SimpleNamespace as Fields

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.errors import AlignmentError, ContractError, DecodeError
from diffusion_policy_ros.observation.align import Aligner
from diffusion_policy_ros.streams import ImageSpec
from hypothesis import given, settings, strategies as st
import pytest

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
CONTRACT = parse_contract("""
robot: test
rate_hz: 10
observations:
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 200}
  - {key: observation.speed, topic: joints, type: sensor_msgs/msg/JointState, joints: [a],
     field: velocity, stamp: receive, max_age_ms: 200}
  - {key: observation.mode, topic: mode, type: sensor_msgs/msg/JointState, joints: [a],
     on_stale: hold, max_age_ms: 200}
actions:
  - {topic: command, type: std_msgs/msg/Float64MultiArray, names: [a], stamp: receive,
     max_age_ms: 200}
""")
STATE, SPEED, MODE = CONTRACT.observations
COMMAND, = CONTRACT.actions


def joints(value, stamp_ms):
    sec, nanosec = divmod(START_NS + stamp_ms * MS, 1_000_000_000)
    return Fields(header=Fields(stamp=Fields(sec=sec, nanosec=nanosec)), name=['a'],
                  position=[float(value)], velocity=[-float(value)])


def aligner(history_ms=100_000):
    return Aligner(CONTRACT, history_ns=history_ms * MS)


def push(target, value, stamp_ms, receive_ms, topic='mode'):
    target.push(topic, joints(value, stamp_ms), START_NS + receive_ms * MS)


def sample(target, tick_ms, cut_ms, stream=MODE):
    return target.sample(stream, START_NS + tick_ms * MS, START_NS + cut_ms * MS)


def brute_force(pushed, tick_ms, cut_ms):
    """Return (stamp, arrival, index) of the message that the rule names, or None."""
    fit = [(stamp, receive, index) for index, (stamp, receive) in enumerate(pushed)
           if stamp <= tick_ms and receive <= cut_ms]
    return max(fit, default=None)


# (stamp, delay until the arrival) in ms; a small range makes ties and disorder common.
MESSAGES = st.lists(st.tuples(st.integers(0, 60), st.integers(-20, 60)), max_size=25)
ARRIVALS = MESSAGES.map(lambda pairs: [(stamp, stamp + delay) for stamp, delay in pairs])
QUERIES = st.lists(st.tuples(st.integers(-5, 90), st.integers(-5, 130)), min_size=1, max_size=20)


@given(pushed=ARRIVALS, queries=QUERIES, in_order=st.booleans())
@settings(max_examples=400, deadline=None)
def test_sample_is_what_a_search_over_all_messages_finds(pushed, queries, in_order):
    if in_order:
        pushed = sorted(pushed, key=lambda times: times[1])
    target = aligner()
    for index, (stamp, receive) in enumerate(pushed):
        push(target, index, stamp, receive)
    for tick, cut in queries:
        wanted = brute_force(pushed, tick, cut)
        if wanted is None:
            with pytest.raises(AlignmentError):
                sample(target, tick, cut)
            continue
        got = sample(target, tick, cut)
        assert (got.stamp_ns, got.value.tolist()) == (START_NS + wanted[0] * MS, [wanted[2]])
        assert got.age_ns == (tick - wanted[0]) * MS


@given(pushed=ARRIVALS, history=st.integers(0, 40), lag=st.integers(0, 40),
       settle=st.integers(0, 30))
@settings(max_examples=400, deadline=None)
def test_dropping_old_messages_changes_no_sample_within_the_history(pushed, history, lag, settle):
    pushed = sorted(pushed, key=lambda times: times[1])
    target = aligner(history)
    for index, (stamp, receive) in enumerate(pushed):
        push(target, index, stamp, receive)
        tick = receive - min(lag, history)
        wanted = brute_force(pushed[:index + 1], tick, tick + settle)
        if wanted is not None:
            got = sample(target, tick, tick + settle)
            assert (got.stamp_ns, got.value.tolist()) == (START_NS + wanted[0] * MS, [wanted[2]])


@pytest.mark.parametrize('stamp_of', [lambda k: k, lambda k: k - 10 ** 6, lambda k: k + 10 ** 6,
                                      lambda k: 500])
def test_memory_is_bounded_whatever_the_stamps(stamp_of):
    target = aligner(history_ms=50)
    for k in range(5000):
        push(target, k, stamp_of(k), k)
    held = len(target._buffers[MODE]._items)
    assert held <= 50 + 200 + 1000 + 2  # history, max_age_ms, a stamp's allowed lead, the base


def test_stale_sample_names_topic_and_age():
    target = aligner()
    push(target, 1, 0, 0, 'joints')
    assert sample(target, 200, 200, STATE).age_ns == 200 * MS
    with pytest.raises(AlignmentError, match=r"observation 'observation.state' is 0.201 s old, "
                                             r'limit 0.200 s \(topic joints\)'):
        sample(target, 201, 201, STATE)


def test_a_sample_stamped_ahead_of_its_arrival_is_stale_as_soon_as_the_arrival():
    target = aligner()
    push(target, 1, 150, 0, 'joints')
    got = sample(target, 200, 200, STATE)
    assert (got.stamp_ns, got.age_ns) == (START_NS + 150 * MS, 50 * MS)
    with pytest.raises(AlignmentError, match='is 0.201 s old'):
        sample(target, 201, 201, STATE)


def test_held_sample_keeps_its_true_age_but_is_never_invented():
    target = aligner(history_ms=50)
    with pytest.raises(AlignmentError, match=r'no message yet.*\(topic mode\)'):
        sample(target, 0, 0)
    push(target, 7, 100, 100)
    with pytest.raises(AlignmentError, match='the oldest is stamped 0.001 s after it'):
        sample(target, 99, 200)
    for k in range(3):
        push(target, k, 100_000 + k, 100_000 + k, 'joints')
    got = sample(target, 90_000, 90_000)
    assert (got.value.tolist(), got.age_ns) == ([7], 89_900 * MS)


def test_recorded_command_can_be_asked_for_its_maximum_age_later():
    target = aligner(history_ms=50)
    for k in range(1000):
        target.push('command', Fields(data=[k]), START_NS + k * MS)
    assert sample(target, 999 - 250, 999, COMMAND).value.tolist() == [749]


def test_message_that_arrives_after_the_cut_does_not_count():
    target = aligner()
    push(target, 1, 0, 5)
    push(target, 2, 50, 121)
    assert sample(target, 100, 120).value.tolist() == [1]
    assert sample(target, 100, 121).value.tolist() == [2]
    with pytest.raises(AlignmentError, match='no message had arrived in time; the oldest came '
                                             '0.001 s too late'):
        sample(target, 4, 4)


def test_streams_of_one_topic_keep_their_own_stamp_rule_and_field():
    target = aligner()
    push(target, 3, 100, 130, 'joints')
    assert sample(target, 120, 200, STATE).value.tolist() == [3]
    with pytest.raises(AlignmentError, match='observation.speed'):
        sample(target, 120, 200, SPEED)
    assert sample(target, 130, 200, SPEED).value.tolist() == [-3]


def test_recorded_commands_are_aligned_too():
    target = aligner()
    target.push('command', Fields(data=[0.5]), START_NS)
    assert sample(target, 1, 1, COMMAND).value.tolist() == [0.5]
    with pytest.raises(AlignmentError, match=r'action is 0.300 s old.*\(topic command\)'):
        sample(target, 300, 300, COMMAND)


def test_a_message_is_decoded_once_and_only_when_sampled():
    class Counted:
        header = joints(0, 0).header
        position = [1.0]
        reads = 0

        @property
        def name(self):
            self.reads += 1
            return ['a']

    target, message = aligner(), Counted()
    target.push('mode', message, START_NS)
    assert message.reads == 0
    first, second = sample(target, 0, 0), sample(target, 50, 50)
    assert message.reads == 1
    assert first.value is second.value
    with pytest.raises(ValueError, match='read-only'):
        first.value[0] = 2.0


def test_malformed_message_is_kept_quietly_and_refused_when_sampled():
    target = aligner()
    push(target, 1, 0, 0)
    broken = joints(2, 50)
    broken.name = ['b']
    target.push('mode', broken, START_NS + 50 * MS)
    push(target, 3, 100, 100)
    assert sample(target, 40, 40).value.tolist() == [1]
    with pytest.raises(DecodeError, match='no joint a'):
        sample(target, 60, 60)
    assert sample(target, 100, 100).value.tolist() == [3]


@pytest.mark.parametrize('stamp_ns,match', [(0, 'no time'), (START_NS * 2, 'one clock')])
def test_message_without_usable_stamp_is_refused_from_its_arrival_on(stamp_ns, match):
    target = aligner()
    push(target, 1, 0, 0)
    undated = joints(2, 0)
    undated.header.stamp = Fields(sec=stamp_ns // 10 ** 9, nanosec=stamp_ns % 10 ** 9)
    target.push('mode', undated, START_NS + 50 * MS)
    assert sample(target, 49, 49).value.tolist() == [1]
    with pytest.raises(DecodeError, match=match):
        sample(target, 50, 50)
    push(target, 3, 60, 60)
    assert sample(target, 60, 60).value.tolist() == [3]


def test_topic_outside_the_contract_is_refused():
    with pytest.raises(ContractError, match="topic '/joints' is not in the contract, which names:"
                                            ' joints, mode, command'):
        push(aligner(), 1, 0, 0, '/joints')


def test_clear_forgets_everything_and_lets_time_start_again():
    target = aligner(history_ms=50)
    push(target, 1, 9000, 9000)
    target.clear()
    with pytest.raises(AlignmentError, match='no message yet'):
        sample(target, 9000, 9000)
    push(target, 2, 10, 10)  # the clock jumped back
    push(target, 3, 100, 100)
    assert sample(target, 60, 60).value.tolist() == [2]


def test_threads_may_push_while_another_samples():
    target = aligner()
    times = [[(k, k) for k in range(start, 2000, 4)] for start in range(4)]
    threads = [Thread(target=lambda own=own: [push(target, s, s, r) for s, r in own])
               for own in times]
    push(target, 0, 0, 0)
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert sample(target, 1999, 1999).value[0] <= 1999
    for tick in range(2000):
        assert sample(target, tick, tick).value.tolist() == [tick]


def test_a_command_waits_for_the_slowest_of_the_commands():
    both = replace(CONTRACT, actions=(COMMAND, replace(
        COMMAND, topic='slow', names=('b',), max_age_ms=5000.0)))
    target = Aligner(both, history_ns=50 * MS)
    for k in range(6000):
        target.push('command', Fields(data=[k]), START_NS + k * MS)
    assert sample(target, 1000, 1000, COMMAND).value.tolist() == [1000]


def test_the_newest_stamp_is_the_one_that_a_stream_has_reached():
    target = aligner()
    assert target.newest_stamp_ns(MODE) is None
    for stamp_ms, receive_ms in ((50, 60), (20, 70)):
        push(target, 1, stamp_ms, receive_ms)
    assert target.newest_stamp_ns(MODE) == START_NS + 50 * MS


def test_a_stream_whose_messages_repeat_is_frozen_until_one_differs():
    frozen = replace(CONTRACT, observations=(replace(STATE, frozen_after=3), SPEED, MODE))
    target, (stream, _, _) = Aligner(frozen, history_ns=10**10), frozen.observations
    for number, value in enumerate((1.0, 2.0, 2.0)):
        push(target, value, 10 * number, 10 * number, topic='joints')
    assert sample(target, 25, 25, stream).value == [2.0]
    push(target, 2.0, 30, 30, topic='joints')
    with pytest.raises(AlignmentError, match='frozen: 3 equal messages in a row, limit 3 .*joint'):
        sample(target, 35, 35, stream)
    assert sample(target, 25, 25, stream).value == [2.0]  # as it was then
    push(target, 2.5, 40, 40, topic='joints')
    assert sample(target, 45, 45, stream).value == [2.5]


def test_pictures_are_compared_as_they_came_and_without_the_limit_never():
    camera = replace(MODE, key='observation.images.eye', type='sensor_msgs/msg/Image', names=(),
                     on_stale='stop', image=ImageSpec(1, 2), topic='eye', frozen_after=2)
    contract = replace(CONTRACT, observations=(STATE, camera))
    target = Aligner(contract, history_ns=10**10)

    def show(data, stamp_ms):
        sec, nanosec = divmod(START_NS + stamp_ms * MS, 1_000_000_000)
        target.push('eye', Fields(
            header=Fields(stamp=Fields(sec=sec, nanosec=nanosec)), height=1, width=2, step=6,
            encoding='rgb8', is_bigendian=0, data=array('B', data)), START_NS + stamp_ms * MS)

    show(range(6), 0)
    assert sample(target, 0, 0, camera).value.ravel().tolist() == list(range(6))
    show(range(6), 10)
    with pytest.raises(AlignmentError, match='frozen: 2 equal messages'):
        sample(target, 10, 10, camera)
    show(range(1, 7), 20)
    assert sample(target, 20, 20, camera).value.ravel().tolist() == list(range(1, 7))
    for stamp_ms in range(30, 330, 10):
        push(target, 5.0, stamp_ms, stamp_ms, topic='joints')
    assert sample(target, 330, 330, STATE).value == [5.0]
