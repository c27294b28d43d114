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

"""What the tests of the data line share: a small contract, its messages, and bags of them."""

from contextlib import contextmanager
import resource

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.messages import build_message, build_planar_pose
import numpy as np
import pytest
from rosbags.typesys import get_typestore, Stores

CONTRACT = """
robot: small
rate_hz: 10
settle_ms: 20
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 12, width: 16}, max_age_ms: 150}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, wrist], max_age_ms: 150}
  - {key: observation.environment_state, topic: block_pose, type: geometry_msgs/msg/PoseStamped,
     role: auxiliary, max_age_ms: 150}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [elbow, wrist],
     max_age_ms: 150}
"""
START_NS = 1_700_000_000_000_000_000


class Demonstration:
    """Messages of the small contract: row k shows values that name k."""

    def __init__(self, contract):
        self.contract = contract
        self.typestore = get_typestore(Stores.LATEST)
        self.streams = {s.topic: s for s in contract.observations + contract.actions}

    def values(self, topic, k):
        """Return what a topic shows in row k."""
        if topic == 'camera/image_raw':
            rows, columns = np.mgrid[:12, :16]
            return np.stack([rows * 5 + k, columns * 5 + k, rows + columns], -1).astype(np.uint8)
        if topic == 'block_pose':
            return 0.1 * k, 0.2 * k, 0.3 * k
        offset = 100.0 if topic == 'joint_commands' else 0.0
        return np.array([offset + k, offset + k + 0.5])

    def message(self, topic, k, stamp_ns):
        """Build the message of row k."""
        stream = self.streams[topic]
        build = build_planar_pose if topic == 'block_pose' else build_message
        return build(stream, self.values(topic, k), stamp_ns, self.typestore.types)

    def messages(self, rows):
        """List (topic, message, receive_ns) of rows whose stamps are their ticks."""
        ticks = [(k, self.contract.tick_ns(START_NS, k)) for k in rows]
        return [(topic, self.message(topic, k, tick), tick)
                for k, tick in ticks for topic in self.streams]

    def write_bag(self, folder, rows, contract=None, leave_out=(), **options):
        """Write a bag of those rows."""
        options = {'task': 'Move the block.', **options}
        with EpisodeBag(folder, contract or self.contract, typestore=self.typestore,
                        **options) as bag:
            for topic, message, receive_ns in self.messages(rows):
                if topic not in leave_out:
                    kind = self.streams[topic].type
                    bag.write(topic, kind, self.typestore.serialize_cdr(message, kind), receive_ns)
        return folder


@contextmanager
def full_disk(size):
    """Let every file of this process be full at some size in bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(name='full_disk')
def give_full_disk():
    """Give the context manager."""
    return full_disk


@pytest.fixture(scope='session')
def contract():
    """Give the small contract."""
    return parse_contract(CONTRACT)


@pytest.fixture(scope='session')
def demonstration(contract):
    """Give the message maker of the small contract."""
    return Demonstration(contract)
