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

"""Another model for a robot that holds: what it commands by, and what refuses it."""

from dataclasses import replace
import hashlib
import shutil
import threading

import pytest

pytest.importorskip('rclpy')
torch = pytest.importorskip('torch')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.nodes import policy_runtime, qos  # noqa: E402
from diffusion_policy_ros.nodes.command_safety import CommandSafety  # noqa: E402
from diffusion_policy_ros.nodes.policy_server import PolicyServer  # noqa: E402
from diffusion_policy_ros.policy import Policy  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

DOMAIN_ID = 59
SWAP = 'policy_server/swap_model'
ROWS, OTHER_ROWS = 15, 14  # 16 rows of a plan from the newest of two or three observations on


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


@pytest.fixture(scope='module')
def other(save_tiny_policy):
    """Save one that sees three observations; its folder."""
    return save_tiny_policy(n_obs_steps=3, n_action_steps=6)


@pytest.fixture
def plans(peer):
    """Listen to plans."""
    return peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)


class Gate:
    """Lets no model be prepared before ``open``."""

    def __init__(self, monkeypatch):
        self.reached, self._free = threading.Event(), threading.Event()
        self.open = self._free.set
        prepare = policy_runtime.prepare_policy

        def wait(values, **options):
            self.reached.set()
            assert self._free.wait(120)
            return prepare(values, **options)

        monkeypatch.setattr(policy_runtime, 'prepare_policy', wait)


@pytest.fixture
def make_gate(monkeypatch):
    """Return a function that makes a gate; it opens at the end at the latest."""
    gates = []
    yield lambda: gates.append(Gate(monkeypatch)) or gates[-1]
    for gate in gates:
        gate.open()


def begin(peer, server, folder):
    """Ask for a swap; return the future of the answer."""
    assert server.set('model', str(folder)).successful
    client = peer.node.create_client(Trigger, SWAP)
    peer.until(client.service_is_ready, SWAP)
    return client.call_async(Trigger.Request())


def digest(folder):
    return hashlib.sha256((folder / 'model.safetensors').read_bytes()).hexdigest()[:16]


def facts_of(status):
    return {item.key: item.value for item in status.values}


def hash_in_diagnostics(peer):
    """Return what the next diagnostics tell of the weights."""
    heard = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)

    def found():
        return [facts['weights SHA-256'] for message in heard
                for facts in map(facts_of, message.status) if 'weights SHA-256' in facts]

    peer.until(found, 'diagnostics')
    return found()[-1]


def until_plan(peer, plans, rows):
    """Wait for a new plan, and check its length."""
    plans.clear()
    peer.until(lambda: plans, 'a plan')
    assert len(plans[-1].points) == rows


@pytest.mark.slow
def test_another_model_makes_the_plans_after_the_swap(peer, server, plans, model, other):
    server.activate()
    until_plan(peer, plans, ROWS)
    assert hash_in_diagnostics(peer) == digest(model)
    assert server.set('model', str(other)).successful
    until_plan(peer, plans, ROWS)  # nothing has changed yet
    assert facts_of(server.status[-1])['model'] == str(model)
    assert peer.ask(SWAP) == (True, f'serving {other}')
    server.until_status('commanding')
    until_plan(peer, plans, OTHER_ROWS)
    server.until_commands(5)
    assert hash_in_diagnostics(peer) == digest(other) != digest(model)
    assert facts_of(server.status[-1]) == {
        'source': '', 'model': str(other), 'weights SHA-256': digest(other)}
    assert server.set('execute_horizon', 6).successful  # too many for the first one
    assert peer.ask(SWAP)[0]  # the same once more
    server.until_commands(5)


@pytest.mark.slow
def test_while_a_model_is_loaded_the_robot_holds_and_the_node_listens(
        peer, server, other, make_gate):
    server.activate()
    server.until_commands(3)
    gate = make_gate()
    answer = begin(peer, server, other)
    server.until_status('swapping the model', str(other), 'is being loaded')
    assert server.status[-1].level == DiagnosticStatus.WARN
    peer.until(gate.reached.is_set, 'loading')
    meters = peer.server_node.loop.telemetry.inputs.values()
    before = [meter.count for meter in meters]
    assert server.stays_silent()
    assert all(meter.count > count for meter, count in zip(meters, before))
    assert server.state() == 'active'
    success, reason = peer.ask(SWAP)
    assert not success and f'{other} is still being loaded' in reason
    assert server.stays_silent() and not answer.done()
    gate.open()
    peer.until(answer.done, 'the answer')
    assert answer.result().success
    server.until_status('commanding')
    server.until_commands(5)


def unlike(folder, name, **changes):
    """Copy a model for a robot whose contract differs."""
    policy = Policy.load(folder)
    policy.contract = replace(policy.contract, **changes)
    policy.save(folder.parent / name)
    return folder.parent / name


