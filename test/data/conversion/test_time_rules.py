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
Bags of wild traffic convert to exactly what the time rules predict.

The prediction is made here, message by message and tick by tick, from docs' rules alone; the bags
are written by rosbags' own writer, in all the ways in which recorders store them.
"""

from dataclasses import dataclass, replace

import cv2
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
import yaml

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
DURATION_S = 9
MIN_ROWS = 4
JOINTS = ('elbow', 'wrist', 'lid')  # the last one is none of the contract's


@dataclass
class Sent:
    """One message: what it shows, when it was stamped and when it arrived, ns."""

    topic: str
    value: np.ndarray
    stamp_ns: int
    receive_ns: int
    number: int


class Traffic:
    """Messages at odd rates, late by odd times, some of them lost."""

    def __init__(self, seed, contract):
        self.rng, self.contract = np.random.default_rng(seed), contract
        plan = {'camera/image_raw': (13.7, 8), 'joint_states': (47.0, 6),
                'block_pose': (21.0, 12), 'joint_commands': (18.0, 15)}
        sent = [m for topic, (rate_hz, late_ms) in plan.items()
                for m in self._stream(topic, rate_hz, late_ms)]
        self.sent = sorted(sent, key=lambda m: (m.receive_ns, m.topic))

    def _stream(self, topic, rate_hz, late_ms):
        """Make one topic's messages: jitter, latency, single losses, and one long hole."""
        hole = self.rng.uniform(2, 7)
        for number in range(round(DURATION_S * rate_hz)):
            at_s = (number + self.rng.uniform(0, 0.6)) / rate_hz
            if self.rng.random() < 0.05 or hole < at_s < hole + 0.4 and topic != 'joint_states':
                continue
            stamp_ns = START_NS + round(at_s * 1e9)
            late_ns = round(self.rng.exponential(late_ms) * MS)
            yield Sent(topic, self._value(topic), stamp_ns, stamp_ns + late_ns, number)

    def _value(self, topic):
        """Show something that no other message shows."""
        if topic == 'camera/image_raw':
            return self.rng.integers(0, 256, (12, 16, 3), np.uint8)
        return self.rng.normal(size=3 if topic == 'block_pose' else 2)


def predicted(traffic, contract):
    """Return the episodes, lists of (tick, {key: value}, {topic: age}), by the rules of time."""
    entries = {e.topic: e for e in contract.observations + contract.actions}
    by_topic = {topic: [m for m in traffic.sent if m.topic == topic] for topic in entries}
    stamps = {topic: [stamp_of(m, entries[topic]) - getattr(entries[topic], 'offset_ns', 0)
                      for m in messages] for topic, messages in by_topic.items()}
    first_ns = max(found[0] for found in stamps.values())
    last_ns = max(max(m.receive_ns for m in traffic.sent), min(map(max, stamps.values())))
    episodes, number = [[]], 0
    while (tick_ns := first_ns + round(number * 1e9 / contract.rate_hz)) <= last_ns:
        shown = {topic: newest(by_topic[topic], entry, tick_ns, contract)
                 for topic, entry in entries.items()}
        if None in shown.values():
            episodes.append([])
        else:
            episodes[-1].append((tick_ns, shown))
        number += 1
    return [rows for rows in episodes if len(rows) >= MIN_ROWS]


def newest(messages, entry, tick_ns, contract):
    """Return the newest usable message at a tick: what was seen, or commanded; None for none."""
    is_command = not hasattr(entry, 'key')
    due_ns = tick_ns + entry.offset_ns if is_command else tick_ns
    until_ns = due_ns + (min(entry.max_age_ns, 2000 * MS) if is_command else contract.settle_ns)
    usable = [m for m in messages if stamp_of(m, entry) <= due_ns and m.receive_ns <= until_ns]
    if not usable:
        return None
    best = max(usable, key=lambda m: (stamp_of(m, entry), m.receive_ns))
    return best if due_ns - stamp_of(best, entry) <= entry.max_age_ns else None


