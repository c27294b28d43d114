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

from collections import Counter

from diffusion_policy_ros import messages
from diffusion_policy_ros.message_types import FLOAT64_ARRAY
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.sim.pusht_commands import FINGER_JOINTS
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray

COMMAND_TOPIC = 'joint_commands'
CAMERA_TOPIC, JOINTS_TOPIC = 'camera/image_raw', 'joint_states'
# x right, y down, z away from the viewer: a right-handed frame on the table.
TABLE_FRAME = 'table'
CAMERA_FRAME = 'camera_optical_frame'


class PushTTopics:
    """
    The publishers of the robot, and the messages that they send.

    :ivar shown: How many pictures and joint states were published, by topic.
    """

    def __init__(self, node, sim):
        """
        Create the publishers.

        :param node: The node that publishes.
        :param sim: The ``PushT`` whose state is told.
        """
        self._sim, self.shown = sim, Counter()
        self._camera = node.create_publisher(Image, CAMERA_TOPIC, qos.ROBOT_STATE)
        self._joints = node.create_publisher(JointState, JOINTS_TOPIC, qos.ROBOT_STATE)
        self._block = node.create_publisher(PoseStamped, 'block_pose', qos.ROBOT_STATE)
        self._coverage = node.create_publisher(Float64MultiArray, '~/coverage', qos.EVENTS)

    def show_camera(self, stamp_ns):
        """Publish the camera's picture."""
        self._camera.publish(messages.image(
            MESSAGE_CLASSES, self._sim.picture(), stamp_ns, CAMERA_FRAME))
        self.shown[CAMERA_TOPIC] += 1

    def show_joints(self, stamp_ns):
        """Publish where the finger and the block are."""
        state = self._sim.state()  # finger x, y, block x, y, angle
        self._joints.publish(joint_message(state[:2], stamp_ns))
        self.shown[JOINTS_TOPIC] += 1
        self._block.publish(messages.planar_pose_stamped(
            MESSAGE_CLASSES, *state[2:], stamp_ns, TABLE_FRAME))

    def show_coverage(self):
        """Publish the coverage now and its maximum since the reset."""
        values = self._sim.coverage(), self._sim.max_coverage
        self._coverage.publish(messages.multi_array(MESSAGE_CLASSES, FLOAT64_ARRAY, values))


def joint_message(position, stamp_ns):
    """
    Say where the finger is, or shall be.

    :param position: x, y in m.
    :param stamp_ns: When, ns.
    :return: sensor_msgs/JointState.
    """
    return messages.joint_state(
        MESSAGE_CLASSES, FINGER_JOINTS, position, stamp_ns, frame_id=TABLE_FRAME)
