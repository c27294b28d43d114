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

"""
The same messages, once through a bag and once live over DDS, give byte-equal windows.

Two processes never receive a message in the same nanosecond, so a recorder's arrival times are
not the server's, and a message near the end of ``settle_ms`` could count for one of them only.
The comparison is exact because both sides here use the arrival times in the bag. All else is real:
CDR bytes, an mcap file, a DDS publisher and subscriber, rosbags' and rclpy's message objects.
"""

import cv2
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.errors import AlignmentError
from diffusion_policy_ros.observation.window import WindowBuilder
import numpy as np
import pytest

DOMAIN_ID = 10
MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
TYPES = {
    'camera/image_raw': 'sensor_msgs/msg/Image',
    'scene/compressed': 'sensor_msgs/msg/CompressedImage',
    'depth/image_raw': 'sensor_msgs/msg/Image',
    'joint_states': 'sensor_msgs/msg/JointState',
    'gripper': 'std_msgs/msg/Float32MultiArray',
    'block_pose': 'geometry_msgs/msg/PoseStamped',
    'odom': 'nav_msgs/msg/Odometry',
    'scan': 'sensor_msgs/msg/LaserScan'}
CONTRACT = parse_contract("""
robot: test
rate_hz: 10
settle_ms: 15
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 24, width: 24, resize: crop}, max_age_ms: 150}
  - {key: observation.images.scene, topic: scene/compressed,
     type: sensor_msgs/msg/CompressedImage, image: {height: 20, width: 30, resize: stretch},
     max_age_ms: 300}
  - {key: observation.images.depth, topic: depth/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 8, width: 8, encoding: 32FC1, resize: pad}, max_age_ms: 300}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [elbow, shoulder], max_age_ms: 150}
  - {key: observation.state, topic: gripper, type: std_msgs/msg/Float32MultiArray,
     names: [gripper], stamp: receive, max_age_ms: 400}
  - {key: observation.environment_state, topic: block_pose, type: geometry_msgs/msg/PoseStamped,
     on_stale: hold, max_age_ms: 100}
  - {key: observation.base, topic: odom, type: nav_msgs/msg/Odometry, role: auxiliary,
     names: [rotation.xx, linear.x], max_age_ms: 300}
  - {key: observation.scan, topic: scan, type: sensor_msgs/msg/LaserScan, names: [left, right],
     max_age_ms: 400}
actions:
  - {topic: command, type: std_msgs/msg/Float64MultiArray, names: [a], stamp: receive}
""")
TICKS = [CONTRACT.tick_ns(START_NS, k) for k in range(-1, 12)]


