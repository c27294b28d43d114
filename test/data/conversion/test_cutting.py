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

"""Recordings are cut where the marks say, whatever else they say."""

from types import SimpleNamespace as Namespace

from diffusion_policy_ros.data.conversion.cutting import (
    find_spans, mark_topics, parse_cut, Span, time_spans)
from diffusion_policy_ros.errors import BagError, ConfigError
from hypothesis import given
from hypothesis import strategies as st
import pytest


def marker(value):
    """Make a Bool, String or Empty."""
    return Namespace() if value is None else Namespace(data=value)


def is_inside(spans, tick):
    """Tell whether a tick belongs to an episode."""
    return any(s.start_ns <= tick and (s.end_ns is None or tick < s.end_ns) for s in spans)


def stream(messages, topic='/m'):
    """Let messages arrive one nanosecond after another, from 10 on."""
    return [(topic, message, 10 + k) for k, message in enumerate(messages)]


def event(kind, number, success=(True,), client=1):
    """Make a Trigger service event."""
    return Namespace(
        info=Namespace(event_type=kind, client_gid=[client] * 16, sequence_number=number),
        request=[], response=[Namespace(success=answer) for answer in success])


def service(*calls):
    """Make the stream of calls (name, event)."""
    return [(f'/recorder/{name}/_service_event', message, 10 + k)
            for k, (name, message) in enumerate(calls)]


@given(st.lists(st.booleans(), max_size=30))
def test_a_bool_marker_covers_the_ticks_at_which_it_was_last_true(values):
    """Compared tick by tick with the newest value, as anybody would read the recording."""
    spans = find_spans(stream(map(marker, values)), parse_cut('marker:/m'))
    for tick in range(8, 44):
        past = [value for k, value in enumerate(values) if 10 + k <= tick]
        assert is_inside(spans, tick) == bool(past and past[-1])


@given(st.lists(st.integers(0, 1), max_size=30))
def test_each_rising_edge_of_a_button_begins_or_ends_an_episode(pressed):
    """The ticks inside are those after an odd number of edges."""
    spans = find_spans(stream([Namespace(buttons=[0, p]) for p in pressed], '/joy'),
                       parse_cut('joy:/joy:1'))
    for tick in range(8, 44):
        edges = sum(b > a for k, (a, b) in enumerate(zip(pressed, pressed[1:]))
                    if 11 + k <= tick)
        assert is_inside(spans, tick) == (edges % 2 == 1)


def test_texts_start_stop_and_discard():
    """In any case; repetition changes nothing, and the last one may stay open."""
    said = ['stop', 'Start', 'start', ' end', 'begin', 'discard', 'stop', 'ON']
    assert find_spans(stream(map(marker, said)), parse_cut('marker:/m')) == [
        Span(11, 13), Span(14, 15, dropped=True), Span(17)]


def test_a_text_may_end_an_episode_as_success_or_failure():
    said = ['success', 'start', 'Success', 'start', 'failed', 'start', 'stop']
    assert find_spans(stream(map(marker, said)), parse_cut('marker:/m')) == [
        Span(11, 12, success=True), Span(13, 14, success=False), Span(15, 16)]


def test_empty_messages_begin_and_end_in_turn():
    assert find_spans(stream([marker(None)] * 5), parse_cut('marker:m')) == [
        Span(10, 11), Span(12, 13), Span(14)]


def test_a_text_that_says_neither_is_refused():
    with pytest.raises(BagError, match="topic /m says 'banana'; start, stop, success, fail or"):
        find_spans(stream([marker('start'), marker('banana')]), parse_cut('marker:/m'))


def test_a_button_that_is_not_there_is_refused():
    with pytest.raises(BagError, match='topic /joy has 2 buttons, counted from 0'):
        find_spans(stream([Namespace(buttons=[0, 0])], '/joy'), parse_cut('joy:/joy:2'))


def test_services_count_when_they_are_answered_and_once():
    """The server tells of the answer, and so does the client."""
    calls = [('start', event(1, 1, ())), ('start', event(2, 1)), ('start', event(3, 1)),
             ('stop', event(1, 7, ())), ('stop', event(2, 7)),
             ('start', event(2, 2, client=2)), ('discard', event(2, 3)),
             ('start', event(2, 4)), ('stop_success', event(2, 5)),
             ('begin_episode', event(2, 6)), ('stop_failure', event(2, 8))]
    assert find_spans(service(*calls), parse_cut('services:/recorder')) == [
        Span(11, 14), Span(15, 16, dropped=True), Span(17, 18, success=True),
        Span(19, 20, success=False)]


