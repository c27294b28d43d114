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
"""What the simulated mobile base says on ROS topics."""

import math

from diffusion_policy_ros import messages
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.sim.base.environment import GOAL_TOPIC, ODOMETRY_TOPIC, SCAN_TOPIC
from diffusion_policy_ros.sim.base.mobile_base import RANGE_MAX_M, RANGE_MIN_M
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import LaserScan

# The lidar is in the middle of the base and looks ahead with its first beam.
ODOMETRY_FRAME, BASE_FRAME = 'odom', 'base_link'


class BaseTopics:
    """The publishers of the base, and the messages that they send."""

    def __init__(self, node, base):
        """
        Create the publishers.

        :param node: The node that publishes.
        :param base: The ``MobileBase`` whose state is told.
        """
        self._base = base
        self._scan = node.create_publisher(LaserScan, SCAN_TOPIC, qos.ROBOT_STATE)
        self._odometry = node.create_publisher(Odometry, ODOMETRY_TOPIC, qos.ROBOT_STATE)
        self._goal = node.create_publisher(PoseStamped, GOAL_TOPIC, qos.STATUS)

    def show_scan(self, stamp_ns):
        """Publish what the lidar sees: beams to the left of the heading, all around."""
        ranges = self._base.scan()
        self._scan.publish(messages.laser_scan(
            MESSAGE_CLASSES, ranges, stamp_ns, range_min=RANGE_MIN_M, range_max=RANGE_MAX_M,
            angle_increment=2 * math.pi / len(ranges), frame_id=BASE_FRAME))

    def show_odometry(self, stamp_ns):
        """Publish where the base is and how it moves; both are exact."""
        motion = self._base.motion
        pose = messages.planar_pose_stamped(
            MESSAGE_CLASSES, motion.x, motion.y, motion.yaw, stamp_ns).pose
        twist = messages.twist(
            MESSAGE_CLASSES, (motion.linear, 0.0, 0.0), (0.0, 0.0, motion.angular))
        self._odometry.publish(messages.odometry(
            MESSAGE_CLASSES, pose, twist, stamp_ns, ODOMETRY_FRAME, BASE_FRAME))

    def show_goal(self, stamp_ns):
        """Publish, latched, where the base shall go."""
        self._goal.publish(messages.planar_pose_stamped(
            MESSAGE_CLASSES, *self._base.scene.goal, 0.0, stamp_ns, ODOMETRY_FRAME))
