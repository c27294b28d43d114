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

"""The whole way: a demonstration is recorded, converted, learned, served, and moves the robot."""

import json
import math
from pathlib import Path
import subprocess
import sys
import time

from diffusion_policy_ros.cli.children import Children, node_command, node_environment
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
for needed in ('torch', 'gym_pusht', 'pyarrow', 'av', 'tensorboard'):
    pytest.importorskip(needed)
from diffusion_policy_ros.nodes import qos  # noqa: E402,I100
from diffusion_policy_ros.nodes.pusht_topics import joint_message  # noqa: E402
from lifecycle_msgs.msg import Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

DOMAIN_ID = 77
ROOT = Path(__file__).parents[1]
CONTRACT = ROOT / 'config' / 'robots' / 'pusht.yaml'
DEADLINE_S = 120.0
SCRIPTED_COMMANDS = 80
COMMAND_PERIOD_S = 0.05
TRAINING = (
    'steps=40', 'batch_size=16', 'warmup_steps=5', 'learning_rate=0.001', 'validate_every=1000',
    'checkpoint_every=1000', 'policy.vision_backbone=light_cnn', 'policy.down_dims=[16, 32]',
    'policy.diffusion_step_embed_dim=16')


class Person:
    """A node that a test acts through, beside the processes of the package."""

    def __init__(self, folder):
        """Join the domain of this file."""
        self.environment = node_environment(DOMAIN_ID, ROOT / 'config' / 'fastdds.xml')
        self.folder = folder
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN_ID)
        self.node = rclpy.create_node('person', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.children = None

    def leave(self):
        """Leave the domain."""
        self.node.destroy_node()
        self.executor.shutdown()
        rclpy.try_shutdown(context=self.context)

    def until(self, condition, what):
        """Spin until the condition holds, as long as all processes run."""
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, f'{what} did not happen'
            self.children.check()
            self.executor.spin_once(timeout_sec=0.1)

    def hear(self, message_type, topic, profile):
        """Subscribe; the returned list grows."""
        heard = []
        self.node.create_subscription(message_type, topic, heard.append, profile)
        return heard

    def ask(self, service_type, name, request):
        """Call a service."""
        client = self.node.create_client(service_type, name)
        self.until(client.service_is_ready, name)
        future = client.call_async(request)
        self.until(future.done, f'the answer of {name}')
        return future.result()

    def ask_until_done(self, name):
        """Call a Trigger service until it succeeds."""
        answers = []
        self.until(lambda: answers.append(self.ask(Trigger, name, Trigger.Request()))
                   or answers[-1].success, name)

    def run_dpr(self, *arguments):
        """Run a subcommand of dpr to its end."""
        done = subprocess.run(
            [sys.executable, '-m', 'diffusion_policy_ros.cli.main', *map(str, arguments)],
            env=self.environment, capture_output=True, text=True, timeout=DEADLINE_S,
            stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def person(tmp_path):
    """Join the domain for one test."""
    person = Person(tmp_path)
    yield person
    person.leave()


@pytest.mark.slow
def test_scripted_pushes_become_a_policy_that_moves_the_robot(person):
    with Children(person.folder, person.environment) as person.children:
        _start_recorder(person)
        person.children.start('pusht_sim', node_command('pusht_sim', {}))
        _push_in_a_circle(person)
    _learn_and_drive(person, least_rows=30)


@pytest.mark.slow
def test_human_demonstrations_become_a_policy_that_moves_the_robot(person, shared_data):
    pytest.importorskip('zarr')
    recorded = shared_data / 'pusht' / 'pusht_cchi_v7_replay.zarr'
    episodes = person.hear(String, 'pusht_sim/episode', qos.EVENTS)
    with Children(person.folder, person.environment) as person.children:
        _start_recorder(person)
        person.children.start('pusht_sim', node_command('pusht_sim', {
            'replay_dataset': recorded, 'replay_episodes': '205', 'replay_record': True}))
        person.until(lambda: episodes and json.loads(episodes[-1].data)['phase'] == 'done',
                     'the end of the replay')
    _learn_and_drive(person, least_rows=49)


def _start_recorder(person):
    """Start a recorder that writes below the test's folder."""
    person.children.start('recorder', node_command('recorder', {
        'contract': CONTRACT, 'output': person.folder / 'bags'}))


def _push_in_a_circle(person):
    """Demonstrate: lead the finger around the table while the recorder runs."""
    commands = person.node.create_publisher(JointState, 'joint_commands', qos.COMMANDS)
    sent = []

    def push():
        angle = 0.1 * len(sent)
        sent.append((0.256 + 0.15 * math.cos(angle), 0.256 + 0.15 * math.sin(angle)))
        commands.publish(joint_message(sent[-1], person.node.get_clock().now().nanoseconds))

    timer = person.node.create_timer(COMMAND_PERIOD_S, push)
    person.ask_until_done('recorder/start')
    first = len(sent)
    person.until(lambda: len(sent) >= first + SCRIPTED_COMMANDS, 'the pushes')
    person.ask_until_done('recorder/stop')
    person.node.destroy_timer(timer)
    person.node.destroy_publisher(commands)


def _learn_and_drive(person, least_rows):
    """Turn the bags into a dataset, the dataset into a checkpoint, and let that drive."""
    dataset, model = person.folder / 'dataset', person.folder / 'model'
    person.run_dpr('convert', person.folder / 'bags', '--out', dataset)
    info = json.loads((dataset / 'meta' / 'info.json').read_text())
    assert info['total_episodes'] == 1 and info['total_frames'] >= least_rows
    settings = [part for setting in TRAINING for part in ('--set', setting)]
    assert 'trained 40 steps' in person.run_dpr(
        'train', dataset, '--out', model, '--device', 'cpu', '--threads', 1, *settings)
    with Children(person.folder, person.environment) as person.children:
        person.children.start('pusht_sim', node_command('pusht_sim', {'seed': 3}))
        person.children.start('policy_server', node_command('policy_server', {
            'model': model, 'num_threads': 1, 'num_inference_steps': 4}))
        _drive(person)


def _drive(person):
    """Let the served policy command, and see the finger follow, which stood still before."""
    joints = person.hear(JointState, 'joint_states', qos.VECTORS)
    commands = person.hear(JointState, 'joint_commands', qos.EVENTS)
    _change(person, Transition.TRANSITION_CONFIGURE)
    person.until(lambda: len(joints) >= 10, 'joint states')
    assert not commands
    assert np.ptp(_positions(joints), axis=0) == pytest.approx([0.0, 0.0], abs=1e-4)
    start = _positions(joints)[-1]
    _change(person, Transition.TRANSITION_ACTIVATE)
    person.until(lambda: len(commands) >= 15, 'commands')
    person.until(lambda: np.abs(_positions(joints) - start).max() > 0.02, 'a move of 2 cm')
    # The finger went where it was told to: it never leaves the range of its start and commands.
    told = np.vstack([start, _positions(commands)])
    assert (_positions(joints) >= told.min(axis=0) - 0.02).all()
    assert (_positions(joints) <= told.max(axis=0) + 0.02).all()


def _change(person, transition):
    """Take the policy server through a lifecycle transition."""
    request = ChangeState.Request()
    request.transition.id = transition
    assert person.ask(ChangeState, 'policy_server/change_state', request).success, \
        person.children.tail('policy_server')


def _positions(messages):
    """Return finger x, y of joint messages, float64 ``(n, 2)``, m."""
    rows = [dict(zip(message.name, message.position)) for message in messages]
    return np.array([(row['finger_x'], row['finger_y']) for row in rows])
