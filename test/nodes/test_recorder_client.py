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
from diffusion_policy_ros.nodes.recorder_client import (  # noqa: E402
    ANSWER_S, DISCOVERY_S, RecorderClient, RecorderTurn)


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


def answer(service, success, message, call=-1):
    """Let the recorder answer what it was asked."""
    tell = service.call_async.return_value.add_done_callback.call_args_list[call].args[0]
    tell(Mock(result=Mock(return_value=Mock(success=success, message=message))))


def test_a_recorder_that_died_with_a_question_is_told_once_and_can_be_asked_again(
        clock, node, service):
    service.service_is_ready.return_value = True
    turn = RecorderTurn(node, record=True)
    assert turn.take() is None
    turn.ask('start')
    clock.return_value += ANSWER_S - 1
    assert turn.take() is None
    clock.return_value += 1
    assert turn.take() == (False, 'it has not answered for 30 s; see whether it still runs')
    assert turn.take() is None
    turn.ask('start')
    answer(service, True, 'recording')
    assert turn.take() == (True, 'recording') and turn.take() is None
    clock.return_value += 2 * ANSWER_S
    assert turn.take() is None


def test_an_answer_that_comes_late_counts_once_and_not_for_another_question(
        clock, node, service):
    service.service_is_ready.return_value = True
    turn = RecorderTurn(node, record=True)
    turn.ask('start')
    clock.return_value += ANSWER_S
    assert turn.take()[0] is False
    turn.ask('start')
    answer(service, True, 'recording', call=0)
    assert turn.take() == (True, 'recording')
    turn.ask('stop')
    answer(service, False, 'is being recorded', call=1)
    assert turn.take() is None
    answer(service, True, 'saved', call=2)
    assert turn.take() == (True, 'saved')


def test_where_no_recorder_is_wanted_the_answer_is_yes(node):
    turn = RecorderTurn(node, record=False)
    turn.ask('start')
    assert turn.take() == (True, '') and turn.take() is None
