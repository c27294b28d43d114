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

"""A bag of any size to measure conversions on: two cameras and joints, every picture another."""

from diffusion_policy_ros import messages
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
import numpy as np
from rosbags.typesys import get_typestore, Stores

WIDTH, HEIGHT = 640, 480
CAMERA_RATE_HZ, JOINT_RATE_HZ = 30, 100
CAMERAS = ('wrist', 'front')
JOINTS = tuple(f'joint_{k}' for k in range(1, 8))
START_NS = 1_700_000_000_000_000_000
LAG_S = 0.08  # the joints follow their commands by so much
CONTRACT = """
robot: bench
rate_hz: 30
settle_ms: 20
observations:
  - {key: observation.images.wrist, topic: wrist/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 480, width: 640}, max_age_ms: 100}
  - {key: observation.images.front, topic: front/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 480, width: 640}, max_age_ms: 100}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [JOINTS], unit: rad, max_age_ms: 100}
actions:
  - {topic: joint_commands, type: sensor_msgs/msg/JointState, joints: [JOINTS], unit: rad,
     max_age_ms: 100}
""".replace('JOINTS', ', '.join(JOINTS))
FRAME_BYTES = WIDTH * HEIGHT * 3


def bench_contract():
    """Return the ``RobotContract`` of the bag."""
    return parse_contract(CONTRACT)


def write_bench_bag(folder, size_bytes) -> float:
    """
    Write the bag, uncompressed as ``ros2 bag record`` does by default.

    :param folder: Folder to create.
    :param size_bytes: Bytes of pictures, at least those of one second.
    :return: Its duration, s.
    """
    duration_s = size_bytes / (len(CAMERAS) * CAMERA_RATE_HZ * FRAME_BYTES)
    store = get_typestore(Stores.LATEST)
    scenes = {camera: _Scene(seed) for seed, camera in enumerate(CAMERAS)}
    with EpisodeBag(folder, bench_contract(), task='Measure the conversion.', compress=False,
                    typestore=store) as bag:
        for time_ns, topic in _timetable(duration_s):
            time_s = (time_ns - START_NS) / 1e9
            camera = topic.partition('/')[0]
            if camera in scenes:
                message = messages.image(store.types, scenes[camera].picture(time_s), time_ns)
            else:
                values = _angles(time_s - (LAG_S if topic == 'joint_states' else 0))
                message = messages.joint_state(store.types, JOINTS, values, time_ns)
            kind = message.__msgtype__
            bag.write(topic, kind, store.serialize_cdr(message, kind), time_ns + 2_000_000)
    return duration_s


class _Scene:
    """A smooth landscape that a camera sweeps over, and a box that moves through the picture."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[:HEIGHT, :4 * WIDTH]
        waves = [rng.uniform(0.005, 0.03, 2) for _ in range(3)]
        self._land = np.stack([128 + 60 * np.sin(rows * a) + 60 * np.cos(columns * b)
                               for a, b in waves], -1).astype(np.uint8)

    def picture(self, time_s):
        """Return what the camera shows."""
        left = round(1.5 * WIDTH * (1 + np.sin(0.4 * time_s)))
        picture = self._land[:, left:left + WIDTH].copy()
        top, side = (round(half * (1 + np.sin(speed * time_s)))
                     for half, speed in ((180, 1.1), (260, 0.7)))
        picture[top:top + 120, side:side + 120] = (200, 40, 60)
        return picture


def _timetable(duration_s):
    """Return (time in ns, topic) of every message, in order."""
    rates = {**{f'{camera}/image_raw': CAMERA_RATE_HZ for camera in CAMERAS},
             'joint_states': JOINT_RATE_HZ, 'joint_commands': JOINT_RATE_HZ}
    return sorted((START_NS + round(k * 1e9 / rate_hz), topic) for topic, rate_hz in rates.items()
                  for k in range(round(duration_s * rate_hz)))


def _angles(time_s):
    """Return commanded joint angles, rad."""
    return [np.sin((0.5 + 0.2 * k) * time_s + k) for k in range(len(JOINTS))]
