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
Killed at random moments while it records over DDS, a recorder loses at most its last second.

A publisher of its own process writes down what it sent and when, so that what is in the repaired
bag is held against something that no recorder wrote.
"""

import json
import os
from pathlib import Path
import random
import signal
import subprocess
import sys
import time

import pytest

rclpy = pytest.importorskip('rclpy')
from diffusion_policy_ros.contract import parse_contract  # noqa: E402,I100
from diffusion_policy_ros.data.bags.bag_reader import open_bag  # noqa: E402
from diffusion_policy_ros.nodes.recorder import Recorder  # noqa: E402
from rosbags.rosbag2 import Reader  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

DOMAIN_ID = 26
KILLS = 20
ROOT = Path(__file__).parents[2]
CONTRACT = """
robot: test
rate_hz: 10
observations:
  - {key: observation.images.cam, topic: cam, type: sensor_msgs/msg/Image,
     image: {height: 24, width: 32}, max_age_ms: 500}
  - {key: observation.state, topic: joints, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 500}
actions:
  - {topic: joints, type: sensor_msgs/msg/JointState, joints: [a], label: next_state}
"""
# So little that no chunk is full within the test: only what is flushed reaches the file.
# Prints one line of JSON for each message: topic, number, time in ns.
ROBOT = """
import array, json, random, sys, time
import rclpy
from sensor_msgs.msg import Image, JointState
rclpy.init()
node = rclpy.create_node('robot')
cam = node.create_publisher(Image, 'cam', 10)
joints = node.create_publisher(JointState, 'joints', 10)
noise = random.Random(0).randbytes(24 * 32 * 3)
def stamped(message):
    now = node.get_clock().now()
    message.header.stamp = now.to_msg()
    return now.nanoseconds
def send(topic, publisher, message, number):
    print(json.dumps([topic, number, stamped(message)]), flush=True)
    publisher.publish(message)
number, start = 0, time.monotonic()
while True:
    send('/joints', joints, JointState(name=['a'], position=[float(number)]), number)
    if number % 3 == 0:
        data = array.array('B', number.to_bytes(4, 'little') + noise[4:])
        send('/cam', cam, Image(height=24, width=32, encoding='rgb8', step=96, data=data),
             number)
    number += 1
    time.sleep(max(0, start + number / 100 - time.monotonic()))