class Episode:
    """Messages as rosbags builds them, with jitter, loss, late arrivals and wrong order."""

    def __init__(self, types):
        self.types = types
        self.rng = np.random.default_rng(11)
        periods = dict(zip(TYPES, (33, 67, 50, 10, 150, 300, 20, 100)))
        messages = [self.message(topic, START_NS + k * period * MS)
                    for topic, period in periods.items() for k in range(1200 // period)
                    if self.rng.random() > 0.05]
        self.messages = sorted(messages, key=lambda entry: entry[2])  # in order of arrival

    def message(self, topic, due_ns):
        """Return (topic, message, receive_ns); one in ten arrives after the settling time."""
        stamp_ns = due_ns + int(self.rng.integers(-3 * MS, 3 * MS))
        delay_ms = self.rng.choice([0.4, 12.0, 80.0], p=[0.6, 0.3, 0.1])
        name = topic.split('/')[0]
        return topic, getattr(self, name)(self.header(stamp_ns)), stamp_ns + int(delay_ms * MS)

    def new(self, kind, /, **fields):
        return self.types[kind](**fields)

    def header(self, stamp_ns):
        stamp = self.new('builtin_interfaces/msg/Time', sec=stamp_ns // 10 ** 9,
                         nanosec=stamp_ns % 10 ** 9)
        return self.new('std_msgs/msg/Header', stamp=stamp, frame_id='frame')

    def camera(self, header):
        return self.new('sensor_msgs/msg/Image', header=header, height=48, width=64,
                        encoding='bgr8', is_bigendian=0, step=200,
                        data=self.rng.integers(0, 256, 48 * 200, dtype=np.uint8))

    def depth(self, header):
        depth = self.rng.integers(0, 5000, (10, 12)).astype('>u2')
        return self.new('sensor_msgs/msg/Image', header=header, height=10, width=12, step=24,
                        encoding='16UC1', is_bigendian=1, data=depth.view(np.uint8).ravel())

    def scene(self, header):
        pixels = cv2.resize(self.rng.integers(0, 256, (4, 6, 3), dtype=np.uint8), (60, 40))
        return self.new('sensor_msgs/msg/CompressedImage', header=header,
                        format='bgr8; jpeg compressed bgr8', data=cv2.imencode('.jpg', pixels)[1])

    def joint_states(self, header):
        names = list(self.rng.permutation(['shoulder', 'elbow', 'wrist']))
        return self.new('sensor_msgs/msg/JointState', header=header, name=names,
                        position=self.rng.normal(size=3), velocity=np.zeros(0),
                        effort=np.full(3, np.nan))

    def gripper(self, header):
        layout = self.new('std_msgs/msg/MultiArrayLayout', dim=[], data_offset=0)
        return self.new('std_msgs/msg/Float32MultiArray', layout=layout,
                        data=self.rng.random(1, dtype=np.float32))

    def pose(self):
        x, y, z, w = self.rng.normal(size=4)
        position = self.new('geometry_msgs/msg/Point', x=x, y=y, z=z)
        return self.new('geometry_msgs/msg/Pose', position=position, orientation=self.new(
            'geometry_msgs/msg/Quaternion', x=x, y=y, z=z, w=w))

    def block_pose(self, header):
        return self.new('geometry_msgs/msg/PoseStamped', header=header, pose=self.pose())

    def odom(self, header):
        zero = np.zeros(36)
        linear, angular = (self.new('geometry_msgs/msg/Vector3', **dict(zip(
            'xyz', self.rng.normal(size=3)))) for _ in range(2))
        twist = self.new('geometry_msgs/msg/Twist', linear=linear, angular=angular)
        return self.new(
            'nav_msgs/msg/Odometry', header=header, child_frame_id='base',
            pose=self.new('geometry_msgs/msg/PoseWithCovariance', pose=self.pose(),
                          covariance=zero),
            twist=self.new('geometry_msgs/msg/TwistWithCovariance', twist=twist, covariance=zero))

    def scan(self, header):
        ranges = self.rng.uniform(0.1, 14.0, 6).astype(np.float32)
        ranges[self.rng.integers(6)] = self.rng.choice([np.inf, -np.inf])
        return self.new('sensor_msgs/msg/LaserScan', header=header, angle_min=0.0, angle_max=1.0,
                        angle_increment=0.2, time_increment=0.0, scan_time=0.1, range_min=0.1,
                        range_max=12.0, ranges=ranges, intensities=np.zeros(0, np.float32))


@pytest.fixture(scope='module')
def typestore():
    typesys = pytest.importorskip('rosbags.typesys')
    return typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)


@pytest.fixture(scope='module')
def bag(typestore, tmp_path_factory):
    """Write the episode to an mcap bag; return its folder."""
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    folder = tmp_path_factory.mktemp('bags') / 'episode'
    writer = rosbag2.Writer(folder, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP)
    with writer:
        connections = {topic: writer.add_connection(f'/{topic}', kind, typestore=typestore)
                       for topic, kind in TYPES.items()}
        for topic, message, receive_ns in Episode(typestore.types).messages:
            data = typestore.serialize_cdr(message, TYPES[topic])
            writer.write(connections[topic], receive_ns, bytes(data))
    return folder


