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

"""Cut a recording into episodes: by services, a marker topic, a button or a list of times."""

from dataclasses import dataclass, replace
from pathlib import Path

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.data.conversion.cut_times import read_times
from diffusion_policy_ros.errors import BagError, ConfigError

KINDS = ('services:PREFIX', 'marker:TOPIC', 'joy:TOPIC:BUTTON', 'times:FILE')
MARKER_TYPES = ('std_msgs/msg/Bool', 'std_msgs/msg/String', 'std_msgs/msg/Empty')
JOY = 'sensor_msgs/msg/Joy'
EVENT_SUFFIX = '/_service_event'
MAX_BUTTON = 999
# Ten days after 1970: a time from here on is of a wall clock, not of a simulation.
WALL_TIME_NS = 10**15
# What the last part of a service's name begins with, the recorder node's among them.
SERVICE_WORDS = {'start': ('start', 'begin'),
                 'stop': ('stop', 'end', 'save', 'finish', 'success', 'fail'),
                 'drop_last': ('discard_last',), 'drop': ('discard', 'cancel', 'abort')}
# What a marker says, as word of ``find_spans`` and success.
MARKER_WORDS = {('start', None): ('start', 'begin', 'true', 'on', '1'),
                ('stop', None): ('stop', 'end', 'false', 'off', '0'),
                ('stop', True): ('success', 'succeeded'),
                ('stop', False): ('fail', 'failure', 'failed'),
                ('drop', None): ('discard', 'cancel', 'abort')}
# service_msgs/msg/ServiceEventInfo: the server has answered, the client has the answer.
ANSWERS = (2, 3)


@dataclass(frozen=True)
class Span:
    """
    One episode of a recording: the ticks from its start on, up to but without its end.

    :ivar start_ns: First moment, ns.
    :ivar end_ns: First moment after it, ns; None goes on to the end of the recording.
    :ivar task: Task sentence, '' for that of the recording.
    :ivar success: True, False, or None where nobody said.
    :ivar dropped: The demonstrator discarded it.
    :ivar number: Its number in the recording, from 1; None where that is not cut.
    """

    start_ns: int
    end_ns: int = None
    task: str = ''
    success: bool = None
    dropped: bool = False
    number: int = None


@dataclass(frozen=True)
class Cut:
    """
    How recordings are cut.

    :ivar text: As the user wrote it.
    :ivar kind: ``services``, ``marker``, ``joy`` or ``times``.
    :ivar topic: Topic, or the prefix of services.
    :ivar button: Index of a joystick's button.
    :ivar times: For ``times``: ``cut_times.Times`` in the order of time.
    """

    text: str
    kind: str
    topic: str = ''
    button: int = 0
    times: tuple = ()


def parse_cut(text) -> Cut:
    """
    Read what the user asks for.

    :param text: One of ``KINDS``, such as ``marker:/episode`` or ``joy:/joy:7``.
    :return: The ``Cut``; a list of times is read from its file.
    :raises ConfigError: if it is none of them, or the file is wrong.
    """
    kind, _, rest = text.partition(':')
    if kind == 'times' and rest:
        return Cut(text, kind, times=read_times(Path(rest)))
    topic, _, button = rest.partition(':')
    if kind == 'joy' and topic and button.isascii() and button.isdigit() \
            and int(button) <= MAX_BUTTON:
        return Cut(text, kind, topic, int(button))
    if kind in ('services', 'marker') and topic and not button:
        return Cut(text, kind, topic)
    raise ConfigError(f'cut is {shown(text)}; it must be one of {", ".join(KINDS)}, such as '
                      'marker:/episode or joy:/joy:7')


def mark_topics(cut, recorded) -> dict:
    """
    Return the topics whose messages tell where to cut.

    :param cut: The ``Cut``.
    :param recorded: ``{recorded topic: message type}``.
    :return: The same for those topics; empty for a list of times.
    :raises BagError: if there is none, or it is of a type that tells nothing.
    """
    if cut.kind == 'times':
        return {}
    wanted = '/' + cut.topic.strip('/')
    if cut.kind == 'services':
        found = {topic: kind for topic, kind in recorded.items()
                 if topic.endswith(EVENT_SUFFIX) and f'/{topic.lstrip("/")}'.startswith(
                     f'{wanted.rstrip("/")}/') and _service_word(topic)}
        missing = f'service events of start and stop services below {wanted}'
    else:
        found = {topic: kind for topic, kind in recorded.items()
                 if '/' + topic.lstrip('/') == wanted}
        missing = f'topic {wanted}'
    if not found:
        raise BagError(f'it cannot be cut by {cut.text}: no {missing} in it; it has: '
                       f'{", ".join(sorted(recorded)) or "no topics"}')
    usable = {'marker': MARKER_TYPES, 'joy': (JOY,)}.get(cut.kind)
    for topic, kind in found.items():
        if usable and kind not in usable:
            raise BagError(f'it cannot be cut by {cut.text}: topic {topic} carries {kind}, '
                           f'{" or ".join(usable)} is needed')
    return found


