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
from diffusion_policy_ros.nodes.diagnostics import StatusReporter  # noqa: E402,I100


class Node:
    """Stands in for a node: keeps what would be published and logged."""

    def __init__(self):
        self.statuses, self.logs = [], []

    def create_publisher(self, message_type, topic, profile):
        heard = self.statuses if topic == '~/status' else []
        return SimpleNamespace(publish=heard.append)

    def get_logger(self):
        return SimpleNamespace(warning=self.logs.append, info=self.logs.append)

    def get_name(self):
        return 'server'

    def get_fully_qualified_name(self):
        return '/server'


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