def read(bag, typestore):
    """Return (topic, CDR bytes, message, receive_ns) of the bag in order of arrival."""
    rosbag2 = pytest.importorskip('rosbags.rosbag2')
    with rosbag2.Reader(bag) as reader:
        return [(connection.topic[1:], bytes(data),
                 typestore.deserialize_cdr(data, connection.msgtype), receive_ns)
                for connection, receive_ns, data in reader.messages()]


def collect(pushes, build):
    """Ask for each tick as soon as its settling time is over; return what was built."""
    builder = WindowBuilder(CONTRACT, n_obs_steps=2)
    found, pending = [], list(TICKS)
    for topic, message, receive_ns in pushes:
        while pending and receive_ns > pending[0] + CONTRACT.settle_ns:
            found.append(fingerprint(build, builder, pending.pop(0)))
        builder.push(topic, message, receive_ns)
    return found + [fingerprint(build, builder, tick) for tick in pending]


def fingerprint(build, builder, tick_ns):
    """Return every byte of a result, or the reason why there is none."""
    try:
        values, ages = build(builder, tick_ns)
    except AlignmentError as error:
        return str(error)
    return {key: (value.dtype.str, value.shape, value.tobytes())
            for key, value in values.items()}, ages


class Loopback:
    """A publisher and a subscription for each topic, in one process, over DDS."""

    def __init__(self, node, qos):
        from importlib import import_module
        self.received = []
        self.publishers = {}
        for topic, kind in TYPES.items():
            package, _, name = kind.split('/')
            cls = getattr(import_module(f'{package}.msg'), name)
            self.publishers[topic] = node.create_publisher(cls, topic, qos)
            node.create_subscription(
                cls, topic, lambda message, topic=topic: self.received.append((topic, message)),
                qos)


@pytest.fixture
def loopback(monkeypatch):
    rclpy = pytest.importorskip('rclpy')
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN_ID)
    node = rclpy.create_node('same_path', context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    loop = Loopback(node, rclpy.qos.QoSProfile(depth=10))

    def spin_until(condition, deadline_s=30.0):
        end = node.get_clock().now().nanoseconds + deadline_s * 1e9
        while not condition():
            assert node.get_clock().now().nanoseconds < end, 'nothing came over DDS in time'
            executor.spin_once(timeout_sec=0.1)

    spin_until(lambda: all(p.get_subscription_count() for p in loop.publishers.values()))
    loop.spin_until = spin_until
    yield loop
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.fixture
def live(bag, typestore, loopback):
    """Play the bag's bytes over DDS; return what arrived, with the arrival times of the bag."""
    pushes = []
    for topic, data, _, receive_ns in read(bag, typestore):
        loopback.publishers[topic].publish(data)
        loopback.spin_until(lambda: len(loopback.received) > len(pushes))
        pushes.append((*loopback.received[-1], receive_ns))
    return pushes


@pytest.mark.parametrize('build', [WindowBuilder.window, WindowBuilder.row],
                         ids=['window', 'row'])
def test_bag_and_live_give_the_same_bytes(bag, typestore, live, build):
    recorded = [(topic, message, receive_ns)
                for topic, _, message, receive_ns in read(bag, typestore)]
    assert [entry[0] for entry in live] == [entry[0] for entry in recorded]
    assert type(live[0][1]) is not type(recorded[0][1])
    from_bag = collect(recorded, build)
    assert collect(live, build) == from_bag
    assert sum(isinstance(found, tuple) for found in from_bag) >= 9
    assert 'no message' in from_bag[0]


def test_bag_read_at_once_gives_the_windows_of_one_read_as_it_was_recorded(bag, typestore):
    recorded = [(topic, message, receive_ns)
                for topic, _, message, receive_ns in read(bag, typestore)]
    builder = WindowBuilder(CONTRACT, n_obs_steps=2, lateness_ns=2_000_000_000)
    for topic, message, receive_ns in recorded:
        builder.push(topic, message, receive_ns)
    at_once = [fingerprint(WindowBuilder.row, builder, tick) for tick in TICKS]
    live = collect(recorded, WindowBuilder.row)
    assert [f for f in at_once if isinstance(f, tuple)] == \
        [f for f in live if isinstance(f, tuple)]
