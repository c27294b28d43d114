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

"""The imitated robot over real DDS: what it shows, how often, and that it takes commands."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import load_contract, parse_contract  # noqa: E402,I100
from diffusion_policy_ros.errors import ContractError  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.bench_robot import BenchRobot  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from diffusion_policy_ros.observation.decode import decode  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402

DOMAIN_ID = 53
CONTRACT = """
robot: two_eyes
rate_hz: 10
observations:
  - key: observation.images.left
    topic: left/image_raw
    type: sensor_msgs/msg/Image
    image: {height: 12, width: 16, resize: stretch}
    max_age_ms: 250
  - key: observation.images.right
    topic: right/image_raw
    type: sensor_msgs/msg/CompressedImage
    image: {height: 12, width: 16, resize: stretch}
    max_age_ms: 250
  - key: observation.state
    topic: joint_states
    type: sensor_msgs/msg/JointState
    joints: [a, b]
    max_age_ms: 250
  - key: observation.state
    topic: joint_states
    type: sensor_msgs/msg/JointState
    joints: [gripper]
    field: effort
    max_age_ms: 250
  - key: observation.environment_state
    topic: block_pose
    type: geometry_msgs/msg/PoseStamped
    role: auxiliary
    max_age_ms: 250
actions:
  - topic: arm/joint_commands
    type: sensor_msgs/msg/JointState
    joints: [a, b]
  - topic: gripper/commands
    type: std_msgs/msg/Float64MultiArray
    names: [gripper]
    stamp: receive
"""


@pytest.fixture
def contract_path(tmp_path):
    path = tmp_path / 'contract.yaml'
    path.write_text(CONTRACT)
    return path


def _stamps_ns(messages):
    return np.array([m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages])


def test_cameras_and_joints_keep_their_rates_and_date_their_messages(peer, contract_path):
    before_ns = peer.node.get_clock().now().nanoseconds
    peer.start(BenchRobot, contract=str(contract_path))
    images = peer.hear(Image, 'left/image_raw', qos.ROBOT_STATE)
    joints = peer.hear(JointState, 'joint_states', qos.ROBOT_STATE)
    peer.until(lambda: len(images) > 30 and len(joints) > 100, 'streams')
    after_ns = peer.node.get_clock().now().nanoseconds
    for heard, rate_hz in ((images, 30.0), (joints, 100.0)):
        stamps = _stamps_ns(heard)
        assert before_ns < stamps[0] and stamps[-1] <= after_ns
        # Stamps are due times: a message that came late, or not at all, does not move others.
        periods = np.diff(stamps) * rate_hz / 1e9
        assert np.abs(periods - np.round(periods)).max() < 1e-3 and np.median(periods) == \
            pytest.approx(1.0, abs=1e-6)
    assert (images[0].width, images[0].height, images[0].encoding) == (640, 480, 'rgb8')
    assert all(one.data != another.data for one, another in zip(images, images[1:]))


def test_every_stream_of_the_policy_can_be_read_and_no_other_is_shown(peer, contract_path):
    contract = load_contract(contract_path)
    peer.start(BenchRobot, contract=str(contract_path), width=32, height=24)
    heard = {stream.topic: peer.hear(MESSAGE_CLASSES[stream.type], stream.topic, qos.ROBOT_STATE)
             for stream in contract.policy_observations}
    peer.until(lambda: all(heard.values()), 'all streams')
    for stream in contract.policy_observations:
        assert decode(heard[stream.topic][-1], stream).shape == stream.shape
    assert (heard['left/image_raw'][0].width, heard['left/image_raw'][0].height) == (32, 24)
    assert peer.node.count_publishers('block_pose') == 0


def test_the_robot_listens_to_every_output(peer, contract_path):
    peer.start(BenchRobot, contract=str(contract_path))
    outputs = [(MESSAGE_CLASSES[output.type], output.topic)
               for output in parse_contract(CONTRACT).actions]
    publishers = [peer.node.create_publisher(*output, qos.COMMANDS) for output in outputs]
    peer.until(lambda: all(p.get_subscription_count() for p in publishers), 'the robot listening')


def test_rates_are_as_asked_for(peer, contract_path):
    peer.start(BenchRobot, contract=str(contract_path), camera_rate_hz=12.5, state_rate_hz=40.0)
    images = peer.hear(Image, 'left/image_raw', qos.ROBOT_STATE)
    joints = peer.hear(JointState, 'joint_states', qos.ROBOT_STATE)
    peer.until(lambda: len(images) > 8 and len(joints) > 20, 'streams')
    assert np.median(np.diff(_stamps_ns(images))) == pytest.approx(80_000_000, abs=2)
    assert np.median(np.diff(_stamps_ns(joints))) == pytest.approx(25_000_000, abs=2)


def test_a_missing_contract_is_an_error(peer):
    with pytest.raises(ContractError, match='cannot read the contract'):
        peer.start(BenchRobot, contract='nowhere.yaml')