def test_the_recorders_own_services_are_understood():
    """Success and fail end an episode, discard_last drops the one before."""
    calls = [('start', event(2, 1)), ('success', event(2, 2)), ('start', event(2, 3)),
             ('fail', event(2, 4)), ('start', event(2, 6)), ('discard', event(2, 7)),
             ('discard_last', event(2, 5)), ('convert', event(2, 8))]
    recorded = {topic: 'std_srvs/srv/Trigger_Event' for topic, _, _ in service(*calls)}
    cut = parse_cut('services:/recorder')
    assert len(mark_topics(cut, recorded)) == 5
    assert find_spans([m for m in service(*calls) if m[0] in mark_topics(cut, recorded)], cut) == [
        Span(10, 11, success=True), Span(12, 13, success=False, dropped=True),
        Span(14, 15, dropped=True)]


def test_a_service_that_was_refused_did_not_happen():
    """As when a stream was silent; without recorded contents an answer counts."""
    calls = [('start', event(2, 1, (False,))), ('start', event(2, 2, ())),
             ('stop', event(2, 3, (False,))), ('stop', event(2, 4))]
    assert find_spans(service(*calls), parse_cut('services:recorder/')) == [Span(11, 13)]


def test_the_topics_of_marks_are_found_in_the_recording():
    recorded = {'/recorder/start/_service_event': 'a', '/recorder/stop/_service_event': 'b',
                '/recorder/convert/_service_event': 'c', '/other/start/_service_event': 'd',
                '/episode': 'std_msgs/msg/Bool', '/joy': 'sensor_msgs/msg/Joy'}
    assert mark_topics(parse_cut('services:/recorder'), recorded) == {
        '/recorder/start/_service_event': 'a', '/recorder/stop/_service_event': 'b'}
    assert len(mark_topics(parse_cut('services:/'), recorded)) == 3
    assert mark_topics(parse_cut('marker:episode'), recorded) == {'/episode': 'std_msgs/msg/Bool'}
    assert mark_topics(parse_cut('joy:/joy:0'), recorded) == {'/joy': 'sensor_msgs/msg/Joy'}
    with pytest.raises(BagError, match='no topic /nothing in it; it has: /episode, /joy'):
        mark_topics(parse_cut('marker:/nothing'), recorded)
    with pytest.raises(BagError, match='no service events of start and stop services below /x'):
        mark_topics(parse_cut('services:/x'), recorded)
    with pytest.raises(BagError, match='/joy carries sensor_msgs/msg/Joy, std_msgs/msg/Bool or '):
        mark_topics(parse_cut('marker:/joy'), recorded)
    with pytest.raises(BagError, match='/episode carries std_msgs/msg/Bool, sensor_msgs/msg/Joy'):
        mark_topics(parse_cut('joy:/episode:0'), recorded)


@pytest.mark.parametrize('text', [
    '', 'marker', 'marker:', 'joy:/joy', 'joy:/joy:x', 'joy:/joy:-1', 'joy::1', 'joy:/joy:1000',
    'marker:/a:3', 'times:', 'gap:/a', 'joy:/joy:²'])
def test_what_is_no_cut_is_refused_with_the_possibilities(text):
    with pytest.raises(ConfigError, match='services:PREFIX, marker:TOPIC, joy:TOPIC:BUTTON, time'):
        parse_cut(text)


def test_times_count_from_the_beginning_or_absolutely(tmp_path):
    """Seconds, or the nanoseconds of the bag's own clock to the last digit."""
    (tmp_path / 'a.csv').write_text('start, end\n10, 12.5\n1.5,3\n', encoding='utf-8-sig')
    cut = parse_cut(f'times:{tmp_path / "a.csv"}')
    assert time_spans(cut, 1000, 2000) == [Span(1_500_001_000, 3_000_001_000),
                                           Span(10_000_001_000, 12_500_001_000)]
    (tmp_path / 'b.yaml').write_text(
        '- {start: 1700000000123456789, end: 1700000001000000001, task: Pick., success: true}')
    cut = parse_cut(f'times:{tmp_path / "b.yaml"}')
    assert time_spans(cut, 1700000000 * 10**9, 1700000009 * 10**9) == [
        Span(1700000000123456789, 1700000001000000001, 'Pick.', True)]


