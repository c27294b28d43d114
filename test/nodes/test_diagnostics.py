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

"""What people are told: the most important reason, soon, and not again and again."""

from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.control.safety.emergency import EmergencyStop  # noqa: E402
from diffusion_policy_ros.control.safety.reason import Reason  # noqa: E402
from diffusion_policy_ros.nodes.diagnostics import StatusReporter  # noqa: E402
from diffusion_policy_ros.nodes.safety_status import activity, SafetyStatus  # noqa: E402
from rclpy.clock import Clock  # noqa: E402


class Node:
    """Stands in for a node: keeps what would be published and logged."""

    def __init__(self):
        self.statuses, self.arrays, self.logs = [], [], []
        self.namespace = ''

    def create_publisher(self, message_type, topic, profile):
        heard = {'~/status': self.statuses, '/diagnostics': self.arrays}[topic]
        return SimpleNamespace(publish=heard.append)

    def get_logger(self):
        return SimpleNamespace(warning=self.logs.append, info=self.logs.append,
                               error=self.logs.append)

    def get_clock(self):
        return Clock()

    def get_fully_qualified_name(self):
        return f'{self.namespace}/server'


@pytest.fixture
def node():
    return Node()


@pytest.fixture
def status(node):
    return StatusReporter(node)


def test_every_lifecycle_text_goes_out_however_soon(node, status):
    for text in ('unconfigured', 'unconfigured: no folder', 'inactive'):
        status.block('lifecycle', text)
    assert [s.message for s in node.statuses] == [
        'unconfigured', 'unconfigured: no folder', 'inactive']


def test_a_reason_that_is_stated_again_and_again_goes_out_now_and_then(node, status):
    for age in range(100):
        status.block('observation', f'camera is {age} s old')
    assert len(node.statuses) == len(node.logs) == 1
    status.block('clock', 'the clock jumped')
    assert node.statuses[-1].message == 'the clock jumped'


def test_a_flapping_reason_does_not_flood_the_log(node, status):
    for _ in range(50):
        status.block('plan', 'late')
        status.clear('plan')
    assert node.logs == ['not commanding: late', 'commanding']
    assert len(node.statuses) == 100 and node.statuses[-1].message == 'commanding'


def test_that_it_starts_anew_is_told_rather_than_that_a_plan_was_late_before(node, status):
    status.block('plan', 'late')
    status.block('start', 'waiting for the first plan')
    assert status.reason == 'waiting for the first plan'
    assert node.logs[-1] == 'not commanding: waiting for the first plan'
    assert node.statuses[-1].level == DiagnosticStatus.WARN


@pytest.mark.parametrize('namespace, name', [
    ('', 'server: inputs'), ('/left', 'left/server: inputs')])
def test_the_names_in_diagnostics_tell_two_robots_apart(node, namespace, name):
    node.namespace = namespace
    StatusReporter(node).publish_diagnostics({'inputs': {}})
    assert node.arrays[0].status[0].name == name


@pytest.mark.parametrize('source, count', [
    ('controller', 2), ('publishers', 2), ('measured', 1)])
def test_the_log_tells_what_blocks_whenever_it_changes_and_counts_no_seconds(node, source, count):
    status = SafetyStatus(node, EmergencyStop(), dict)
    for text in ('waits for an answer', 'waits for an answer', 'takes them in another order'):
        guard = SimpleNamespace(state='HOLDING', reason=Reason(source, text))
        status.update(*activity(guard))
    assert len(node.logs) == len(node.statuses) == count
    assert ('another order' in node.logs[-1]) == (count == 2)


def test_an_emergency_stop_shows_in_states_without_a_guard(node):
    emergency = EmergencyStop()
    status = SafetyStatus(node, emergency, dict)
    status.start_over('inactive')
    emergency.trip('a test')
    status.show_emergency()
    status.start_over('unconfigured')
    emergency.rearm()
    status.show_emergency()
    status.update(('FOLLOWING',), DiagnosticStatus.OK, 'FOLLOWING')
    emergency.trip('a test')
    status.show_emergency()  # the guard tells it at its next tick
    assert [(s.level, s.message) for s in node.statuses] == [
        (DiagnosticStatus.OK, 'inactive'),
        (DiagnosticStatus.ERROR, 'inactive; with an emergency stop by a test'),
        (DiagnosticStatus.ERROR, 'unconfigured; with an emergency stop by a test'),
        (DiagnosticStatus.OK, 'unconfigured'), (DiagnosticStatus.OK, 'FOLLOWING')]
