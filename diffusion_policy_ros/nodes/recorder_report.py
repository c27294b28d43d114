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

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.nodes.status_topics import StatusTopics, write_line

NUMBERS = re.compile(r'[+-]?\d+(\.\d+)?')


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


def episode_facts(episode) -> dict:
    """
    Return the facts of the episode in flight.

    :param episode: An ``Episode``, or None.
    """
    if episode is None:
        return {'bag': '', 'messages': 0}
    minutes = episode.disk.minutes_left
    return {'bag': episode.bag.path, 'messages': episode.bag.message_count,
            'unwritten': episode.waiting_count,
            'seconds': f'{episode.duration_s:.1f}',
            'disk_free_mb': f'{episode.disk.free_bytes / 1e6:.0f}',
            'disk_minutes_left': 'unknown' if minutes is None else f'{minutes:.1f}',
            **alarm_facts(episode.counts()), 'alarms': '; '.join(episode.sentences())}


class RecorderReport:
    """Tells people; ``~/status`` is latched, ``/diagnostics`` holds it and each stream."""

    def __init__(self, node):
        """
        Create the publishers.

        :param node: The node that records.
        """
        self._node = node
        self._topics = StatusTopics(node)
        self._last = DiagnosticStatus.OK, '', {}

    def log(self, event, level):
        """
        Log an event.

        :param event: One sentence.
        :param level: A level of ``DiagnosticStatus``.
        """
        write_line(self._node, level, event)

    def log_now_and_then(self, event, problems):
        """
        Log warnings that go on: each at once, and again after some time, whatever its numbers.

        :param event: What goes on, one sentence.
        :param problems: What is wrong with it, one sentence each.
        """
        for problem in problems:
            self._topics.log(NUMBERS.sub('', problem), DiagnosticStatus.WARN,
                             f'{event}; {problem}')

    def tell(self, event, level, facts):
        """
        Publish the latched status.

        :param event: One sentence.
        :param level: A level of ``DiagnosticStatus``.
        :param facts: Name to value.
        """
        self._last = level, event, {name: str(value) for name, value in facts.items()}
        self._topics.tell(*self._last)

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
            warnings = [*filter(None, [stream.doubt()]), *stream.quality.present(now_ns)]
            level = bad if problem else DiagnosticStatus.WARN if warnings else DiagnosticStatus.OK
            statuses.append((
                stream.topic, level, '; '.join(filter(None, [problem, *warnings])) or 'alive',
                {'rate_hz': f'{stream.rate_hz():.1f}',
                 'age_s': 'never' if age_s is None else f'{age_s:.3f}',
                 **alarm_facts(stream.quality.counts())}))
        self._topics.diagnose(statuses)
