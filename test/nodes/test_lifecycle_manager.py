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

"""Safety node and policy server under a manager that knows their names only, such as nav2's."""

from functools import partial
from pathlib import Path
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.nodes import policy_runtime, qos  # noqa: E402
from diffusion_policy_ros.nodes.command_safety import CommandSafety  # noqa: E402
from diffusion_policy_ros.nodes.policy_server import PolicyServer  # noqa: E402
from diffusion_policy_ros.nodes.safety_topics import SafetyTopics  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

DOMAIN_ID = 68
PAGE = (Path(__file__).parents[2] / 'docs' / 'lifecycle.md').read_text(encoding='utf-8')
SAFETY, SERVER = NODES = ('command_safety', 'policy_server')
REACHED = {'CONFIGURE': 'inactive', 'ACTIVATE': 'active', 'DEACTIVATE': 'inactive',
           'CLEANUP': 'unconfigured', 'UNCONFIGURED_SHUTDOWN': 'finalized',
           'INACTIVE_SHUTDOWN': 'finalized', 'ACTIVE_SHUTDOWN': 'finalized'}
# The shortest time that a manager of nav2 leaves a node to say its state, in Humble and Jazzy.
STATE_TIMEOUT_S = 2.0
# A stop ends with a step of j t^3 / 6, 33 um for 100 Hz and the jerk that is assumed, 200 m/s^3.
LAST_STEP_M = 40e-6


class Manager:
    """
    Takes all nodes through one transition before the next, and stops at the first that fails.

    Up goes in the order of the names, down in reverse. What a node answers to a transition is
    not looked at, only the state that it says it is in afterwards.

    :ivar steps: Node and transition, as asked for.
    """

    def __init__(self, peer, names=NODES):
        self._peer, self._names, self.steps = peer, names, []
        for name in names:
            peer.state(name)  # waits until it is there

    def states(self):
        """Return the labels of all states."""
        return tuple(self._peer.state(name) for name in self._names)

    def start(self):
        return self.up('CONFIGURE') and self.up('ACTIVATE')

    def reset(self):
        return self.down('DEACTIVATE') and self.down('CLEANUP')

    def start_or_undo(self):
        """Start; where that fails, take down again what came up."""
        done = self.start()
        if not done:
            for name in self._names[::-1]:
                if self._peer.state(name) == 'active':
                    self._step(name, 'DEACTIVATE')
                if self._peer.state(name) == 'inactive':
                    self._step(name, 'CLEANUP')
        return done

    def up(self, transition):
        return all(self._step(name, transition) for name in self._names)

    def down(self, transition):
        return all(self._step(name, transition) for name in self._names[::-1])

    def _step(self, name, transition):
        self.steps.append((name, transition))
        self._peer.change(name, transition)
        begin_s = time.monotonic()
        state = self._peer.state(name)
        assert time.monotonic() - begin_s < STATE_TIMEOUT_S, f'{name} was slow to say its state'
        return state == REACHED[transition]


class Stand:
    """
    A simulated robot that goes where it is told, the two nodes before it, and their manager.

    :ivar proposals: What was heard from the policy server.
    :ivar rows: All that the safety node sent to the controller.
    """

    def __init__(self, peer, model, robot, server):
        self._peer, self.server, self.rows = peer, server, []
        self.commands = server.commands
        self.proposals = peer.hear(JointState, 'policy/joint_commands', qos.COMMANDS)
        self.safety_status = peer.hear(DiagnosticStatus, f'{SAFETY}/status', qos.STATUS)
        robot.joints = lambda: {'name': ['finger_x', 'finger_y'], 'position': (
            self.commands[-1].position if self.commands else [0.25, 0.25])}
        peer.start(CommandSafety, contract=str(model / 'contract.yaml'), ramp_in_s=0.1,
                   max_jump_s=10.0)
        self.start_server = partial(
            peer.start, PolicyServer, model=str(model), num_threads=1, command_prefix='policy',
            command_rate_hz=30.0)
        self.server_node = self.start_server()
        self.manager = Manager(peer)

    def until_safety(self, *texts):
        self._peer.until(lambda: self.safety_status and any(
            text in self.safety_status[-1].message for text in texts),
            f'a status of {SAFETY} with one of {texts}')

    def until_moving(self):
        """Wait until the policy's commands move the robot."""
        self.until_safety('FOLLOWING')
        held = self.commands[-1].position
        self._peer.until(lambda: self.commands[-1].position != held, 'motion')

    def is_silent(self):
        """Tell whether neither node commands any more, and the robot was left at rest."""
        self.server.stays_silent()  # what was on its way arrives meanwhile
        before = len(self.rows), len(self.proposals)
        return self.server.stays_silent() and before == (len(self.rows), len(self.proposals)) and (
            not self.rows or np.abs(self.rows[-1] - self.rows[-2]).max() < LAST_STEP_M)


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


@pytest.fixture
def stand(peer, model, make_robot, make_server_client, monkeypatch):
    """Return a stand whose nodes are unconfigured."""
    # In a process of its own the server's garbage collection holds no safety node up.
    monkeypatch.setattr(policy_runtime, 'gc', SimpleNamespace(
        collect=lambda: 0, freeze=lambda: None, unfreeze=lambda: None))
    stand = Stand(peer, model, make_robot(), make_server_client())
    publish = SafetyTopics.publish

    def recorded(topics, rows, *arguments):
        stand.rows.append(np.concatenate(rows))
        publish(topics, rows, *arguments)

    monkeypatch.setattr(SafetyTopics, 'publish', recorded)
    return stand


