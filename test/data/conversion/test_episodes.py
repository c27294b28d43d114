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

"""Rows lie on ticks, hold what the live path would have seen, and never bridge a gap."""

from dataclasses import replace
import re

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.conversion.episodes import episode_rows, Gap, Row
from diffusion_policy_ros.errors import BagError
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000


def rows_of(messages, contract):
    """Collect the rows."""
    return [event for event in episode_rows(messages, contract) if isinstance(event, Row)]


def with_action(contract, **changes):
    """Change the contract's one action output."""
    return replace(contract, actions=(replace(contract.actions[0], **changes),))


def test_synchronous_messages_make_one_row_each(demonstration, contract):
    """Values are the messages', ages are zero, ticks are exact."""
    rows = rows_of(demonstration.messages(range(20)), contract)
    assert [row.tick_ns for row in rows] == [START_NS + k * 100 * MS for k in range(20)]
    for k, row in enumerate(rows):
        assert np.array_equal(row.values['observation.state'], np.float32([k, k + 0.5]))
        assert np.array_equal(row.values['action'], np.float32([100 + k, 100.5 + k]))
        assert np.array_equal(row.values['observation.images.camera'],
                              demonstration.values('camera/image_raw', k))
        assert set(row.ages_ns.values()) == {0}
    turned = rows[2].values['observation.environment_state']
    assert np.allclose(turned[3:5], [np.cos(0.6), np.sin(0.6)])


def test_ticks_begin_when_every_stream_has_a_sample(demonstration, contract):
    """The camera comes 230 ms late; the grid starts at its first stamp."""
    late = [(topic, demonstration.message(topic, 0, t + 230 * MS), t + 230 * MS)
            if topic == 'camera/image_raw' else (topic, message, t)
            for topic, message, t in demonstration.messages(range(20))]
    rows = rows_of(sorted(late, key=lambda m: m[2]), contract)
    assert rows[0].tick_ns == START_NS + 230 * MS
    assert rows[0].ages_ns == {'camera/image_raw': 0, 'joint_states': 30 * MS,
                               'block_pose': 30 * MS, 'joint_commands': 30 * MS}


def test_a_message_that_arrived_after_the_settling_time_does_not_count(demonstration, contract):
    """The live node could not have seen it, though its stamp fits."""
    messages = demonstration.messages(range(6))
    late = [(topic, message, t + 21 * MS) if topic == 'joint_states' else (topic, message, t)
            for topic, message, t in messages]
    rows = rows_of(sorted(late, key=lambda m: m[2]), contract)
    assert rows[0].tick_ns == START_NS + 100 * MS  # nothing had arrived in time for tick 0
    assert [row.values['observation.state'][0] for row in rows] == [0, 1, 2, 3, 4]
    assert {row.ages_ns['joint_states'] for row in rows} == {100 * MS}
    intime = [(topic, message, t + 20 * MS) if topic == 'joint_states' else (topic, message, t)
              for topic, message, t in messages]
    rows = rows_of(sorted(intime, key=lambda m: m[2]), contract)
    assert rows[3].values['observation.state'][0] == 3


def test_a_command_counts_though_it_arrived_late(demonstration, contract):
    """Labels have no live counterpart: their stamp decides."""
    late = [(topic, message, t + 90 * MS) if topic == 'joint_commands' else (topic, message, t)
            for topic, message, t in demonstration.messages(range(6))]
    rows = rows_of(sorted(late, key=lambda m: m[2]), contract)
    assert [row.values['action'][0] for row in rows] == [100 + k for k in range(6)]


