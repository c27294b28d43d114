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

"""What the simulated Push-T robot says on ROS topics."""

import array
import json
import math

from builtin_interfaces.msg import Time
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.sim.pusht_commands import FINGER_JOINTS
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray, Header, String

COMMAND_TOPIC = 'joint_commands'
# x right, y down, z away from the viewer: a right-handed frame on the table.
TABLE_FRAME = 'table'
CAMERA_FRAME = 'camera_optical_frame'


class PushTTopics:
    """The publishers of the robot, and the messages that they send."""

    def __init__(self, node, sim):
        """
        Create the publishers.

        :param node: The node that publishes.
        :param sim: The ``PushT`` whose state is told.
        """
        self._sim = sim
        self._camera = node.create_publisher(Image, 'camera/image_raw', qos.ROBOT_STATE)
        self._joints = node.create_publisher(JointState, 'joint_states', qos.ROBOT_STATE)
        self._block = node.create_publisher(PoseStamped, 'block_pose', qos.ROBOT_STATE)
        self._coverage = node.create_publisher(Float64MultiArray, '~/coverage', qos.EVENTS)
        self._episode = node.create_publisher(String, '~/episode', qos.STATUS)

    def show_camera(self, stamp_ns):
        """Publish the camera's picture."""
        self._camera.publish(image_message(self._sim.picture(), stamp_ns))

    def show_joints(self, stamp_ns):
        """Publish where the finger and the block are."""
        finger_x, finger_y, block_x, block_y, angle = self._sim.state().tolist()
        self._joints.publish(joint_message((finger_x, finger_y), stamp_ns))
        self._block.publish(pose_message(block_x, block_y, angle, stamp_ns))

    def show_coverage(self):
        """Publish the coverage now and its maximum since the reset."""
        values = array.array('d', (self._sim.coverage(), self._sim.max_coverage))
        self._coverage.publish(Float64MultiArray(data=values))

    def show_episode(self, **facts):
        """Publish, latched, which episode is on the table."""
        self._episode.publish(String(data=json.dumps(facts)))


def image_message(picture, stamp_ns):
    """
    Wrap a picture.

    :param picture: uint8 ``(H, W, 3)``, RGB.
    :param stamp_ns: When it was taken, ns.
    :return: sensor_msgs/Image, rgb8.
    """
    height, width, channels = picture.shape
    data = array.array('B')
    data.frombytes(picture.tobytes())
    return Image(header=_header(stamp_ns, CAMERA_FRAME), height=height, width=width,
                 encoding='rgb8', step=width * channels, data=data)


def joint_message(position, stamp_ns):
    """
    Say where the finger is, or shall be.

    :param position: x, y in m.
    :param stamp_ns: When, ns.
    :return: sensor_msgs/JointState.
    """
    return JointState(header=_header(stamp_ns, TABLE_FRAME), name=list(FINGER_JOINTS),
                      position=array.array('d', position))


def pose_message(x, y, angle, stamp_ns):
    """
    Say where the block is.

    :param x: Position in m.
    :param y: Position in m.
    :param angle: Rotation about z in rad.
    :param stamp_ns: When, ns.
    :return: geometry_msgs/PoseStamped.
    """
    turn = Quaternion(x=0.0, y=0.0, z=math.sin(angle / 2), w=math.cos(angle / 2))
    pose = Pose(position=Point(x=x, y=y, z=0.0), orientation=turn)
    return PoseStamped(header=_header(stamp_ns, TABLE_FRAME), pose=pose)


def _header(stamp_ns, frame_id):
    """Stamp a header."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    return Header(stamp=Time(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