def test_absolute_times_of_several_recordings_belong_each_to_its_own(tmp_path):
    """The first ends with its last message, the second begins before its first one."""
    (tmp_path / 'a.csv').write_text('start,end\n' + ''.join(
        f'{1_700_000_000_000_000_000 + k * 100},{1_700_000_000_000_000_050 + k * 100}\n'
        for k in range(4)))
    cut = parse_cut(f'times:{tmp_path / "a.csv"}')
    at_ns = 1_700_000_000_000_000_000
    assert [(s.start_ns - at_ns, s.end_ns - at_ns) for s in time_spans(cut, at_ns, at_ns + 100)] \
        == [(0, 50), (100, 150)]
    assert [s.start_ns - at_ns for s in time_spans(cut, at_ns + 249, at_ns + 900)] == [200, 300]
    with pytest.raises(BagError, match='none of its 4 episodes lies between 17.*350 and 17.*900 '):
        time_spans(cut, at_ns + 350, at_ns + 900)


def test_epoch_seconds_are_refused(tmp_path):
    """`ros2 bag info` prints them; where the clock is a simulation's, small times are right."""
    (tmp_path / 'a.csv').write_text('start,end\n1700000001.0,1700000002.0\n')
    cut = parse_cut(f'times:{tmp_path / "a.csv"}')
    said = ('1700000001.0 is taken for ns, and the recording begins at 1700000000000000000 ns; '
            'write absolute times in ns, or seconds from the beginning, 1.000 in place of 17')
    with pytest.raises(BagError, match=said):
        time_spans(cut, 1_700_000_000_000_000_000, 1_700_000_009_000_000_000)
    assert time_spans(cut, 0, 10**10) == [Span(1700000001, 1700000002)]


def test_a_list_of_times_says_task_and_success_where_it_likes(tmp_path):
    (tmp_path / 'a.csv').write_text('start,end,task,success\n1,2,"Pick, then place.",yes\n3,4,,\n'
                                    '5,6,,failure\n')
    found = parse_cut(f'times:{tmp_path / "a.csv"}').times
    assert [(t.task, t.success) for t in found] == [
        ('Pick, then place.', True), ('', None), ('', False)]


@pytest.mark.parametrize('name, text, match', [
    ('a.yaml', '[]', 'holds no episode'),
    ('a.yaml', '{start: 1}', 'holds no episode'),
    ('a.yaml', '- 7', 'is no episode of start, end, task, success'),
    ('a.yaml', '- {start: 1, end: 2, until: 3}', 'episode 0: .* is no episode of'),
    ('a.yaml', '- {start: 2, end: 1}', 'from 2 to 1; start and end must be'),
    ('a.yaml', '- {start: 1}', 'from 1 to None'),
    ('a.yaml', '- {start: -1, end: 1}', 'from -1 to 1'),
    ('a.yaml', '- {start: .nan, end: 1}', 'must be numbers'),
    ('a.yaml', '- {start: 1, end: 1700000000000000000}', 'both s from the beginning or both abs'),
    ('a.yaml', '- {start: 1, end: 3}\n- {start: 2, end: 4}', 'from 2 begins before the one f'),
    ('a.yaml', '- {start: 1, end: 2}\n- {start: 1700000000000000000, end: 1700000000000000001}',
     'mixes seconds'),
    ('a.yaml', '- {start: 1, end: 2, task: 7}', 'task is 7'),
    ('a.yaml', '- {start: 1, end: 2, task: "\\ud800"}', r"'\\ud800'; it must be a sent"),
    ('a.yaml', '- {start: 1, end: 2, success: maybe}', "success is 'maybe'"),
    ('a.yaml', '- {start', 'a.yaml'),
    ('a.csv', '1,2\n', "the first line of .* is '1,2'"),
    ('a.csv', 'start,end\nx,2\n', "from 'x' to 2"),
    ('a.csv', '', "the first line of .* is ''"),
])
def test_a_wrong_list_of_times_is_refused(tmp_path, name, text, match):
    """With the file, the entry and what is needed."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=match):
        parse_cut(f'times:{tmp_path / name}')
    with pytest.raises(ConfigError, match='cannot be read'):
        parse_cut(f'times:{tmp_path / "absent.csv"}')
