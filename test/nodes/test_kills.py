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
"""Processes that are killed while the robot moves: it comes to rest, and goes on by itself."""

from pathlib import Path
import sys

import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diffusion_policy_ros.cli.children import node_command  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402

DOMAIN_ID = 60
ROOT = Path(__file__).parents[2]
CONTRACT = ROOT / 'config' / 'robots' / 'pusht.yaml'
JERK = 200.0  # m/s^3, assumed for both joints
PERIOD_S = 0.01
WATCHDOG_S, MAX_AGE_S = 0.3, 0.25
STOPPING_S = 0.3  # v / a + 2 a / j
# The server looks at the camera once in this time, and a little later still commands.
TICK_S, SETTLE_S = 0.1, 0.025
# Messages on their way while two cores run five processes.
TRANSIT_S = 0.1
# A robot in three processes: two show pictures, the other one follows its commands at once.
CAMERA = """
import array
import sys
import rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera')
publisher = node.create_publisher(Image, sys.argv[1], 10)
pixels = array.array('B', bytes(range(256)) * 108)
def show():
    image = Image(height=96, width=96, encoding='rgb8', step=288, data=pixels)
    image.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(image)
node.create_timer(1 / 30, show)
rclpy.spin(node)
"""
JOINTS = """
import rclpy
from sensor_msgs.msg import JointState
rclpy.init()
node = rclpy.create_node('joints')
publisher = node.create_publisher(JointState, 'joint_states', 10)
state = JointState(name=['finger_x', 'finger_y'], position=[0.25, 0.25])
def follow(command):
    state.position = command.position
def show():
    state.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(state)
node.create_subscription(JointState, 'joint_commands', follow, 10)
node.create_timer(0.02, show)
rclpy.spin(node)
"""


SECOND_CAMERA = """observations:
  - key: observation.images.wrist
    topic: wrist/image_raw
    type: sensor_msgs/msg/Image
    image: {height: 96, width: 96, encoding: rgb8, resize: exact}
    stamp: header
    max_age_ms: 250
"""


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy, whose plans go far; its folder."""
    return save_tiny_policy(n_action_steps=4)


@pytest.fixture(scope='module')
def two_camera_model(save_tiny_policy, tmp_path_factory):
    """Save such a policy for a robot with two cameras; its folder."""
    contract = tmp_path_factory.mktemp('contract') / 'two_cameras.yaml'
    contract.write_text(CONTRACT.read_text().replace('observations:\n', SECOND_CAMERA))
    return save_tiny_policy(n_action_steps=4, contract=contract)


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.fixture
def make_world(make_processes, limits_of):
    """Return a function that makes the world of a policy."""
    def make(model):
        return make_processes(
            {'pusht_sim': node_command('pusht_sim', {}),
             'joints': [sys.executable, '-c', JOINTS],
             **{name: [sys.executable, '-c', CAMERA, f'{name}/image_raw']
                for name in ('camera', 'wrist')},
             'policy_server': node_command('policy_server', {
                 'model': model, 'num_threads': 1, 'command_prefix': 'policy',
                 'command_rate_hz': 30.0}),
             'command_safety': node_command('command_safety', {
                 'contract': CONTRACT, 'ramp_in_s': 0.2})},
            'joint_commands', JointState, lambda message, _: (
                stamp_ns(message) / 1e9, message.position), limits_of(load_contract(CONTRACT)))

    return make


@pytest.fixture
def world(make_world, model):
    return make_world(model)


@pytest.mark.slow
def test_a_killed_policy_server_leaves_a_robot_at_rest_that_goes_on_with_the_next_one(world):
    world.start('pusht_sim', 'command_safety', 'policy_server')
    world.until_it_follows()
    killed_s = world.kill('policy_server')
    world.until('command_safety', 'HOLDING: joint_commands: no acceptable command for', '0.30 s')
    world.until_more(world.sent)
    assert world.step() < 1e-9
    assert world.asked[-1][1] <= killed_s + TICK_S
    assert world.rest_s(killed_s) <= WATCHDOG_S + STOPPING_S + TRANSIT_S
    world.start('policy_server')
    world.until_it_follows()
    world.assert_limits_kept()


@pytest.mark.slow
def test_a_killed_robot_is_sent_to_rest_and_followed_again_when_it_is_back(world):
    world.start('pusht_sim', 'command_safety', 'policy_server')
    world.until_it_follows()
    killed_s = world.kill('pusht_sim')
    world.until('command_safety', 'HOLDING: joint_states: the last measurement is', '0.25 s')
    world.until('policy_server', 'old, limit 0.250 s')
    assert world.listen(1.0) == 0  # where it is when it comes back is not known yet
    assert world.step() <= JERK * PERIOD_S**3 / 6 * (1 + 1e-6)  # the last one into rest
    assert world.rest_s(killed_s) <= MAX_AGE_S + STOPPING_S + TRANSIT_S
    world.start('pusht_sim')
    world.until_it_follows()
    world.assert_limits_kept()


@pytest.mark.slow
@pytest.mark.parametrize('camera', ['camera', 'wrist'])
def test_a_killed_camera_stops_the_policy_and_with_it_the_robot(
        make_world, two_camera_model, camera):
    world = make_world(two_camera_model)
    world.start('camera', 'wrist', 'joints', 'command_safety', 'policy_server')
    world.until_it_follows()
    killed_s = world.kill(camera)
    world.until('policy_server', f'{camera}/image_raw', 'old, limit 0.250 s')
    world.until('command_safety', 'HOLDING: joint_commands: no acceptable command for', '0.30 s')
    world.until_more(world.sent)
    assert world.step() < 1e-9
    asked_s = world.asked[-1][1]
    assert asked_s - killed_s <= MAX_AGE_S + TICK_S + SETTLE_S + TRANSIT_S
    assert world.rest_s(asked_s) <= WATCHDOG_S + STOPPING_S + TRANSIT_S
    world.start(camera)
    world.until_it_follows()
    world.assert_limits_kept()


@pytest.mark.slow
def test_a_killed_safety_node_leaves_the_controller_with_its_last_command(world):
    world.start('pusht_sim', 'command_safety', 'policy_server')
    world.until_it_follows()
    world.kill('command_safety')
    world.listen(0.5)
    assert world.listen(1.0) == 0
    assert len(world.asked) and 'commanding' in world.status['policy_server'][-1].message
    last = dict(zip(('finger_x', 'finger_y'), world.sent[-1][2:]))
    at = dict(zip(world.joints[-1].name, world.joints[-1].position))
    assert at == pytest.approx(last, abs=1e-3)  # this robot goes on to it, and stands there
    world.start('command_safety')
    world.until_it_follows()
    world.assert_limits_kept()
