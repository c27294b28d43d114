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
"""The loop of the policy server over real DDS: joins, deadlines, delays, doubts, live changes."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402,I100
from diffusion_policy_ros.choices import JOINS  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.policy.plan_record import parse_record  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray, String  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

DOMAIN_ID = 56
PERIOD_NS = 100_000_000


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


def _ns(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def _followed(plans, command):
    """Return what the newest plan that had begun says about the time of a command."""
    stamp_ns = _ns(command.header.stamp)
    begun = [plan for plan in plans if _ns(plan.header.stamp) <= stamp_ns]
    row = (stamp_ns - _ns(begun[-1].header.stamp)) / PERIOD_NS
    return list(begun[-1].points[round(row)].positions) if begun else None


def _fact(heard, section, key):
    """Return a fact of the newest diagnostics."""
    for status in heard[-1].status:
        if status.name.endswith(section):
            return {item.key: item.value for item in status.values}[key]
    raise AssertionError(section)


def _confidence(message):
    """Return the numbers of a confidence by name."""
    return dict(zip(message.layout.dim[0].label.split(','), message.data))


def _joined_by(message):
    """Return the join by which a plan was made, and that by which it was followed."""
    record = parse_record(message.data)
    return {record.settings['join'], record.blending['name']}


@pytest.mark.slow
def test_every_join_commands_and_can_be_chosen_while_commands_go_out(peer, server):
    assert server.set('num_candidates', 3).successful
    records = peer.hear(String, 'policy_server/plan_record', qos.EVENTS)
    server.activate()
    for join in JOINS:
        assert server.set('join', join).successful
        peer.until(lambda join=join: records and _joined_by(records[-1]) == {join},
                   f'a plan that is made and followed as {join} wants it')
        server.until_commands(9)  # two plans and more
        server.until_status('commanding')
    assert 'choose one of: none, blend' in server.set('join', 'mix').reason


def test_commands_are_those_of_the_shown_plan_at_their_stamp(peer, server):
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    server.activate()
    server.until_commands(25)
    peer.until(lambda: _ns(plans[-1].header.stamp) > _ns(server.commands[-1].header.stamp)
               or len(plans) > 6, 'plans')
    checked = 0
    for command in server.commands[:20]:
        newest = max(_ns(plan.header.stamp) for plan in plans
                     if _ns(plan.header.stamp) <= _ns(command.header.stamp))
        # For some periods after its first row a plan may still be on its way.
        if _ns(command.header.stamp) - newest >= 2 * PERIOD_NS:
            assert list(command.position) == _followed(plans, command)
            checked += 1
    assert checked >= 5


def test_a_frozen_prefix_makes_real_time_chunks_continue_what_was_sent(peer, server):
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    assert server.set('inference_delay_ms', 150.0).successful
    assert server.set('join', 'rtc').successful
    server.activate()
    peer.until(lambda: len(plans) >= 5, 'plans')
    for earlier, later in zip(plans[1:], plans[2:]):
        shift = round((_ns(later.header.stamp) - _ns(earlier.header.stamp)) / PERIOD_NS)
        np.testing.assert_allclose(later.points[0].positions,
                                   earlier.points[shift].positions, atol=1e-4)


def test_a_delayed_plan_is_followed_from_the_row_that_is_due(peer, server):
    heard = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    latencies = peer.hear(Float64MultiArray, 'policy_server/latency', qos.EVENTS)
    assert server.set('inference_delay_ms', 250.0).successful
    server.activate()
    server.until_commands(20)
    steps = np.diff([_ns(command.header.stamp) for command in server.commands])
    assert (steps > 0).all() and np.median(steps) == pytest.approx(PERIOD_NS, abs=2)
    peer.until(lambda: heard and int(_fact(heard, 'commands', 'rows past on arrival')) >= 2,
               'rows that were past')
    named = dict(zip(latencies[-1].layout.dim[0].label.split(','), latencies[-1].data))
    assert named['publish_ms'] >= 250


def test_a_deadline_takes_fewer_evaluations_and_counts_plans_that_were_cut_short(peer, server):
    heard = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    assert server.set('num_inference_steps', 100).successful
    assert server.set('solver', 'ddim').successful
    assert server.set('deadline_ms', 0.1).successful
    assert server.change('CONFIGURE')
    # Learnt from plans that took no time but 0.01 ms per evaluation: 10 fit, it seems.
    for _ in range(40):
        peer.server_node._runtime.loop.worker._budget.add(0.0, 1e-4, 10)
    assert server.change('ACTIVATE')
    server.until_commands(10)
    heard.clear()
    peer.until(lambda: heard, 'diagnostics')
    assert int(_fact(heard, 'inference', 'evaluations of the last plan')) == 1
    assert int(_fact(heard, 'inference', 'plans cut short by the deadline')) >= 1
    # Encoding and one evaluation, without which there is no plan, take longer than 0.1 ms too.
    assert int(_fact(heard, 'inference', 'plans after the deadline')) >= 1
    assert server.set('deadline_ms', 0.0).successful
    heard.clear()
    peer.until(lambda: heard and _fact(heard, 'inference', 'evaluations of the last plan')
               == '100', 'a plan with all evaluations')


def test_candidates_that_are_far_apart_hold_the_robot_and_say_so(peer, server):
    confidences = peer.hear(Float64MultiArray, 'policy_server/confidence', qos.EVENTS)
    assert server.set('num_candidates', 4).successful
    server.activate()
    peer.until(lambda: confidences, 'a spread')
    named = _confidence(confidences[0])
    assert named['spread'] > 0 and named['num_candidates'] == 4
    assert server.set('max_spread', 1e-6).successful
    server.until_status('the policy is not sure', 'limit 0.000')
    assert server.stays_silent()
    assert server.set('max_spread', 1000.0).successful
    server.until_status('commanding')
    server.until_commands(3)


def test_the_likelihood_is_shown_while_it_is_asked_for(peer, server):
    confidences = peer.hear(Float64MultiArray, 'policy_server/confidence', qos.EVENTS)
    server.activate()
    peer.until(lambda: confidences, 'a confidence')
    assert list(_confidence(confidences[0])) == ['spread', 'num_candidates']
    assert server.set('likelihood_steps', 3).successful
    peer.until(lambda: 'log_likelihood' in _confidence(confidences[-1]), 'a likelihood')
    assert np.isfinite(_confidence(confidences[-1])['log_likelihood'])
    server.until_status('commanding')
    assert server.set('likelihood_steps', 0).successful
    peer.until(lambda: 'log_likelihood' not in _confidence(confidences[-1]), 'none')


def test_a_plan_that_the_policy_finds_unlikely_holds_the_robot_and_says_so(peer, server):
    confidences = peer.hear(Float64MultiArray, 'policy_server/confidence', qos.EVENTS)
    server.activate()
    assert 'likelihood_steps is 0, which' in server.set('min_log_likelihood', 5e8).reason
    assert server.set('likelihood_steps', 2).successful
    assert server.set('min_log_likelihood', 5e8).successful
    server.until_status('the policy finds its own plan unlikely', 'limit 500000000.000')
    assert server.stays_silent()
    confidences.clear()  # how unlikely it is can be seen while the robot is held
    peer.until(lambda: confidences, 'a confidence')
    assert _confidence(confidences[0])['log_likelihood'] < 5e8
    assert server.set('min_log_likelihood', -1e9).successful
    server.until_status('commanding')
    server.until_commands(3)


def test_the_rate_of_the_commands_changes_while_they_go_out(peer, server):
    server.activate()
    server.until_commands(5)
    assert server.set('command_rate_hz', 30.0).successful
    server.until_commands(30)
    steps = np.diff([_ns(command.header.stamp) for command in server.commands[-20:]])
    assert np.median(steps) == pytest.approx(PERIOD_NS / 3, abs=2)
    # the new slots are on the old grid: every third one is where the others would have been
    since = [_ns(command.header.stamp) - _ns(server.commands[4].header.stamp)
             for command in server.commands[4:]]
    assert all(abs(ns * 30 / 1e9 - round(ns * 30 / 1e9)) < 1e-3 for ns in since)
    assert 'whole multiple' in server.set('command_rate_hz', 25.0).reason


@pytest.mark.parametrize('trigger', ['low', 'continuous'])
def test_other_triggers_plan_too(peer, server, trigger):
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    assert server.set('replan', trigger).successful
    server.activate()

    def rows_between():
        return np.diff([_ns(plan.header.stamp) for plan in plans]) / PERIOD_NS

    # low plans with 4 of 15 rows left, continuous at the next observation if the last is done
    usual = 11 if trigger == 'low' else 1
    peer.until(lambda: np.isclose(rows_between(), usual, atol=0.01).sum() >= 3, 'three such plans')
    if trigger == 'low':
        assert np.median(rows_between()) == pytest.approx(11, abs=0.01)
    server.until_status('commanding')


def test_a_prefix_moves_the_commands_to_where_the_safety_node_listens(peer, server):
    moved = peer.hear(JointState, 'policy/joint_commands', qos.COMMANDS)
    assert server.set('command_prefix', 'policy').successful
    server.activate()
    peer.until(lambda: len(moved) > 3, 'commands under the prefix')
    assert not server.commands
    assert 'clean it up first' in server.set('command_prefix', '').reason
