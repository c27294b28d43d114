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

"""What the recorder does and how its streams are: in the log, ~/status and /diagnostics."""

import re
import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.nodes.recorded_stream import doubts
from diffusion_policy_ros.nodes.status_topics import StatusTopics, write_line

# Counts and measures that change while a problem goes on; not the numbers in a topic's name.
MEASURES = re.compile(r'(?<![\w/])([+-]?\d+(\.\d+)?( times| messages?)?|once)(?!\w)')
# How long a word on what just happened stands alone in the status.
ALONE_S = 0.9


def namesake(node) -> str:
    """
    Say that another node answers the same services, an empty string when none does.

    :param node: The node that records.
    """
    own = (node.get_name(), node.get_namespace())
    if node.get_node_names_and_namespaces().count(own) < 2:
        return ''
    return (f'another node is called {node.get_fully_qualified_name()} too, and is asked for '
            'whatever this one is; end one of them')


def alarm_facts(counts) -> dict:
    """
    Return facts that say how often each alarm was raised in this episode, or the last.

    :param counts: Alarm to count.
    """
    return {f'alarm.{name}': str(count) for name, count in sorted(counts.items())}


def episode_facts(episode, number) -> dict:
    """
    Return the facts of the episode in flight.

    :param episode: An ``Episode``, or None.
    :param number: Number of the episode that began last, None where none has.
    """
    known = {'state': 'recording' if episode else 'idle',
             'episode': '' if number is None else number}
    if episode is None:
        return {**known, 'bag': '', 'messages': 0}
    minutes = episode.disk.minutes_left
    return {**known, 'bag': episode.bag.path, 'messages': episode.bag.message_count,
            'unwritten': episode.waiting_count,
            'seconds': f'{episode.duration_s:.1f}', 'pre_roll_s': f'{episode.pre_roll_s:.1f}',
            'disk_free_mb': f'{episode.disk.free_bytes / 1e6:.0f}',
            'disk_minutes_left': 'unknown' if minutes is None else f'{minutes:.1f}',
            **alarm_facts(episode.counts()), 'alarms': '; '.join(episode.sentences())}


class RecorderReport:
    """Tells people; ``~/status`` is latched, ``/diagnostics`` holds it and each stream."""

    def __init__(self, node, facts):
        """
        Create the publishers.

        :param node: The node that records.
        :param facts: Called without arguments; returns name to value, for the status.
        """
        self._node, self._facts = node, facts
        self._topics = StatusTopics(node)
        self._last = DiagnosticStatus.OK, '', {}
        self._told_s = 0.0
        self._event = '', DiagnosticStatus.OK
        self._recording, self._present = '', {}

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing was told lately, so that nothing new would be hidden."""
        return time.monotonic() - self._told_s > ALONE_S

    def note(self, event, level=DiagnosticStatus.OK, *, is_kept=True):
        """
        Log and tell an event.

        :param event: One sentence.
        :param level: A level of ``DiagnosticStatus``.
        :param is_kept: Whether it stays in the status until the next one. A refusal does not: what
            it says is soon no longer so.
        """
        write_line(self._node, level, event)
        if is_kept:
            self._event = event, level
        self._tell(event, level)

    def tell_readiness(self, obstacles, warnings, start):
        """
        Tell, with the last event, whether an episode can begin.

        :param obstacles: Why none can, one sentence each.
        :param warnings: What is no obstacle, but seldom wanted, one sentence each.
        :param start: Name of the service that begins one.
        """
        event, level = self._event
        if obstacles or warnings:
            level = max(level, DiagnosticStatus.WARN)
        ready = ('NOT READY: ' + '; '.join(obstacles) if obstacles
                 else f'ready: {start} begins an episode')
        self._tell('; '.join([event, ready, *warnings]), level, obstacles='; '.join(obstacles),
                   doubts='; '.join(warnings))

    def know(self, recording, problems):
        """
        Take problems as logged.

        :param recording: As for ``tell_recording``.
        :param problems: As for ``tell_recording``.
        """
        self._recording = recording
        self._present = {MEASURES.sub('', text): text for text in problems}

    def tell_recording(self, recording, problems):
        """
        Tell what is being recorded; log which problems have begun, and which are over.

        :param recording: What is being recorded, one sentence.
        :param problems: What is wrong with it now, one sentence each.
        """
        before = self._present if recording == self._recording else {}
        self.know(recording, problems)
        begun = [text for key, text in self._present.items() if key not in before]
        over = [text for key, text in before.items() if key not in self._present]
        if begun:
            write_line(self._node, DiagnosticStatus.WARN, '; '.join([recording, *begun]))
        if over:
            write_line(self._node, DiagnosticStatus.OK, f'{recording}; over: {"; ".join(over)}')
        self._tell('; '.join([recording, *problems]),
                   DiagnosticStatus.WARN if problems else DiagnosticStatus.OK,
                   problems='; '.join(problems))

    def _tell(self, sentence, level, **facts):
        """Publish the latched status."""
        facts = {'last': self._event[0], **self._facts(), **facts}
        self._last = level, sentence, {name: str(value) for name, value in facts.items()}
        self._topics.tell(*self._last)
        self._told_s = time.monotonic()

    def diagnose(self, problems, bad, now_ns):
        """
        Publish the last status and the health of each stream.

        :param problems: Each ``RecordedStream`` and what its ``problem`` said.
        :param bad: Level of a stream that has a problem; an alarm or a doubt is a warning.
        :param now_ns: The ROS time, ns.
        """
        statuses = [('', *self._last)]
        for stream, problem in problems.items():
            age_s = stream.age_s()
            warnings = stream.quality.present(now_ns) or doubts([stream])
            level = bad if problem else DiagnosticStatus.WARN if warnings else DiagnosticStatus.OK
            statuses.append((
                stream.topic, level, '; '.join(filter(None, [problem, *warnings])) or 'alive',
                {'rate_hz': f'{stream.rate_hz():.1f}',
                 'age_s': 'never' if age_s is None else f'{age_s:.3f}',
                 **alarm_facts(stream.quality.counts())}))
        self._topics.diagnose(statuses)
