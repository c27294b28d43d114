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
"""One test for each fault that the table in docs/faults.md names, on the policy server's side."""

from dataclasses import replace
import os
import threading
import time

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.policy_server import PolicyServer  # noqa: E402
from diffusion_policy_ros.policy import Policy  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

DOMAIN_ID = 57
CONTRACT = os.path.join(os.path.dirname(__file__), '../../config/robots/pusht.yaml')


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


def _stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def _comes_back(server):
    server.until_status('commanding')
    server.until_commands(5)


def test_a_stale_stream_stops_the_commands(server, peer):
    server.activate()
    server.until_commands(3)
    joints, peer.robot.joints = peer.robot.joints, None
    server.until_status('joint_states', 'old, limit 0.250 s')
    assert server.stays_silent()
    peer.robot.joints = joints
    _comes_back(server)


def test_a_frozen_camera_stops_the_commands(server, peer, tmp_path):
    contract = load_contract(CONTRACT)
    camera, state, truth = contract.observations
    path = tmp_path / 'noisy.yaml'
    path.write_text(replace(contract, observations=(
        replace(camera, frozen_after=5), state, truth)).to_yaml())
    assert server.set('contract', str(path)).successful
    number = iter(range(10**9))
    still = dict(peer.robot.image)

    def alive():
        return {**still, 'data': bytes([next(number) % 256]) * len(still['data'])}

    peer.robot.image = alive
    server.activate()
    server.until_commands(3)
    peer.robot.image = still
    server.until_status('frozen', 'camera/image_raw', 'limit 5')
    assert server.stays_silent()
    peer.robot.image = alive
    _comes_back(server)


def test_a_malformed_message_stops_the_commands(server, peer):
    server.activate()
    server.until_commands(3)
    good = peer.robot.joints
    peer.robot.joints = {**good, 'position': [0.1]}
    server.until_status('joint_states')
    assert server.stays_silent()
    peer.robot.joints = good
    _comes_back(server)


def test_messages_out_of_order_change_nothing(server, peer):
    server.activate()
    server.until_commands(3)
    late = peer.node.create_publisher(JointState, 'joint_states', qos.ROBOT_STATE)

    def show_old():
        message = JointState(name=['finger_x', 'finger_y'], position=[0.5, 0.5])
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(
            peer.robot.now_ns() - 150_000_000, 10**9)
        late.publish(message)

    peer.node.create_timer(1 / 50, show_old)
    windows = []
    loop = peer.server_node._runtime._loop
    look, loop.builder.look = loop.builder.look, lambda tick_ns: (
        windows.append(look(tick_ns)) or windows[-1])
    server.until_commands(10)
    server.until_status('commanding')
    for _, samples in windows:  # the newest by stamp, not by arrival
        assert all(sample.age_ns < 100_000_000 for sample in samples[-1].values())


def _clocked(peer, model, make_robot, make_server_client):
    """Start a server on simulated time that the test may stop; return it and the switch."""
    clock = peer.node.create_publisher(Clock, '/clock', qos.EVENTS)
    robot, runs = make_robot(), [True]
    state = {'ns': 1000 * 10**9, 'at': time.monotonic_ns()}

    def now_ns():
        now = time.monotonic_ns()
        if runs[0]:
            state['ns'] += now - state['at']
        state['at'] = now
        return state['ns']

    def show():
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(now_ns(), 10**9)
        clock.publish(message)

    robot.now_ns = now_ns
    peer.node.create_timer(0.005, show)
    peer.server_node = peer.start(PolicyServer, model=str(model), num_threads=1,
                                  use_sim_time=True)
    return make_server_client(), runs, state


def test_a_clock_that_jumps_back_holds_until_new_observations(
        peer, model, make_robot, make_server_client):
    server, _, state = _clocked(peer, model, make_robot, make_server_client)
    server.activate()
    server.until_commands(3)
    state['ns'] -= 300 * 10**9
    peer.until(lambda: _stamp_ns(server.commands[-1]) < 900 * 10**9, 'commands in the new time')
    assert any('jumped backwards' in status.message for status in server.status)


def test_a_clock_that_stops_holds_until_it_runs_again(
        peer, model, make_robot, make_server_client):
    server, runs, _ = _clocked(peer, model, make_robot, make_server_client)
    server.activate()
    server.until_commands(3)
    runs[0] = False
    server.until_status('the ROS clock stands still')
    before = len(server.commands)
    seen = peer.hear(Clock, '/clock', qos.EVENTS)
    peer.until(lambda: len(seen) > 100, 'more messages of the standing clock')
    assert len(server.commands) == before
    runs[0] = True
    _comes_back(server)


def test_a_policy_that_fails_during_the_run_stops_the_commands(peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)

    def fail(self, *arguments, **options):
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    with monkeypatch.context() as patch:
        patch.setattr(Policy, 'denoise', fail)
        patch.setattr(Policy, 'encode', fail)
        server.until_status('inference failed', 'illegal memory access')
        assert server.stays_silent()
    _comes_back(server)


def test_an_inference_thread_that_is_told_to_exit_stops_the_commands(peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)

    def leave(self, *arguments, **options):
        raise SystemExit('enough')

    with monkeypatch.context() as patch:
        patch.setattr(Policy, 'encode', leave)
        server.until_status('inference failed', 'SystemExit')
        assert server.stays_silent()
    _comes_back(server)


def test_an_inference_thread_that_is_gone_stops_the_commands(peer, server):
    server.activate()
    server.until_commands(3)
    peer.server_node._runtime._worker._executor.shutdown(wait=True)
    server.until_status('inference ended')
    assert server.stays_silent()
    assert server.change('DEACTIVATE') and server.change('CLEANUP')
    server.activate()
    _comes_back(server)


def test_an_inference_that_never_returns_ends_the_commands_with_the_plan(
        peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)
    free = threading.Event()
    encode = Policy.encode
    with monkeypatch.context() as patch:
        patch.setattr(Policy, 'encode', lambda *a, **k: free.wait(120) and encode(*a, **k))
        server.until_status('the next plan is not finished')
        assert server.stays_silent()
        free.set()
    _comes_back(server)


def test_a_second_publisher_of_the_commands_is_named_in_the_diagnostics(peer, server):
    heard = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    server.activate()
    server.until_commands(3)
    stranger = peer.node.create_publisher(JointState, 'joint_commands', qos.COMMANDS)

    def topics():
        return [item.value for array in heard[-1:] for status in array.status
                for item in status.values if item.key == 'topics']

    peer.until(lambda: any('2 publishers' in text and '/peer' in text for text in topics()),
               'a complaint')
    peer.node.destroy_publisher(stranger)
    peer.until(lambda: topics() == ['as the contract says'], 'no complaint any more')