@pytest.mark.slow
def test_a_model_that_cannot_be_used_leaves_the_old_one_commanding(
        peer, server, plans, model, other, tmp_path):
    broken = tmp_path / 'broken'
    shutil.copytree(other, broken)
    weights = broken / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:-1000])
    foreign = unlike(other, 'foreign', rate_hz=20.0)
    server.activate()
    for folder, words in ((tmp_path / 'none', ('no folder', 'none')),
                          (broken, ('model.safetensors',)),
                          (foreign, ('does not fit the robot that is served',
                                     'trained at 20, robot has 10'))):
        server.until_commands(3)
        assert server.set('model', str(folder)).successful
        success, reason = peer.ask(SWAP)
        assert not success and all(word in reason for word in words), reason
        server.until_status('commanding')
        until_plan(peer, plans, ROWS)
    assert hash_in_diagnostics(peer) == digest(model)
    assert server.set('model', str(other)).successful
    assert peer.ask(SWAP)[0]
    until_plan(peer, plans, OTHER_ROWS)


def test_parameters_of_the_moment_of_the_exchange_must_suit_the_new_model(
        peer, server, plans, save_tiny_policy, make_gate):
    short = save_tiny_policy(n_action_steps=2)
    server.activate()
    server.until_commands(3)
    gate = make_gate()
    answer = begin(peer, server, short)
    peer.until(gate.reached.is_set, 'loading')
    assert server.set('execute_horizon', 4).successful
    gate.open()
    peer.until(answer.done, 'the answer')
    assert not answer.result().success
    assert 'n_action_steps of this checkpoint, 2' in answer.result().message
    until_plan(peer, plans, ROWS)


@pytest.mark.slow
def test_a_swap_begun_while_inactive_counts_when_the_node_is_activated(
        peer, server, plans, other, make_gate):
    success, reason = peer.ask(SWAP)
    assert not success and 'not configured' in reason
    assert server.change('CONFIGURE')
    assert server.set('model', str(other)).successful
    assert peer.ask(SWAP)[0]
    assert server.status[-1].message == 'inactive'
    peer.until(lambda: facts_of(server.status[-1]).get('model') == str(other), 'its name')
    assert server.stays_silent() and not server.commands
    assert server.change('ACTIVATE')
    until_plan(peer, plans, OTHER_ROWS)
    server.until_status('commanding')


@pytest.mark.slow
def test_a_node_may_be_deactivated_and_activated_while_a_model_is_loaded(
        peer, server, plans, other, make_gate):
    server.activate()
    server.until_commands(3)
    gate = make_gate()
    answer = begin(peer, server, other)
    peer.until(gate.reached.is_set, 'loading')
    assert server.change('DEACTIVATE')
    server.until_status('inactive')
    assert server.change('ACTIVATE')
    server.until_status('swapping the model')
    assert server.stays_silent()
    gate.open()
    peer.until(answer.done, 'the answer')
    server.until_status('commanding')
    until_plan(peer, plans, OTHER_ROWS)


@pytest.mark.slow
def test_a_node_that_is_cleaned_up_gives_the_model_up_that_is_being_loaded(
        peer, server, plans, model, other, make_gate):
    server.activate()
    server.until_commands(3)
    gate = make_gate()
    answer = begin(peer, server, other)
    peer.until(gate.reached.is_set, 'loading')
    assert server.change('DEACTIVATE') and server.change('CLEANUP')
    gate.open()
    peer.until(answer.done, 'the answer')
    assert not answer.result().success and 'cleaned up' in answer.result().message
    assert server.state() == 'unconfigured'
    assert facts_of(server.status[-1]) == {'source': 'lifecycle'}
    assert server.set('model', str(model)).successful
    server.activate()
    until_plan(peer, plans, ROWS)


def test_a_process_waits_for_torch_before_it_ends(peer, server, other, make_gate):
    server.activate()
    gate = make_gate()
    begin(peer, server, other)
    peer.until(gate.reached.is_set, 'loading')
    loader, = (thread for thread in threading.enumerate() if thread.name == 'swap_model')
    peer.stop(peer.server_node)
    assert loader.is_alive() and not loader.daemon
    gate.open()
    loader.join(60)
    assert not loader.is_alive()


@pytest.mark.slow
def test_the_safety_node_holds_the_robot_during_the_swap_and_follows_again(
        peer, model, other, make_robot, make_server_client, make_gate):
    robot = make_robot()
    status = peer.hear(DiagnosticStatus, 'command_safety/status', qos.STATUS)
    guard = peer.start(CommandSafety, contract=str(model / 'contract.yaml'), ramp_in_s=0.1,
                       max_jump_s=10.0)
    peer.server_node = peer.start(PolicyServer, model=str(model), num_threads=1,
                                  command_prefix='policy', command_rate_hz=30.0)
    server = make_server_client()
    robot.joints = lambda: {'name': ['finger_x', 'finger_y'], 'position': (
        server.commands[-1].position if server.commands else [0.25, 0.25])}
    guard.trigger_configure()
    guard.trigger_activate()
    server.activate()

    def until(words):
        peer.until(lambda: status and words in status[-1].message,
                   f'{words}, not {status[-1].message if status else None}')

    until('FOLLOWING')
    gate = make_gate()
    answer = begin(peer, server, other)
    until('HOLDING: joint_commands: no acceptable command for')
    count = len(server.commands)
    peer.until(lambda: len(server.commands) > count + 50, 'commands that hold')
    held = [command.position for command in server.commands[count + 30:]]
    assert all(position == held[0] for position in held)
    gate.open()
    peer.until(answer.done, 'the answer')
    until('FOLLOWING')
    peer.until(lambda: server.commands[-1].position != held[0], 'motion')