def test_a_gap_splits_and_names_the_stream(demonstration, contract):
    """Camera frames 5 to 8 are missing: rows on both sides stay on one grid."""
    kept = [m for m in demonstration.messages(range(15))
            if m[0] != 'camera/image_raw' or not 5 <= (m[2] - START_NS) // (100 * MS) <= 8]
    events = list(episode_rows(kept, contract))
    gaps = [(i, event) for i, event in enumerate(events) if isinstance(event, Gap)]
    assert len(gaps) == 1
    # Frame 4 is 100 ms old at tick 5, within max_age_ms 150; at tick 6 it is not.
    assert gaps[0][0] == 6 and gaps[0][1].tick_ns == START_NS + 600 * MS
    assert 'camera/image_raw' in gaps[0][1].reason and '0.200 s old' in gaps[0][1].reason
    assert [(e.tick_ns - START_NS) // (100 * MS) for e in events if isinstance(e, Row)] \
        == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14]


def test_a_malformed_message_splits(demonstration, contract):
    """A joint that is missing once costs its rows, not the bag."""
    messages = demonstration.messages(range(8))
    broken = next(m for m in messages if m[0] == 'joint_states' and m[2] == START_NS + 400 * MS)
    broken[1].name.pop()
    events = list(episode_rows(messages, contract))
    assert [isinstance(event, Gap) for event in events] == [False] * 4 + [True] + [False] * 3
    assert 'wrist' in events[4].reason


def test_each_reason_for_which_there_is_no_row_is_told_once(demonstration, contract):
    """In their order, whatever numbers they come with; the first is that of one tick alone."""
    late = [(topic, message, t + 21 * MS) if topic == 'joint_states' else (topic, message, t)
            for topic, message, t in demonstration.messages(range(20))]
    for topic, message, _ in late:
        if topic == 'joint_states':
            message.name.pop()
    gaps = list(episode_rows(sorted(late, key=lambda m: m[2]), contract))
    assert [gap.tick_ns for gap in gaps] == [START_NS, START_NS + 100 * MS]
    assert 'the oldest came 0.001 s too late' in gaps[0].reason
    assert 'no joint wrist' in gaps[1].reason
    assert Gap(0, 'it is 0.5 s old, 3 in a row').kind == Gap(0, 'it is 7 s old, 4 in a row').kind
    assert Gap(0, 'it came 1.25s late').kind == Gap(0, 'it came 1e-05s late').kind
    assert Gap(0, 'topic /arm/1/joint_2').kind == 'topic /arm/1/joint_2'
    assert Gap(0, 'encoding 16UC1').kind == 'encoding 16UC1'


def test_a_missing_command_splits(demonstration, contract):
    """An action that is too old is no label."""
    kept = [m for m in demonstration.messages(range(9))
            if m[0] != 'joint_commands' or not 3 <= (m[2] - START_NS) // (100 * MS) <= 5]
    events = list(episode_rows(kept, contract))
    assert [isinstance(event, Gap) for event in events] == [False] * 4 + [True] + [False] * 3
    assert events[4].reason.startswith('action is 0.200 s old')


def test_a_long_pause_costs_no_time(demonstration, contract):
    """A year between two takes is one gap: stale first, then nothing at all."""
    year_ns = 365 * 86400 * 10**9
    first = demonstration.messages(range(5))
    later = [(topic, demonstration.message(topic, k, t + year_ns), t + year_ns)
             for k in range(5) for topic, _, t in demonstration.messages([k])]
    events = list(episode_rows(first + later, contract))
    assert len([event for event in events if isinstance(event, Gap)]) == 2
    assert sum(isinstance(event, Row) for event in events) >= 9


def test_a_pause_ends_an_episode_even_where_streams_hold(demonstration, contract):
    """Holding a sample through a paused recording would invent rows."""
    held = replace(contract, actions=(replace(contract.actions[0], max_age_ms=60000.0),),
                   observations=tuple(replace(s, on_stale='hold') for s in contract.observations))
    later = [(topic, demonstration.message(topic, k, t + 10**11), t + 10**11)
             for k in range(5) for topic, _, t in demonstration.messages([k])]
    events = list(episode_rows(demonstration.messages(range(5)) + later, held))
    assert [e.reason for e in events if isinstance(e, Gap)] \
        == ['nothing was recorded for more than 5 s']


def test_two_clocks_are_refused(demonstration, contract):
    """Simulation stamps near zero among wall-clock arrivals could never align."""
    messages = [(topic, demonstration.message(topic, k, 10**9 + k), t)
                for k in range(3) for topic, _, t in demonstration.messages([k])]
    with pytest.raises(BagError, match='mixes two clocks'):
        list(episode_rows(messages, contract))


def old_command(demonstration):
    """Make a command of 90 s ago, as a publisher keeps it for those who come late."""
    return ('joint_commands', demonstration.message('joint_commands', 0, START_NS - 90_000 * MS),
            START_NS)


def test_one_old_message_at_the_beginning_is_no_other_clock(demonstration, contract):
    """It is passed over, and its topic's next one is the first."""
    rest = [m for m in demonstration.messages(range(20))
            if m[0] != 'joint_commands' or m[2] > START_NS + 1200 * MS]
    events = list(episode_rows([old_command(demonstration), *rest], contract))
    assert events[0] == Gap(START_NS, 'no message on joint_commands for 1.3 s')
    rows = events[1:]
    assert all(isinstance(event, Row) for event in rows)
    assert [row.tick_ns for row in rows] == [START_NS + k * 100 * MS for k in range(13, 20)]
    assert rows[0].values['action'][0] == 113


def test_old_messages_and_no_others_are_told(demonstration, contract):
    rest = [m for m in demonstration.messages(range(20))
            if m[0] not in ('joint_commands', 'block_pose')]
    events = list(episode_rows([old_command(demonstration), *rest], contract))
    assert events == [Gap(START_NS, 'no message on block_pose; the only message on '
                          'joint_commands is stamped 90 s before its arrival')]


def test_a_stream_that_comes_late_is_a_gap_with_its_name(demonstration, contract):
    """From the first message on."""
    late = [m for m in demonstration.messages(range(30))
            if m[0] != 'camera/image_raw' or m[2] >= START_NS + 2000 * MS]
    events = list(episode_rows(late, contract))
    assert events[0] == Gap(START_NS, 'no message on camera/image_raw for 2.0 s')
    assert [e.tick_ns for e in events[1:]] == [START_NS + k * 100 * MS for k in range(20, 30)]


def test_ticks_begin_and_end_where_they_are_told_to(demonstration, contract):
    """A beginning is a tick, an end is none; what came before counts, and what comes after."""
    events = list(episode_rows(demonstration.messages(range(20)), contract,
                               START_NS + 730 * MS, START_NS + 1130 * MS))
    assert [e.tick_ns for e in events] == [START_NS + k * MS for k in (730, 830, 930, 1030)]
    assert [e.values['action'][0] for e in events] == [107, 108, 109, 110]
    taught = with_action(contract, label='next_state')
    rows = rows_of(demonstration.messages(range(20)), taught)
    cut = list(episode_rows(demonstration.messages(range(20)), taught,
                            rows[3].tick_ns, rows[8].tick_ns))
    assert [e.tick_ns for e in cut] == [row.tick_ns for row in rows[3:7]]  # the last one has none


def test_headers_that_go_back_end_an_episode(demonstration, contract):
    """The clock of the drivers was set back, that of the recorder was not."""
    later = [(topic, demonstration.message(topic, k, t - 5000 * MS), t) for k in range(10, 20)
             for topic, _, t in demonstration.messages([k])]
    events = list(episode_rows(demonstration.messages(range(10)) + later, contract))
    rows = [event for event in events if isinstance(event, Row)]
    assert [row.tick_ns for row in rows] == [START_NS + k * 100 * MS for k in range(len(rows))]
    assert 10 <= len(rows) <= 11
    assert events[len(rows)].reason == (
        'the headers on camera/image_raw went back by 4.800 s: their clock was set back, or two '
        'publishers with different clocks send on it')
    assert 'had arrived in time; the oldest came 4.980 s too late' in \
        events[len(rows) + 1].reason


@pytest.mark.parametrize('slip_ns', [-5 * 10**9, 10**9, START_NS - 9 * 10**9])
def test_one_header_of_another_time_costs_nothing(demonstration, contract, slip_ns):
    """A slip of the driver is no clock that was set back; its message is passed over."""
    messages = [(topic, demonstration.message(topic, 0, slip_ns), t)
                if topic == 'joint_states' and t == START_NS + 1000 * MS else (topic, message, t)
                for topic, message, t in demonstration.messages(range(20))]
    events = list(episode_rows(messages, contract))
    assert all(isinstance(event, Row) for event in events) and len(events) == 20
    assert events[10].ages_ns['joint_states'] == 100 * MS


def test_a_held_sample_does_not_outlive_a_clock_that_was_set_back(demonstration, contract):
    """Rows of the second pass show its own block, though the first pass's is stamped later."""
    held = replace(contract, observations=contract.observations[:2] + (
        replace(contract.observations[2], on_stale='hold'),))
    again = [(topic, demonstration.message(topic, k + 50, t), t)
             for k in range(10) for topic, _, t in demonstration.messages([k])]
    step = SetBack('joint_states', START_NS + 900 * MS, START_NS)
    rows = rows_of([*demonstration.messages(range(10)), step, *again], held)
    assert [row.tick_ns for row in rows] == [START_NS + k * 100 * MS for k in range(10)] * 2
    assert np.allclose([row.values['observation.environment_state'][0] for row in rows],
                       [0.1 * k for k in (*range(10), *range(50, 60))])


def test_streams_without_a_message_are_named(demonstration, contract):
    """Nothing else would tell why there is no row."""
    events = list(episode_rows([m for m in demonstration.messages(range(5))
                                if m[0] in ('joint_states', 'block_pose')], contract))
    assert [event.reason for event in events] == ['no message on camera/image_raw, joint_commands']


def test_next_state_labels_are_the_state_one_row_later(demonstration, contract):
    """No command is needed, and the last row of each piece has no label."""
    taught = with_action(contract, label='next_state', names=('wrist', 'elbow'))
    kept = [m for m in demonstration.messages(range(12)) if m[0] != 'joint_commands'
            and (m[0] != 'camera/image_raw' or not 4 <= (m[2] - START_NS) // (100 * MS) <= 6)]
    events = list(episode_rows(kept, taught))
    rows = [event for event in events if isinstance(event, Row)]
    numbers = [(row.tick_ns - START_NS) // (100 * MS) for row in rows]
    assert numbers == [0, 1, 2, 3, 7, 8, 9, 10]
    assert sum(isinstance(event, Gap) for event in events) == 1
    for k, row in zip(numbers, rows):
        assert np.array_equal(row.values['action'], np.float32([k + 1.5, k + 1]))
        assert 'joint_commands' not in row.ages_ns


@pytest.mark.parametrize('offset_ms, shift', [(100.0, 1), (250.0, 2), (-200.0, -2)])
def test_an_offset_reads_the_command_of_another_time(demonstration, contract, offset_ms, shift):
    """Row k is labelled with the newest command at its tick plus the offset."""
    rows = rows_of(demonstration.messages(range(12)), with_action(contract, offset_ms=offset_ms))
    for row in rows[:8]:
        k = (row.tick_ns - START_NS) // (100 * MS)
        assert row.values['action'][0] == 100 + k + shift


def test_odd_rates_do_not_drift():
    """At 30 Hz tick 3000 is 100 s after the start, to the nanosecond."""
    contract = parse_contract("""
robot: fast
rate_hz: 30
observations:
  - {key: observation.state, topic: a, type: std_msgs/msg/Float64MultiArray, names: [x],
     stamp: receive, max_age_ms: 50}
actions:
  - {topic: b, type: std_msgs/msg/Float64MultiArray, names: [x], stamp: receive}
""")

    class Array:
        data = np.zeros(1)

    ticks = [contract.tick_ns(START_NS, k) for k in range(3001)]
    rows = rows_of([(topic, Array, t) for t in ticks for topic in 'ab'], contract)
    assert [row.tick_ns for row in rows] == ticks
    assert rows[-1].tick_ns == START_NS + 100 * 10**9


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 200)),
                max_size=120))
def test_rows_obey_the_age_limits_for_any_traffic(traffic):
    """Wild stamps and delays: ticks stay on the grid, ages in their limits, gaps between."""
    contract = WILD
    messages = sorted(((WILD_TOPICS[i], _vector(START_NS + at * MS), START_NS + (at + delay) * MS)
                       for i, at, delay in traffic), key=lambda m: m[2])
    events = list(episode_rows(messages, contract))
    rows = [event for event in events if isinstance(event, Row)]
    limits = {e.topic: e.max_age_ns for e in contract.observations + contract.actions}
    for row in rows:
        assert all(0 <= age <= limits[topic] for topic, age in row.ages_ns.items())
    if events and isinstance(events[0], Gap) and re.search(
            r'^no message .* for \d+\.\d s$', events[0].reason):
        events = events[1:]  # begins before there is a grid
    steps = np.diff([event.tick_ns for event in events])
    assert (steps > 0).all() and (steps % (100 * MS) == 0).all()
    for before, after in zip(events, events[1:]):
        if isinstance(before, Row) and isinstance(after, Row):
            assert after.tick_ns - before.tick_ns == 100 * MS


WILD_TOPICS = ('a', 'b', 'c', 'c')
WILD = parse_contract("""
robot: wild
rate_hz: 10
settle_ms: 30
observations:
  - {key: observation.state, topic: a, type: sensor_msgs/msg/JointState, joints: [x],
     max_age_ms: 150}
  - {key: observation.environment_state, topic: b, type: sensor_msgs/msg/JointState, joints: [x],
     max_age_ms: 400}
actions:
  - {topic: c, type: sensor_msgs/msg/JointState, joints: [x], max_age_ms: 200}
""")


def _vector(stamp_ns):
    """Make an object with the fields of a JointState."""
    from types import SimpleNamespace
    seconds, nanosec = divmod(stamp_ns, 10**9)
    header = SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=nanosec))
    return SimpleNamespace(header=header, name=['x', 'y'], position=np.zeros(2))