def test_nodes_come_up_in_order_go_down_in_reverse_and_come_up_again(stand):
    assert stand.manager.states() == ('unconfigured', 'unconfigured')
    assert stand.manager.start()
    stand.until_moving()
    assert stand.manager.reset()
    assert stand.manager.states() == ('unconfigured', 'unconfigured')
    assert stand.is_silent()
    assert stand.manager.steps == [
        (SAFETY, 'CONFIGURE'), (SERVER, 'CONFIGURE'), (SAFETY, 'ACTIVATE'), (SERVER, 'ACTIVATE'),
        (SERVER, 'DEACTIVATE'), (SAFETY, 'DEACTIVATE'), (SERVER, 'CLEANUP'), (SAFETY, 'CLEANUP')]
    assert stand.manager.start()
    stand.until_moving()


def test_the_robot_rests_between_pause_and_resume_and_moves_within_limits(stand):
    assert stand.manager.start()
    stand.until_moving()
    assert stand.manager.down('DEACTIVATE')
    assert stand.manager.states() == ('inactive', 'inactive') and stand.is_silent()
    assert stand.manager.up('ACTIVATE')
    stand.until_moving()
    assert np.abs(np.diff(stand.rows, axis=0)).max() <= 2.0 / 100 + 1e-9  # m/s and Hz


def test_a_failing_configure_of_the_server_takes_the_safety_node_down_again(stand, model):
    assert stand.server.set('model', str(model / 'none')).successful
    assert not stand.manager.start_or_undo()
    assert stand.manager.steps == [(SAFETY, 'CONFIGURE'), (SERVER, 'CONFIGURE'),
                                   (SAFETY, 'CLEANUP')]
    assert stand.manager.states() == ('unconfigured', 'unconfigured')
    stand.server.until_status('unconfigured', 'no folder', str(model / 'none'))
    assert stand.is_silent() and not stand.rows and not stand.proposals
    assert stand.server.set('model', str(model)).successful
    assert stand.manager.start()
    stand.until_moving()


def test_a_manager_that_undoes_nothing_starts_again_from_where_it_failed(stand, model):
    assert stand.server.set('model', str(model / 'none')).successful
    assert not stand.manager.start()
    assert stand.manager.states() == ('inactive', 'unconfigured')
    assert not stand.manager.reset()  # there is nothing to deactivate
    assert stand.manager.states() == ('inactive', 'unconfigured')
    assert stand.server.set('model', str(model)).successful
    assert stand.manager.start()  # a node that is inactive refuses to be configured, and stays it
    stand.until_moving()


def test_a_server_that_died_and_came_back_waits_while_the_robot_is_held(peer, stand):
    assert stand.manager.start()
    stand.until_moving()
    peer.stop(stand.server_node)
    # Its end holds up the safety node in the same executor, which may then count anew.
    stand.until_safety('joint_commands: no acceptable command', 'joint_commands: no command yet')
    stand.start_server()
    assert stand.manager.states() == ('active', 'unconfigured')
    assert not stand.manager.start() and not stand.manager.reset()  # one state does not fit
    assert stand.manager.states() == ('active', 'unconfigured')
    stand.server.activate()
    stand.until_moving()


@pytest.mark.parametrize('state, transition, way', [
    ('unconfigured', 'UNCONFIGURED_SHUTDOWN', ()),
    ('inactive', 'INACTIVE_SHUTDOWN', ('CONFIGURE',)),
    ('active', 'ACTIVE_SHUTDOWN', ('CONFIGURE', 'ACTIVATE'))])
def test_nodes_end_in_reverse_from_every_state_and_stay_ended(stand, state, transition, way):
    assert all(stand.manager.up(step) for step in way)
    assert stand.manager.states() == (state, state)
    if state == 'active':
        stand.until_moving()
    assert stand.manager.down(transition)
    assert stand.manager.states() == ('finalized', 'finalized')
    assert stand.server.status[-1].message == stand.safety_status[-1].message == 'finalized'
    assert stand.is_silent() and bool(stand.rows) == (state == 'active')
    assert not stand.manager.start()
    assert stand.manager.states() == ('finalized', 'finalized')


def test_one_manager_brings_up_two_robots_by_names_with_namespaces(peer, model):
    for space in ('left', 'right'):
        peer.start(partial(CommandSafety, namespace=space),
                   contract=str(model / 'contract.yaml'))
        peer.start(partial(PolicyServer, namespace=space), model=str(model), num_threads=1,
                   command_prefix='policy')
    names = [f'{space}/{node}' for space in ('left', 'right') for node in NODES]
    manager = Manager(peer, names)
    assert manager.start() and set(manager.states()) == {'active'}
    for space in ('left', 'right'):
        for topic, node in (('joint_commands', SAFETY), ('policy/joint_commands', SERVER)):
            found = peer.node.get_publishers_info_by_topic(f'/{space}/{topic}')
            assert [(p.node_namespace, p.node_name) for p in found] == [(f'/{space}', node)]
    assert manager.reset() and set(manager.states()) == {'unconfigured'}


def test_the_page_gives_a_manager_of_nav2_these_nodes_in_this_order_and_no_bond():
    (text,) = re.findall(r'```yaml\n(.*?)```', PAGE, re.DOTALL)
    ((name, node),) = yaml.safe_load(text).items()
    assert node['ros__parameters'] == {
        'autostart': True, 'node_names': list(NODES), 'bond_timeout': 0.0}
    managed, two = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
    assert f"name='{Path(name).name}'" in managed and "'autostart': 'false'" in managed
    for code in (managed, two):
        compile(code, 'docs/lifecycle.md', 'exec')
