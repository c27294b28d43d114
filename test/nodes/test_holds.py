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

"""What the policy server does after a hold, and while a plan is in doubt."""

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diffusion_policy_ros.errors import ChunkError  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos, reasons  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

DOMAIN_ID = 71


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_when_ticks_were_missed_the_robot_goes_on_with_the_first_row_of_a_new_plan(
        peer, server, monkeypatch):
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    server.activate()
    server.until_commands(3)
    loop = peer.server_node.loop
    look, missed = loop._look, []
    monkeypatch.setattr(loop, '_look', missed.append)
    server.until_status('no tick was looked at')
    peer.until(lambda: len(missed) > 10, 'ticks that nobody looks at')
    last = server.commands[-1]
    plans.clear()
    monkeypatch.setattr(loop, '_look', look)
    server.until_commands(1)
    peer.until(lambda: plans, 'a plan')
    first = next(c for c in server.commands if stamp_ns(c) > stamp_ns(last))
    assert stamp_ns(first) == stamp_ns(plans[0])
    assert list(first.position) == list(plans[0].points[0].positions)


def test_what_stopped_the_clock_is_not_told_any_more_once_it_runs(peer, server):
    server.activate()
    server.until_commands(3)
    loop = peer.server_node.loop
    monitored = peer.server_node._status
    monitored.block('clock', reasons.CLOCK_STANDS)
    loop.builder.look = None  # what calls it fails: there is another reason now
    peer.until(lambda: not monitored.blocked_by('clock'), 'a tick')
    server.until_status('not callable')


def test_one_observation_is_planned_from_once_however_doubtful_the_plan(
        peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)
    assert server.set('num_candidates', 2).successful
    assert server.set('replan', 'continuous').successful
    worker, asked = peer.server_node.loop.worker, []
    submit = worker.submit
    monkeypatch.setattr(worker, 'submit', lambda request, *done: (
        asked.append(request.tick_ns), submit(request, *done)))
    assert server.set('max_spread', 1e-6).successful
    server.until_status('the policy is not sure')
    asked.clear()
    peer.until(lambda: len(asked) > 15, 'plans that are all in doubt')
    assert len(asked) == len(set(asked))


def test_one_plan_within_the_limits_does_not_end_a_hold(peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)
    assert server.set('num_candidates', 2).successful
    assert server.set('max_spread', 1e-6).successful
    server.until_status('the policy is not sure:')
    gate, said = peer.server_node.loop._gate, []
    judge = gate.objection
    monkeypatch.setattr(gate, 'objection', lambda *plan: said.append(judge(*plan)) or said[-1])
    assert server.set('max_spread', 1000.0).successful
    server.until_status('commanding')
    waiting = [text for text in said if 'still needed' in text]
    assert [text[-1] for text in waiting] == ['4', '3', '2', '1']
    assert said[said.index(waiting[-1]) + 1] == ''


def test_an_error_while_a_plan_is_taken_over_is_told(peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)

    def fail(*arguments):
        raise RuntimeError('no place for a plan')

    with monkeypatch.context() as broken:
        broken.setattr(peer.server_node.loop._plans, 'take_over', fail)
        server.until_status('inference failed', 'no place for a plan')
    server.until_status('commanding')


@pytest.mark.parametrize('transition', [
    'ACTIVATE', pytest.param('DEACTIVATE', marks=pytest.mark.slow)])
def test_an_error_in_a_transition_is_logged_and_the_node_can_be_configured_again(
        peer, server, monkeypatch, capfd, transition):
    assert server.change('CONFIGURE')
    if transition == 'DEACTIVATE':
        assert server.change('ACTIVATE')

    def fail():
        raise ZeroDivisionError('by a transition')

    step = {'ACTIVATE': 'start', 'DEACTIVATE': 'stop'}[transition]
    with monkeypatch.context() as broken:
        broken.setattr(peer.server_node._runtime, step, fail)
        assert not server.change(transition)
    server.until_status('unconfigured after an error')
    assert "ZeroDivisionError('by a transition')" in capfd.readouterr().err
    server.activate()
    server.until_commands(3)


def test_a_plan_that_cannot_be_asked_for_stops_the_commands_and_not_the_node(
        peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)
    horizon = peer.server_node.loop._horizon

    def fail(*arguments):
        raise ChunkError('row 3 names no rotation')

    with monkeypatch.context() as patch:
        patch.setattr(horizon, 'promise', fail)
        server.until_status('row 3 names no rotation')
        assert server.stays_silent()
    server.until_commands(3)


def test_a_picture_that_cannot_be_drawn_ends_nothing(peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)
    views, tried = peer.server_node.loop._views, []

    def fail(*arguments, **named):
        tried.append(arguments)
        raise ValueError('no such link')

    for painter, names in ((views._markers, ('show', 'follow', 'clear')),
                           (views._overlay, ('saw', 'show'))):
        for name in names:
            monkeypatch.setattr(painter, name, fail)
    peer.until(lambda: len(tried) > 10, 'attempts to draw')
    server.until_commands(10)
    assert server.change('DEACTIVATE')