def test_outputs_may_have_different_age_limits():
    """The rows wait for the slow output's commands; the fast output's must not be gone then."""
    contract = parse_contract("""
robot: two hands
rate_hz: 10
observations:
  - {key: observation.state, topic: s, type: sensor_msgs/msg/JointState, joints: [x],
     max_age_ms: 150}
actions:
  - {topic: fast, type: sensor_msgs/msg/JointState, joints: [x], max_age_ms: 250}
  - {topic: slow, type: sensor_msgs/msg/JointState, joints: [y], max_age_ms: 5000}
""")
    ticks = [contract.tick_ns(START_NS, k) for k in range(300)]
    events = list(episode_rows([(topic, _vector(t), t) for t in ticks
                                for topic in ('s', 'fast', 'slow')], contract))
    assert [event.tick_ns for event in events if isinstance(event, Row)] == ticks


def gripper_told_rarely(max_age_ms):
    """Make a contract whose second command may be old."""
    return parse_contract(f"""
robot: gripper
rate_hz: 10
observations:
  - {{key: observation.state, topic: s, type: sensor_msgs/msg/JointState, joints: [x],
     max_age_ms: 150}}
actions:
  - {{topic: arm, type: sensor_msgs/msg/JointState, joints: [x]}}
  - {{topic: gripper, type: sensor_msgs/msg/JointState, joints: [y], max_age_ms: {max_age_ms}}}
""")