def find_spans(messages, cut) -> list:
    """
    Find the episodes that marks make.

    A start inside an episode and a stop outside of one change nothing; ``discard_last`` drops the
    episode that ended last, ``discard`` the present one. Services count when they
    are answered, and not where the answer is a refusal. A button and an empty marker begin and end
    in turn.

    :param messages: Iterable of ``(topic, message, receive_ns)`` of the mark topics in the order
        of arrival; only attributes of the messages are read.
    :param cut: The ``Cut``, of any kind but ``times``.
    :return: List of ``Span`` in the order of time; the last one may have no end.
    :raises BagError: if a message tells nothing that can be understood.
    """
    words = {'services': _service_words, 'marker': _marker_words, 'joy': _button_words}
    spans, start_ns = [], None
    for word, receive_ns, success in words[cut.kind](messages, cut):
        is_start = word == 'start' or word == 'toggle' and start_ns is None
        if is_start:
            start_ns = receive_ns if start_ns is None else start_ns
        elif word == 'drop_last':
            _drop_last(spans)
        elif start_ns is not None:
            if receive_ns > start_ns:
                spans.append(Span(start_ns, receive_ns, success=success, dropped=word == 'drop'))
            start_ns = None
    return spans if start_ns is None else [*spans, Span(start_ns)]


def time_spans(cut, first_ns, last_ns) -> list:
    """
    Return the episodes of a list of times that belong to a recording.

    :param cut: A ``Cut`` of the kind ``times``.
    :param first_ns: Arrival of its first message, ns.
    :param last_ns: Arrival of its last one, ns.
    :return: List of ``Span`` in the order of time. Of absolute times, which may be those of
        several recordings, the ones that lie in this one.
    :raises BagError: if there is none, or absolute times are not in ns.
    """
    spans = [Span(t.start_ns(first_ns), t.end_ns(first_ns), t.task, t.success)
             for t in cut.times]
    if not cut.times[0].is_absolute:
        return spans
    start = cut.times[0].start
    if start < WALL_TIME_NS <= first_ns:
        raise BagError(f'it cannot be cut by {cut.text}: {start} is taken for ns, and the '
                       f'recording begins at {first_ns} ns; write absolute times in ns, or '
                       f'seconds from the beginning{_as_seconds(start, first_ns)}')
    found = [span for span in spans if span.start_ns <= last_ns and span.end_ns > first_ns]
    if not found:
        raise BagError(f'it cannot be cut by {cut.text}: none of its {len(spans)} episodes lies '
                       f'between {first_ns} and {last_ns} ns, where its messages are')
    return found


def about_times(cut, found, bags) -> list:
    """
    Say of a list of times what no single recording tells.

    :param cut: The ``Cut``, of any kind.
    :param found: How many episodes were found in all recordings.
    :param bags: How many recordings there are.
    :return: Sentences: that each of several was cut alike, or how many episodes no one has.
    """
    if cut.kind != 'times':
        return []
    number = len(cut.times)
    if not cut.times[0].is_absolute:
        return [f'{cut.text} is in seconds: its {number} episodes are cut out of each of the '
                f'{bags} bags'] if bags > 1 else []
    left = number - found
    return [f'{left} of the {number} episodes of {cut.text} lie in no bag that was read'] \
        if left > 0 else []


def _as_seconds(start, first_ns):
    """Say what a time in seconds since 1970 is from the beginning; nothing where it is none."""
    since_s = start - first_ns / 1e9
    return f', {since_s:.3f} in place of {start}' if 0 <= since_s < 1e6 else ''


def _drop_last(spans):
    """Drop the episode that was kept last."""
    kept = [index for index, span in enumerate(spans) if not span.dropped]
    for index in kept[-1:]:
        spans[index] = replace(spans[index], dropped=True)


def _marker_words(messages, cut):
    """Read a Bool, String or Empty as (word, receive_ns, success)."""
    for topic, message, receive_ns in messages:
        said = getattr(message, 'data', None)
        word, success = ('toggle', None) if said is None \
            else _marker_word(str(said).strip().lower())
        if word is None:
            raise BagError(f'it cannot be cut by {cut.text}: topic {topic} says {shown(said)}; '
                           'start, stop, success, fail or discard is needed')
        yield word, receive_ns, success


def _button_words(messages, cut):
    """Turn each rising edge of the button into a toggle; one held from the beginning is none."""
    before = 1
    for topic, message, receive_ns in messages:
        if cut.button >= len(message.buttons):
            raise BagError(f'it cannot be cut by {cut.text}: topic {topic} has '
                           f'{len(message.buttons)} buttons, counted from 0')
        pressed = message.buttons[cut.button]
        if pressed and not before:
            yield 'toggle', receive_ns, None
        before = pressed


def _service_words(messages, cut):
    """Read each answered call of a start or stop service once."""
    del cut
    seen = set()
    for topic, message, receive_ns in messages:
        info = message.info
        call = topic, bytes(bytearray(info.client_gid)), info.sequence_number
        if info.event_type not in ANSWERS or call in seen:
            continue
        seen.add(call)
        if all(getattr(answer, 'success', True) for answer in message.response):
            name = _service(topic)
            success = True if 'success' in name else False if 'fail' in name else None
            yield _service_word(topic), receive_ns, success


def _service(topic):
    """Return the last part of a service's name from the topic of its events."""
    return topic.removesuffix(EVENT_SUFFIX).rsplit('/', 1)[-1].lower()


def _service_word(topic):
    """Tell what a service does, None for nothing to an episode."""
    name = _service(topic)
    return next((w for w, found in SERVICE_WORDS.items() if name.startswith(found)), None)


def _marker_word(text):
    """Tell what a marker says: start, stop or drop, and success; None where it is nothing."""
    return next((w for w, found in MARKER_WORDS.items() if text in found), (None, None))