def stamp_of(message, entry):
    """Return when a message counts from."""
    return message.receive_ns if entry.stamp == 'receive' else message.stamp_ns


def build(sent, types, encoding, rng):
    """Build the ROS message of a sent one; joints come in any order, with others among them."""
    time = types['builtin_interfaces/msg/Time'](*divmod(sent.stamp_ns, 10**9))
    header = types['std_msgs/msg/Header'](time, 'frame')
    if sent.topic == 'camera/image_raw':
        return camera(sent.value, header, types, encoding)
    if sent.topic == 'block_pose':
        x, y, yaw = sent.value
        pose = types['geometry_msgs/msg/Pose'](
            types['geometry_msgs/msg/Point'](x, y, 0.0),
            types['geometry_msgs/msg/Quaternion'](0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)))
        return types['geometry_msgs/msg/PoseStamped'](header, pose)
    order = rng.permutation(3)
    values = np.array([*sent.value, 77.0])[order]
    return types['sensor_msgs/msg/JointState'](
        header, [JOINTS[k] for k in order], values, np.zeros(3), np.zeros(0))


def camera(picture, header, types, encoding):
    """Wrap a picture as rgb8, as padded bgr8, or as a compressed one."""
    if encoding == 'png':
        data = cv2.imencode('.png', picture[:, :, ::-1])[1]
        return types['sensor_msgs/msg/CompressedImage'](header, 'png', data.ravel())
    image = types['sensor_msgs/msg/Image']
    if encoding == 'rgb8':
        return image(header, 12, 16, 'rgb8', 0, 48, picture.ravel())
    padded = np.zeros((12, 16 * 3 + 5), np.uint8)
    padded[:, :48] = picture[:, :, ::-1].reshape(12, 48)
    return image(header, 12, 16, 'bgr8', 0, 53, padded.ravel())


def write(folder, traffic, store, encoding, storage, mode=None, parts=1):
    """Write a bag with rosbags, compressed and split as asked for."""
    rng, kinds = np.random.default_rng(9), {
        e.topic: e.type for e in traffic.contract.observations + traffic.contract.actions}
    for part, messages in enumerate(np.array_split(np.array(traffic.sent, object), parts)):
        writer = Writer(folder / f'part_{part}', version=8, storage_plugin=storage)
        if mode:
            writer.set_compression(mode, CompressionFormat.ZSTD)
        writer.set_custom_data('contract', traffic.contract.to_yaml())
        with writer:
            made = {topic: writer.add_connection(f'/robot/{topic}', kind, typestore=store)
                    for topic, kind in kinds.items()}
            for sent in messages:
                data = store.serialize_cdr(build(sent, store.types, encoding, rng),
                                           kinds[sent.topic])
                writer.write(made[sent.topic], sent.receive_ns, data)
    return folder / 'part_0' if parts == 1 else join(folder, parts)


def join(folder, parts):
    """Make one split bag of several, as rosbag2 leaves it when a size limit was set."""
    bag = folder / 'split'
    bag.mkdir()
    found = []
    for part in range(parts):
        found.append(yaml.safe_load((folder / f'part_{part}/metadata.yaml').read_text()))
        info = found[-1]['rosbag2_bagfile_information']
        for name in info['relative_file_paths']:
            (folder / f'part_{part}' / name).rename(bag / name)
    whole = found[0]['rosbag2_bagfile_information']
    for other in (f['rosbag2_bagfile_information'] for f in found[1:]):
        whole['relative_file_paths'] += other['relative_file_paths']
        whole['message_count'] += other['message_count']
        for mine, theirs in zip(whole['topics_with_message_count'],
                                other['topics_with_message_count']):
            assert mine['topic_metadata']['name'] == theirs['topic_metadata']['name']
            mine['message_count'] += theirs['message_count']
    (bag / 'metadata.yaml').write_text(yaml.safe_dump(found[0]))
    return bag