@pytest.mark.parametrize('max_age_ms, rows', [(500, 5), (60000, 20)])
def test_few_rows_wait_in_memory_however_old_a_command_may_be(max_age_ms, rows):
    """A row is given away 2 s after its tick at the latest, with all its pictures."""
    contract, newest_ns = gripper_told_rarely(max_age_ms), START_NS

    def messages():
        nonlocal newest_ns
        for k in range(200):
            newest_ns = contract.tick_ns(START_NS, k)
            for topic in ('s', 'arm', *(['gripper'] if k % 4 == 0 else [])):
                yield topic, _vector(newest_ns), newest_ns

    waited = [(newest_ns - event.tick_ns) // (100 * MS)
              for event in episode_rows(messages(), contract) if isinstance(event, Row)]
    assert len(waited) == 200 and max(waited) == rows + 1


@pytest.mark.parametrize('late_ms, first_age_ms', [(2000, 0), (2001, 100)])
def test_a_command_counts_if_it_arrives_within_two_seconds(late_ms, first_age_ms):
    """Later, the rows before it are gone, and the command before is the newest of theirs."""
    contract = gripper_told_rarely(60000)
    ticks = [contract.tick_ns(START_NS, k) for k in range(60)]
    messages = [(topic, _vector(t), t) for t in ticks for topic in ('s', 'arm')]
    messages += [('gripper', _vector(ticks[9]), ticks[9]),
                 ('gripper', _vector(ticks[10]), ticks[10] + late_ms * MS)]
    rows = rows_of(sorted(messages, key=lambda m: m[2]), contract)
    ages = {row.tick_ns: row.ages_ns['gripper'] // MS for row in rows}
    assert list(ages) == ticks[9:]
    assert ages[ticks[10]] == first_age_ms and ages[ticks[11]] == 100


def test_a_held_stream_may_be_as_old_as_it_likes(demonstration, contract):
    """A latched message of an hour ago is no other clock."""
    held = replace(contract, observations=contract.observations[:2] + (
        replace(contract.observations[2], on_stale='hold'),))
    hour_ns = 3600 * 10**9
    pose = 'block_pose', demonstration.message('block_pose', 0, START_NS - hour_ns), START_NS
    rows = rows_of([pose, *(m for m in demonstration.messages(range(9)) if m[0] != pose[0])], held)
    assert len(rows) == 9 and rows[0].ages_ns['block_pose'] == hour_ns


def test_the_last_tick_is_the_newest_that_all_stamps_reach(demonstration, contract):
    """Messages stamped ahead of their arrival count up to the slowest stream's last stamp."""
    ahead = [(topic, message, t - 140 * MS)
             for topic, message, t in demonstration.messages(range(20))
             if topic != 'joint_states' or t < START_NS + 1800 * MS]
    assert [row.tick_ns for row in rows_of(ahead, contract)] \
        == [START_NS + k * 100 * MS for k in range(18)]
    held = replace(contract, observations=tuple(
        replace(s, on_stale='hold') if s.topic == 'joint_states' else s
        for s in contract.observations))
    assert len(rows_of(ahead, held)) == 20
