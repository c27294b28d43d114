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

"""One long bag is cut into episodes by each kind of mark, as its rows' ticks tell."""

from dataclasses import replace

from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.conversion.cutting import parse_cut
from diffusion_policy_ros.data.conversion.service_events import COMMON, event_types
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

PERIOD_NS = 10**8
START_NS = 1_700_000_000_000_000_000
TRIGGER = 'std_srvs/srv/Trigger_Event'
# A mark is the first tick, half a period after the newest messages; another is no tick any more.
INSIDE = [*range(10, 24), *range(30, 44)]  # by the marks at 1.05 s, 2.45 s, 3.05 s and 4.45 s
MARKS_NS = [START_NS + k * PERIOD_NS // 2 for k in (21, 49, 61, 89)]


@pytest.fixture
def store():
    """Give a typestore that knows the events of Trigger services."""
    found = get_typestore(Stores.LATEST)
    found.register(event_types(TRIGGER, COMMON[TRIGGER]))
    return found


@pytest.fixture
def convert(tmp_path, demonstration, store):
    """Return a function that writes a bag of 60 rows with marks, and converts it."""
    def run(cut, marks, passes=(0,), **options):
        found = options.pop('messages', demonstration.messages(range(60)))
        messages = [(topic, demonstration.streams[topic].type, message, receive_ns - back_ns)
                    for back_ns in passes for topic, message, receive_ns in found]
        ordered = sorted([*messages, *marks], key=lambda m: m[3]) if passes == (0,) \
            else [*messages, *marks]
        fields = {'contract': demonstration.contract.to_yaml(), 'task': 'whole',
                  **options.pop('fields', {})}
        write(tmp_path / 'bag', store, ordered, fields)
        return convert_bags([tmp_path / 'bag'], tmp_path / 'dataset', codec='png',
                            cut=parse_cut(cut), progress=False, **options)
    return run


def write(folder, store, messages, fields):
    """Write a bag as rosbag2 does; the definition of events is that of their service."""
    connections = {}
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for name, text in fields.items():
            writer.set_custom_data(name, text)
        for topic, kind, message, receive_ns in messages:
            if topic not in connections:
                definition = {'msgdef': COMMON[kind], 'rihs01': 'RIHS01_0'} \
                    if kind == TRIGGER else {'typestore': store}
                connections[topic] = writer.add_connection(
                    f'/{topic.lstrip("/")}', kind, **definition)
            writer.write(connections[topic], receive_ns, store.serialize_cdr(message, kind))


def rows_in(folder):
    """Return the numbers of the rows of a dataset's episodes."""
    reader = LeRobotReader(folder)
    action = reader.columns(['action'])['action'][:, 0] - 100
    ends = np.cumsum([e.length for e in reader.episodes])
    return [part.tolist() for part in np.split(action.round().astype(int), ends[:-1])]


def markers(store, words, kind='std_msgs/msg/String'):
    """Make the messages of a marker topic."""
    make = store.types[kind]
    return [('/episode', kind, make() if word is None else make(word), time_ns)
            for word, time_ns in zip(words, MARKS_NS)]


def presses(store):
    """Press a button for some time at each mark, at 50 Hz."""
    joy, header = store.types['sensor_msgs/msg/Joy'], store.types['std_msgs/msg/Header']
    time = store.types['builtin_interfaces/msg/Time']
    for k in range(300):
        at_ns = START_NS + k * PERIOD_NS // 5
        held = any(mark <= at_ns < mark + PERIOD_NS for mark in MARKS_NS)
        yield ('/joy', 'sensor_msgs/msg/Joy',
               joy(header(time(0, 0), ''), np.zeros(2, np.float32),
                   np.array([0, 0, held], np.int32)), at_ns)


def calls(store, names):
    """Answer a call of a service at each mark."""
    info, time = store.types['service_msgs/msg/ServiceEventInfo'], store.types[
        'builtin_interfaces/msg/Time']
    response = store.types['std_srvs/srv/Trigger_Response']
    for number, (name, at_ns) in enumerate(zip(names, MARKS_NS)):
        for kind in (1, 2):
            yield (f'/recorder/{name}/_service_event', TRIGGER, store.types[TRIGGER](
                info(kind, time(0, 0), np.zeros(16, np.uint8), number), [],
                [response(True, '')] if kind == 2 else []), at_ns)


def test_a_marker_topic_cuts(tmp_path, store, convert):
    summary = convert('marker:/episode', markers(store, ['start', 'stop', 'start', 'stop']))
    assert sum(rows_in(tmp_path / 'dataset'), []) == INSIDE
    assert (summary.episodes, summary.cuts, summary.dropped, summary.splits) == (2, 2, 0, 0)
    assert summary.notes == summary.warnings == []
    ticks = LeRobotReader(tmp_path / 'dataset').columns(['tick_ns'])['tick_ns'].ravel().tolist()
    assert ticks == [MARKS_NS[m] + k * PERIOD_NS for m in (0, 2) for k in range(14)]


@pytest.mark.parametrize('words, kind', [
    ([True, False, True, False], 'std_msgs/msg/Bool'), ([None] * 4, 'std_msgs/msg/Empty')])
def test_other_marker_types_cut_alike(tmp_path, store, convert, words, kind):
    convert('marker:episode', markers(store, words, kind))
    assert sum(rows_in(tmp_path / 'dataset'), []) == INSIDE


def test_a_button_cuts(tmp_path, store, convert):
    """The first 50 Hz message that shows it pressed counts."""
    convert('joy:/joy:2', list(presses(store)))
    assert sum(rows_in(tmp_path / 'dataset'), []) == INSIDE


def test_services_cut_and_tell_what_succeeded(tmp_path, store, convert):
    """As the recorder node's own."""
    summary = convert('services:/recorder', list(calls(store, [
        'start', 'success', 'start', 'fail'])))
    assert sum(rows_in(tmp_path / 'dataset'), []) == INSIDE
    assert [e['success'] for e in summary.episode_list] == [True, False]


def test_what_was_discarded_is_left_out(tmp_path, store, convert):
    summary = convert('services:/recorder', list(calls(store, [
        'start', 'discard', 'start', 'stop'])))
    assert rows_in(tmp_path / 'dataset') == [INSIDE[14:]]
    assert (summary.episodes, summary.cuts, summary.dropped) == (1, 2, 1)


def test_a_list_of_times_cuts(tmp_path, convert):
    """From the first message on; a start at a tick takes that tick, an end at a tick does not."""
    (tmp_path / 'times.csv').write_text('start,end,task\n1.1,2.5,first\n3.1,4.5,\n')
    convert(f'times:{tmp_path / "times.csv"}', [])
    assert rows_in(tmp_path / 'dataset') == [list(range(11, 25)), list(range(31, 45))]
    assert [e.tasks for e in LeRobotReader(tmp_path / 'dataset').episodes] == [
        ('first',), ('whole',)]


def test_an_episode_that_was_never_stopped_is_told(
        tmp_path, store, convert):
    summary = convert('marker:/episode', markers(store, ['start', 'stop', 'start']))
    assert summary.notes == [
        f'{tmp_path / "bag"}: the episode that begins at 1700000003.050 s (3.050 s into the bag) '
        'was not ended; it goes on to the end of the bag']
    assert rows_in(tmp_path / 'dataset') == [INSIDE[:14], list(range(30, 59))]


def test_an_episode_that_goes_on_after_the_recording_is_warned_of(
        tmp_path, demonstration, convert):
    """With what it lacks, and since when."""
    (tmp_path / 'times.csv').write_text('start,end\n0,3\n4,5\n5,7.5\n')
    summary = convert(f'times:{tmp_path / "times.csv"}', [], messages=[
        *demonstration.messages(range(20)), *demonstration.messages(range(40, 60))])
    assert [len(rows) for rows in rows_in(tmp_path / 'dataset')] == [21, 10, 10]
    assert summary.warnings == [
        f'{tmp_path / "bag"}: nothing was recorded in the last 1.6 s of the episode that begins '
        'at 1700000005.000 s (5.000 s into the bag), from 1700000005.900 s (5.900 s into the bag) '
        'on']


def test_an_episode_without_rows_is_told(tmp_path, store, convert):
    """And one that is too short."""
    (tmp_path / 'times.csv').write_text('start,end\n1.1,2.5\n3.0,3.3\n9,10\n')
    summary = convert(f'times:{tmp_path / "times.csv"}', [])
    assert rows_in(tmp_path / 'dataset') == [list(range(11, 25))]
    assert '3 rows left out, fewer than 8' in ' '.join(summary.notes)
    told = ' '.join(summary.warnings)
    assert ('the episode that begins at 1700000003.000 s (3.000 s into the bag) gave no rows: no '
            'stretch of at least 8 rows, the longest has 3; it lasts 0.3 s, and they take '
            '0.7 s') in told
    assert ('the episode that begins at 1700000009.000 s (9.000 s into the bag) gave no rows: '
            'nothing was recorded in its time; the bag ends at 1700000005.900 s') in told


def test_an_episode_in_a_pause_of_the_bag_is_told(tmp_path, demonstration, convert):
    (tmp_path / 'times.csv').write_text('start,end\n0,0.9\n3.2,4.5\n')
    summary = convert(f'times:{tmp_path / "times.csv"}', [], messages=[
        *demonstration.messages(range(10)), *demonstration.messages(range(50, 60))])
    assert [warning.rpartition(': ')[2] for warning in summary.warnings] == [
        'no stretch of at least 8 rows; not every topic has messages in its time']


def test_a_bag_without_marks_is_skipped_with_its_topics(tmp_path, store, convert):
    summary = convert('marker:/start_stop', [])
    assert (summary.episodes, summary.skipped) == (0, 1)
    assert 'cannot be cut by marker:/start_stop: no topic /start_stop in it; it has: /block_pose' \
        in summary.notes[0]
    assert not (tmp_path / 'dataset').exists()


def test_marks_that_make_no_episode_are_told(store, convert):
    summary = convert('marker:/episode', markers(store, ['stop', 'stop']))
    assert (summary.episodes, summary.skipped) == (0, 1)
    assert 'skipped: the cut found no episode in it' in summary.notes[0]


def test_episodes_that_were_all_discarded_are_nothing_that_was_lost(store, convert):
    summary = convert('services:/recorder', list(calls(store, [
        'start', 'discard', 'start', 'cancel'])))
    assert (summary.episodes, summary.cuts, summary.dropped, summary.skipped) == (0, 2, 2, 0)
    assert 'all of its 2 episodes were discarded by the demonstrator' in summary.notes[0]


def test_no_label_comes_from_outside_of_an_episode(tmp_path, store, convert, contract):
    """The state one row later would be that of the next one."""
    taught = replace(contract, actions=(replace(contract.actions[0], label='next_state'),))
    convert('marker:/episode', markers(store, ['start', 'stop', 'start', 'stop']),
            contract=taught, fields={'contract': taught.to_yaml()})
    reader = LeRobotReader(tmp_path / 'dataset')
    assert [episode.length for episode in reader.episodes] == [13, 13]
    assert reader.columns(['action'])['action'][:, 0].tolist() == [*range(11, 24), *range(31, 44)]


def test_an_episode_that_breaks_off_costs_no_other(tmp_path, demonstration, convert):
    """Here two clocks are mixed in the first one of two."""
    (tmp_path / 'times.csv').write_text('start,end\n0,1.5\n4.5,5.9\n')
    shift_ns = 100 * 10**9
    old = [(topic, demonstration.message(topic, k, t - shift_ns), t) for k in range(20)
           for topic, _, t in demonstration.messages([k]) if topic == 'joint_states']
    summary = convert(f'times:{tmp_path / "times.csv"}', [], messages=[
        *old, *(m for m in demonstration.messages(range(60))
                if m[0] != 'joint_states' or m[2] >= START_NS + 20 * PERIOD_NS)])
    assert rows_in(tmp_path / 'dataset') == [list(range(45, 59))]
    assert (summary.episodes, summary.skipped) == (1, 1)
    assert 'begins at 1700000000.000 s (0.000 s into the bag) is broken off: topic ' \
        in summary.notes[0]


def test_what_an_episode_lacks_is_told_with_its_length(tmp_path, demonstration, convert):
    """At its beginning, inside and at its end."""
    (tmp_path / 'times.csv').write_text('start,end\n0,5.9\n')
    lost = [*range(15), *range(30, 35), *range(45, 60)]
    summary = convert(f'times:{tmp_path / "times.csv"}', [], messages=[
        m for m in demonstration.messages(range(60))
        if m[0] != 'camera/image_raw' or (m[2] - START_NS) // PERIOD_NS not in lost])
    assert summary.rows == 30 - 15 + 12 and summary.splits == 1
    assert '16 rows ends at 1700000003.100 s (3.100 s into' in summary.notes[0]
    assert summary.notes[0].endswith('; 0.4 s gave no rows')
    of = 'of the episode that begins at 1700000000.000 s (0.000 s into the bag); at 17000000'
    assert [w.split('used of the ')[1].split(': ')[0] for w in summary.warnings] == [
        f'first 1.5 s {of}00.000 s (0.000 s into the bag)',
        f'last 1.3 s {of}04.600 s (4.600 s into the bag)']


def test_a_list_in_seconds_is_applied_to_every_bag_and_that_is_told(
        tmp_path, demonstration):
    """Each episode says which of the cut it is."""
    (tmp_path / 'times.csv').write_text('start,end\n0,1\n2,3\n')
    bags = [demonstration.write_bag(tmp_path / name, range(40)) for name in 'ab']
    summary = convert_bags(bags, tmp_path / 'dataset', codec='png', progress=False,
                           cut=parse_cut(f'times:{tmp_path / "times.csv"}'))
    assert summary.notes == [f'times:{tmp_path / "times.csv"} is in seconds: its 2 episodes are '
                             'cut out of each of the 2 bags']
    assert [(e['bag'], e['cut'], e['piece']) for e in summary.episode_list] == [
        (str(bag), cut, 1) for bag in bags for cut in (1, 2)]


def test_absolute_times_that_no_bag_has_are_told(tmp_path, convert):
    """Those of another bag cost nothing."""
    (tmp_path / 'times.csv').write_text('start,end\n' + ''.join(
        f'{START_NS + first * 10**9},{START_NS + last * 10**9}\n'
        for first, last in ((-9, -7), (1, 3), (70, 80))))
    summary = convert(f'times:{tmp_path / "times.csv"}', [])
    assert (summary.cuts, summary.rows) == (1, 20)
    assert summary.notes == [f'2 of the 3 episodes of times:{tmp_path / "times.csv"} lie in no '
                             'bag that was read']


def test_a_clock_that_was_set_back_leaves_nobody_to_tell_the_marks_apart(store, convert):
    summary = convert('marker:/episode', markers(store, ['start']),
                      passes=(0, 10 * PERIOD_NS))
    assert (summary.episodes, summary.skipped) == (0, 1)
    assert 'the clock was set back by' in summary.notes[0]
    assert 'convert this bag without --cut' in summary.notes[0]


def test_the_recorders_outcome_goes_with_the_episode(tmp_path, convert):
    """Where the cut says nothing."""
    (tmp_path / 'times.csv').write_text('start,end\n0,6\n')
    summary = convert(f'times:{tmp_path / "times.csv"}', [], fields={'outcome': 'failure'})
    assert summary.episode_list[0]['success'] is False
