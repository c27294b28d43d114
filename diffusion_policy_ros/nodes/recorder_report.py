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

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.nodes.status_topics import StatusTopics

LOG_PERIOD_S = 5.0


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


class RecorderReport:
    """Tells people; ``~/status`` is latched, ``/diagnostics`` holds it and each stream."""

    def __init__(self, node):
        """
        Create the publishers.

        :param node: The node that records.
        """
        self._node = node
        self._topics = StatusTopics(node)
        self._last = (DiagnosticStatus.OK, '', {})

    def log(self, event, level):
        """
        Log an event.

        :param event: One sentence.
        :param level: A level of ``DiagnosticStatus``.
        """
        logger = self._node.get_logger()
        if level == DiagnosticStatus.OK:
            logger.info(event)
        elif level == DiagnosticStatus.WARN:
            logger.warning(event)
        else:
            logger.error(event)

    def log_now_and_then(self, event):
        """
        Log a warning that goes on.

        :param event: One sentence.
        """
        self._node.get_logger().warning(event, throttle_duration_sec=LOG_PERIOD_S)

    def tell(self, event, level, facts):
        """
        Publish the latched status.

        :param event: One sentence.
        :param level: A level of ``DiagnosticStatus``.
        :param facts: Name to value.
        """
        self._last = level, event, {name: str(value) for name, value in facts.items()}
        self._topics.tell(*self._last)

    def diagnose(self, problems, bad):
        """
        Publish the last status and the health of each stream.

        :param problems: Each ``RecordedStream`` and what its ``problem`` said.
        :param bad: Level of a stream that has a problem.
        """
        statuses = [('', *self._last)]
        for stream, problem in problems.items():
            age_s = stream.age_s()
            statuses.append((
                stream.topic, bad if problem else DiagnosticStatus.OK, problem or 'alive',
                {'rate_hz': f'{stream.rate_hz():.1f}',
                 'age_s': 'never' if age_s is None else f'{age_s:.3f}'}))
        self._topics.diagnose(statuses)
