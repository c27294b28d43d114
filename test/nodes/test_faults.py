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
"""Faults of docs/faults.md at the policy server; test_faults_guarded.py has those of clocks."""

from dataclasses import replace
import os
import shutil
import threading

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.command_publisher import CommandPublisher  # noqa: E402
from diffusion_policy_ros.nodes.pacer import Pacer  # noqa: E402
from diffusion_policy_ros.policy.row_encoder import RowEncoder  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

DOMAIN_ID = 57
CONTRACT = os.path.join(os.path.dirname(__file__), '../../config/robots/pusht.yaml')


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


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


def test_a_stream_that_never_came_is_waited_for(server, peer):
    image, peer.robot.image = peer.robot.image, None
    server.activate()
    server.until_status('no message yet', 'camera/image_raw')
    assert server.stays_silent() and not server.commands
    peer.robot.image = image
    _comes_back(server)


@pytest.mark.parametrize('name, topic', [('image', 'camera/image_raw'),
                                         ('joints', 'joint_states')])
def test_a_frozen_stream_stops_the_commands(server, peer, tmp_path, name, topic):
    contract = load_contract(CONTRACT)
    path = tmp_path / 'noisy.yaml'
    path.write_text(replace(contract, observations=tuple(
        replace(stream, frozen_after=5) if stream.topic == topic else stream
        for stream in contract.observations)).to_yaml())
    assert server.set('contract', str(path)).successful
    still, number = dict(getattr(peer.robot, name)), iter(range(10**9))

    def alive():
        count = next(number) % 256
        return {**still, **({'data': bytes([count]) * len(still['data'])} if name == 'image'
                            else {'position': [0.2 + count / 10**6, 0.3]})}

    setattr(peer.robot, name, alive)
    server.activate()
    server.until_commands(3)
    setattr(peer.robot, name, still)
    server.until_status('frozen: ', topic, 'limit 5')
    assert server.stays_silent()
    setattr(peer.robot, name, alive)
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


@pytest.mark.parametrize('kind, topic', [(Image, 'camera/image_raw'),
                                         (JointState, 'joint_states')])
def test_messages_out_of_order_change_nothing(server, peer, kind, topic):
    server.activate()
    server.until_commands(3)
    late = peer.node.create_publisher(kind, topic, qos.ROBOT_STATE)
    peer.until(late.get_subscription_count, 'the server to listen')

    def show_old():
        message = kind(**(peer.robot.image if kind is Image else peer.robot.joints))
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


def test_a_checkpoint_destroyed_while_it_is_served_counts_only_at_the_next_load(
        peer, server, model, tmp_path):
    served = shutil.copytree(model, tmp_path / 'served')
    assert server.set('model', str(served)).successful
    server.activate()
    server.until_commands(3)
    (served / 'model.safetensors').write_bytes(b'')
    server.until_commands(10)
    success, reason = peer.ask('policy_server/swap_model')
    assert not success and 'model.safetensors' in reason
    _comes_back(server)
    assert server.change('DEACTIVATE') and server.change('CLEANUP')
    assert not server.change('CONFIGURE')
    server.until_status('unconfigured: ', 'model.safetensors')


def test_a_policy_that_fails_during_the_run_stops_the_commands(
        peer, server, monkeypatch, capfd):
    server.activate()
    server.until_commands(3)

    def fail(self, *arguments, **options):
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    with monkeypatch.context() as patch:
        patch.setattr(RowEncoder, 'encode', fail)
        server.until_status('inference failed', 'illegal memory access')
        assert server.stays_silent()
    _comes_back(server)
    assert capfd.readouterr().err.count('Traceback') == 1


def test_an_inference_thread_that_is_told_to_exit_stops_the_commands(peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)

    def leave(self, *arguments, **options):
        raise SystemExit('enough')

    with monkeypatch.context() as patch:
        patch.setattr(RowEncoder, 'encode', leave)
        server.until_status('inference failed', 'SystemExit')
        assert server.stays_silent()
    _comes_back(server)


def test_an_inference_thread_that_is_gone_stops_the_commands(peer, server):
    server.activate()
    server.until_commands(3)
    peer.server_node._runtime._policy.worker._executor.shutdown(wait=True)
    server.until_status('cannot ask for a plan')
    assert server.stays_silent()
    assert server.change('DEACTIVATE') and server.change('CLEANUP')
    server.activate()
    _comes_back(server)


def test_an_inference_that_never_returns_ends_the_commands_with_the_plan(
        peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)
    free = threading.Event()
    encode = RowEncoder.encode
    with monkeypatch.context() as patch:
        patch.setattr(RowEncoder, 'encode', lambda *a, **k: free.wait(120) and encode(*a, **k))
        server.until_status('the next plan is not finished')
        assert server.stays_silent()
        free.set()
    _comes_back(server)


def test_a_command_that_cannot_be_published_is_reported_and_the_next_one_tried(
        peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)

    def fail(self, *arguments, **options):
        raise RuntimeError('no such publisher')

    with monkeypatch.context() as patch:
        patch.setattr(CommandPublisher, 'send', fail)
        server.until_status('cannot publish: ', 'no such publisher')
        assert server.stays_silent()
    _comes_back(server)


def test_a_thread_of_commands_that_is_gone_is_reported(peer, server, monkeypatch):
    server.activate()
    server.until_commands(3)

    def end(self, now_ns):
        raise RuntimeError('no time')

    with monkeypatch.context() as patch:
        patch.setattr(Pacer, '_fire', end)
        server.until_status('cannot publish: ', 'no time')
    assert server.stays_silent()
    assert server.change('DEACTIVATE') and server.change('ACTIVATE')
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