"""
DONE = {'start': 'is being recorded', 'stop': 'nothing is being recorded'}
RECORDER = ('import sys; from diffusion_policy_ros.nodes.recorder import main; sys.exit(main())')


@pytest.fixture
def environment():
    return {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), 'PYTHONPATH': os.pathsep.join(
        [str(ROOT), os.environ.get('PYTHONPATH', '')])}


@pytest.fixture
def robot(environment, tmp_path):
    """Start the publisher; return the file in which it writes down what it sent."""
    log = tmp_path / 'sent.jsonl'
    with open(log, 'w') as file:
        process = subprocess.Popen([sys.executable, '-c', ROBOT], env=environment, stdout=file)
    yield log
    process.kill()
    process.wait()


def _sent(log):
    """Return {topic: [(number, ns)]} of what was sent."""
    found = {'/cam': [], '/joints': []}
    for line in log.read_text().splitlines():
        if line.endswith(']'):
            topic, number, stamp_ns = json.loads(line)
            found[topic].append((number, stamp_ns))
    return found


def _number(topic, message):
    """Return the number that a message carries."""
    if topic == 'joints':
        return int(message.position[0])
    return int.from_bytes(bytes(message.data[:4]), 'little')


def _read(path):
    """Return {topic: numbers} of a bag, which an independent reader must agree with."""
    types = {'cam': 'sensor_msgs/msg/Image', 'joints': 'sensor_msgs/msg/JointState'}
    found = {'/cam': [], '/joints': []}
    with open_bag(path) as bag:
        assert bag.contract == parse_contract(CONTRACT)
        assert bag.custom_data['task'] == 'push'
        heard = {topic.lstrip('/') for topic, (_, count) in bag.topics.items() if count}
        for topic, message, _ in bag.messages({topic: types[topic] for topic in heard}):
            found[f'/{topic}'].append(_number(topic, message))
    with Reader(path) as reader:
        assert reader.message_count == sum(1 for _ in reader.messages()) \
            == sum(map(len, found.values()))
    return found


def _record_and_die(peer, command, environment, name, rng):
    """Record a whole episode and part of another; return when that began and ended, ns."""
    # DDS takes some time to find out that a process is gone; another name keeps them apart.
    process = subprocess.Popen([*command, '-r', f'__node:={name}'], env=environment)
    try:
        def is_done(verb):
            answer = peer.call(Trigger, f'{name}/{verb}', Trigger.Request(), answer_s=5.0)
            # An answer may get lost while DDS is still discovering; the second one tells of it.
            return answer.success or DONE[verb] in answer.message

        peer.until(lambda: _let_pass(peer, 0.1) or is_done('start'), 'the first start')
        _let_pass(peer, 0.7)
        assert is_done('stop') and is_done('start')
        begin_ns = time.time_ns()
        _let_pass(peer, rng.uniform(0.0, 2.5))
    finally:
        kill_ns = time.time_ns()
        process.send_signal(signal.SIGKILL)
        process.wait()
    return begin_ns, kill_ns


def _let_pass(peer, duration_s):
    """Let time pass: how long, is what this test chooses."""
    end_s = time.monotonic() + duration_s
    peer.until(lambda: time.monotonic() > end_s, 'time')


def _assert_whole(found, sent, begin_ns, end_ns, moment):
    """Check that all that was sent between two times is there, in order, and nothing twice."""
    for topic, messages in sent.items():
        numbers = found[topic]
        assert numbers == sorted(set(numbers)), moment
        wanted = {number for number, ns in messages if begin_ns < ns < end_ns}
        missing = wanted - set(numbers)
        assert not missing, f'{moment}: {topic} lacks {sorted(missing)}'


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_only_the_last_second_is_missing(
        peer, environment, robot, tmp_path):
    contract = tmp_path / 'contract.yaml'
    contract.write_text(CONTRACT)
    bags, rng = tmp_path / 'bags', random.Random(os.environ.get('CRASH_SEED', '1'))
    command = [sys.executable, '-c', RECORDER, '--ros-args', '-p', f'contract:={contract}',
               '-p', f'output:={bags}', '-p', 'task:=push']
    finished, killed = {}, []
    for kill in range(KILLS):
        begin_ns, kill_ns = _record_and_die(
            peer, command, environment, f'recorder_{kill}', rng)
        numbers = sorted(int(p.name[8:]) for p in bags.glob('episode_*'))
        whole, damaged = (bags / f'episode_{number:06d}' for number in numbers[-2:])
        assert (whole / 'metadata.yaml').exists() and not (damaged / 'metadata.yaml').exists()
        finished[whole] = _read(whole)
        killed.append((damaged, begin_ns, kill_ns))
        _repair(peer, contract, bags, damaged)
        sent = _sent(robot)
        for path, content in finished.items():
            assert _read(path) == content
        path, begin_ns, kill_ns = killed[-1]
        moment = f'kill {kill}, {(kill_ns - begin_ns) / 1e9:.2f} s after the start'
        last_ns = kill_ns - 1_000_000_000
        if path.exists():
            _assert_whole(_read(path), sent, begin_ns + 100_000_000, last_ns, moment)
        else:
            assert last_ns < begin_ns, f'{moment}: nothing was saved'
            assert (bags / 'unrepaired' / path.name).is_dir()
    assert sum(path.exists() for path, _, _ in killed) > KILLS // 2


def _repair(peer, contract, bags, damaged):
    """Start a recorder in this process, which repairs, and end it."""
    recorder = peer.start(Recorder, contract=str(contract), output=str(bags))
    peer.until(lambda: recorder._repair.is_done, 'the repair', 120.0)
    assert len(recorder._repair.sentences) == 1 and str(damaged) in recorder._repair.sentences[0]
    peer.stop(recorder)
