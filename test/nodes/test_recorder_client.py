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

"""A recorder is waited for as long as it takes to find one that runs, without a middleware."""

from unittest.mock import Mock

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes import recorder_client  # noqa: E402,I100
from diffusion_policy_ros.nodes.recorder_client import DISCOVERY_S, RecorderClient  # noqa: E402


@pytest.fixture
def clock(monkeypatch):
    """Return the time, which is set."""
    found = Mock(monotonic=Mock(return_value=100.0))
    monkeypatch.setattr(recorder_client, 'time', found)
    return found.monotonic


@pytest.fixture
def service():
    """Return a recorder's service that was not found yet."""
    return Mock(srv_name='recorder/start', service_is_ready=Mock(return_value=False))


@pytest.fixture
def node(service):
    """Return a node whose timer is called by hand."""
    return Mock(create_client=Mock(return_value=service))


def look(node):
    """Let the timer fire."""
    node.create_timer.call_args.args[1]()


def test_a_recorder_that_is_found_late_is_asked_then(clock, node, service):
    client, answered = RecorderClient(node), Mock()
    client.ask('start', answered)
    assert client.is_looking()
    clock.return_value += DISCOVERY_S / 2
    look(node)
    answered.assert_not_called()
    service.call_async.assert_not_called()
    service.service_is_ready.return_value = True
    look(node)
    service.call_async.assert_called_once()
    node.destroy_timer.assert_called_once_with(node.create_timer())
    assert not client.is_looking()


def test_where_none_is_found_that_is_said_after_a_while_and_then_at_once(clock, node):
    client, answered = RecorderClient(node), Mock()
    client.ask('start', answered)
    clock.return_value += DISCOVERY_S
    look(node)
    said = False, 'no recorder answers on recorder/start; start one in this namespace'
    answered.assert_called_once_with(*said)
    client.ask('start', answered)
    assert answered.call_args.args == said and answered.call_count == 2
