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
# Between ticks, so that the first row inside is the next one.
INSIDE = [*range(11, 25), *range(31, 45)]  # after the marks at 1.05 s, 2.45 s, 3.05 s and 4.45 s
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
        messages = [(topic, demonstration.streams[topic].type, message, receive_ns - back_ns)
                    for back_ns in passes
                    for topic, message, receive_ns in demonstration.messages(range(60))]
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
    assert summary.outside_rows == 60 - len(INSIDE) and summary.notes == []


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
    assert summary.outside_rows == 60 - 14


def test_a_list_of_times_cuts(tmp_path, convert):
    """From the first message on; a start at a tick takes that tick, an end at a tick does not."""
    (tmp_path / 'times.csv').write_text('start,end,task\n1.1,2.5,first\n3.1,4.5,\n')
    convert(f'times:{tmp_path / "times.csv"}', [])
    assert sum(rows_in(tmp_path / 'dataset'), []) == INSIDE
    assert [e.tasks for e in LeRobotReader(tmp_path / 'dataset').episodes] == [
        ('first',), ('whole',)]


def test_an_episode_that_was_never_stopped_goes_to_the_end(tmp_path, store, convert):
    convert('marker:/episode', markers(store, ['start', 'stop', 'start']))
    assert rows_in(tmp_path / 'dataset') == [INSIDE[:14], list(range(31, 60))]


def test_an_episode_without_rows_is_told(tmp_path, store, convert):
    """And one that is too short."""
    (tmp_path / 'times.csv').write_text('start,end\n1.1,2.5\n3.0,3.3\n9,10\n')
    summary = convert(f'times:{tmp_path / "times.csv"}', [])
    assert rows_in(tmp_path / 'dataset') == [INSIDE[:14]]
    told = ' '.join(summary.notes)
    assert '3 rows left out, fewer than 8' in told
    assert 'the episode that begins at 1700000003.000 s gave no rows' in told
    assert 'the episode that begins at 1700000009.000 s gave no rows' in told


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