def check(folder, episodes, contract):
    """Compare a dataset with the prediction, every frame and every number of it."""
    reader = LeRobotReader(folder)
    assert [e.length for e in reader.episodes] == [len(rows) for rows in episodes]
    rows = [row for episode in episodes for row in episode]
    columns = reader.columns(['tick_ns', 'age_ns', 'observation.state', 'action',
                              'observation.environment_state'])
    assert columns['tick_ns'].ravel().tolist() == [tick_ns for tick_ns, _ in rows]
    entries = {e.topic: e for e in contract.observations + contract.actions}
    assert columns['age_ns'].tolist() == [
        [tick_ns + getattr(entry, 'offset_ns', 0) - stamp_of(shown[topic], entry)
         for topic, entry in entries.items()]
        for tick_ns, shown in rows]
    for key, topic in (('observation.state', 'joint_states'), ('action', 'joint_commands')):
        assert np.array_equal(columns[key], np.float32([s[topic].value for _, s in rows]))
    pose = np.array([s['block_pose'].value for _, s in rows])
    assert np.array_equal(columns['observation.environment_state'][:, :2], np.float32(pose[:, :2]))
    pictures = list(reader.frames('observation.images.camera'))
    assert np.array_equal(pictures, [s['camera/image_raw'].value for _, s in rows])


@pytest.mark.parametrize('seed, encoding, storage, mode, parts', [
    (0, 'rgb8', StoragePlugin.MCAP, None, 1),
    (1, 'bgr8', StoragePlugin.SQLITE3, None, 1),
    (2, 'png', StoragePlugin.MCAP, CompressionMode.STORAGE, 1),
    (3, 'bgr8', StoragePlugin.MCAP, None, 3),
    (4, 'png', StoragePlugin.SQLITE3, CompressionMode.FILE, 1),
    (5, 'rgb8', StoragePlugin.SQLITE3, CompressionMode.MESSAGE, 1),
    (6, 'bgr8', StoragePlugin.SQLITE3, CompressionMode.FILE, 3)])
def test_a_bag_becomes_what_the_rules_predict(
        tmp_path, demonstration, contract, seed, encoding, storage, mode, parts):
    if encoding == 'png':
        first = replace(contract.observations[0], type='sensor_msgs/msg/CompressedImage')
        contract = replace(contract, observations=(first, *contract.observations[1:]))
    traffic = Traffic(seed, contract)
    bag = write(tmp_path, traffic, demonstration.typestore, encoding, storage, mode, parts)
    summary = convert_bags([bag], tmp_path / 'dataset', task='t', codec='png', min_rows=MIN_ROWS,
                           progress=False)
    episodes = predicted(traffic, contract)
    assert len(episodes) > 1 and not summary.warnings
    assert summary.rows == sum(map(len, episodes))
    check(tmp_path / 'dataset', episodes, contract)


@pytest.mark.parametrize('seed, offset_ms, stamp, rate_hz', [
    (10, 60.0, 'header', 10), (11, -130.0, 'header', 10), (12, 0.0, 'receive', 10),
    (13, 45.0, 'receive', 15), (14, 0.0, 'header', 30)])
def test_offsets_stamps_and_rates_are_kept_to(
        tmp_path, demonstration, contract, seed, offset_ms, stamp, rate_hz):
    """Commands read earlier or later, everything dated by its arrival, rates with odd periods."""
    contract = replace(
        contract, rate_hz=rate_hz,
        observations=tuple(replace(o, stamp=stamp) for o in contract.observations),
        actions=(replace(contract.actions[0], offset_ms=offset_ms, stamp=stamp),))
    traffic = Traffic(seed, contract)
    bag = write(tmp_path, traffic, demonstration.typestore, 'rgb8', StoragePlugin.MCAP)
    convert_bags([bag], tmp_path / 'dataset', codec='png', min_rows=MIN_ROWS, progress=False)
    episodes = predicted(traffic, contract)
    assert episodes
    check(tmp_path / 'dataset', episodes, contract)
