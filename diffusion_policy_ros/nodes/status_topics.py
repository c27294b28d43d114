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
"""How a node tells people of its state: on a latched topic, in /diagnostics and in the log."""

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from diffusion_policy_ros.nodes import qos

# Shortest time between two log lines about the same.
LOG_PERIOD_S = 2.0


def write_line(node, level, text) -> None:
    """
    Write a line into a node's log.

    :param node: The node.
    :param level: Level of ``DiagnosticStatus``.
    :param text: One sentence.
    """
    # One line each: rclpy refuses another severity from the same line.
    if level == DiagnosticStatus.OK:
        node.get_logger().info(text)
    elif level == DiagnosticStatus.WARN:
        node.get_logger().warning(text)
    else:
        node.get_logger().error(text)


class StatusTopics:
    """The publishers of one node's state; they work in every lifecycle state."""

    def __init__(self, node):
        """
        Create the publishers.

        :param node: The node that reports.
        """
        self._node = node
        self._logged_s = {}
        # Plain publishers, not lifecycle ones: people need them most while nothing is active.
        self._status = node.create_publisher(DiagnosticStatus, '~/status', qos.STATUS)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', qos.EVENTS)

    def log(self, key, level, text):
        """
        Write a line, unless there was one about the same in the last ``LOG_PERIOD_S``.

        :param key: What it is about.
        :param level: Level of ``DiagnosticStatus``.
        :param text: One sentence.
        """
        now_s = time.monotonic()
        self._logged_s = {about: logged_s for about, logged_s in self._logged_s.items()
                          if now_s - logged_s < LOG_PERIOD_S}
        if key in self._logged_s:
            return
        self._logged_s[key] = now_s
        write_line(self._node, level, text)

    def tell(self, level, text, facts):
        """
        Publish the latched status.

        :param level: Level of ``DiagnosticStatus``.
        :param text: One sentence.
        :param facts: Name to text.
        """
        self._status.publish(self._message('', level, text, facts))

    def diagnose(self, statuses):
        """
        Publish on /diagnostics.

        :param statuses: For each status: section of the node, empty for the node itself; level;
            one sentence; facts (name to text).
        """
        array = DiagnosticArray(status=[self._message(*status) for status in statuses])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _message(self, section, level, text, facts):
        """Fill a status message."""
        full_name = self._node.get_fully_qualified_name()
        name = full_name.lstrip('/')  # with the namespace: viewers tell two robots by it
        return DiagnosticStatus(
            level=level, name=f'{name}: {section}' if section else name, message=text,
            hardware_id=full_name,
            values=[KeyValue(key=key, value=value) for key, value in facts.items()])
