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

"""The ROS message types that the package understands, and the components each one offers."""

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
JOINT_STATE = 'sensor_msgs/msg/JointState'
JOINT_TRAJECTORY = 'trajectory_msgs/msg/JointTrajectory'
FLOAT32_ARRAY = 'std_msgs/msg/Float32MultiArray'
FLOAT64_ARRAY = 'std_msgs/msg/Float64MultiArray'
POSE_STAMPED = 'geometry_msgs/msg/PoseStamped'
TWIST = 'geometry_msgs/msg/Twist'
TWIST_STAMPED = 'geometry_msgs/msg/TwistStamped'
ODOMETRY = 'nav_msgs/msg/Odometry'
LASER_SCAN = 'sensor_msgs/msg/LaserScan'

IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
JOINT_TYPES = (JOINT_STATE, JOINT_TRAJECTORY)
OBSERVATION_TYPES = IMAGE_TYPES + JOINT_TYPES + (
    FLOAT32_ARRAY, FLOAT64_ARRAY, POSE_STAMPED, TWIST, TWIST_STAMPED, ODOMETRY, LASER_SCAN)
ACTION_TYPES = JOINT_TYPES + (FLOAT64_ARRAY, POSE_STAMPED, TWIST, TWIST_STAMPED)
HEADERLESS_TYPES = (FLOAT32_ARRAY, FLOAT64_ARRAY, TWIST)
# Types whose messages do not say when they were sent: a trajectory's stamp says when to start.
UNDATED_TYPES = HEADERLESS_TYPES + (JOINT_TRAJECTORY,)

POSITION = ('position.x', 'position.y', 'position.z')
QUATERNION = ('orientation.x', 'orientation.y', 'orientation.z', 'orientation.w')
# The first two columns of the rotation matrix (Zhou et al. 2019, arXiv:1812.07035, section 4.2).
ROT6D = ('rotation.xx', 'rotation.yx', 'rotation.zx', 'rotation.xy', 'rotation.yy', 'rotation.zy')
TWIST_COMPONENTS = ('linear.x', 'linear.y', 'linear.z', 'angular.x', 'angular.y', 'angular.z')
# Field of a JointState -> the field of a JointTrajectoryPoint that carries the same.
TRAJECTORY_FIELDS = {'position': 'positions', 'velocity': 'velocities', 'effort': 'effort'}


def component_names(message_type, rotation='rot6d'):
    """
    Return the vector components that a message type offers, in their natural order.

    :param message_type: ROS type name, such as ``geometry_msgs/msg/Twist``.
    :param rotation: ``rot6d`` or ``quaternion``: how a pose's rotation is written.
    :return: Tuple of names; empty where the message itself, or the contract, names the entries.
    """
    pose = POSITION + (ROT6D if rotation == 'rot6d' else QUATERNION)
    if message_type == POSE_STAMPED:
        return pose
    if message_type in (TWIST, TWIST_STAMPED):
        return TWIST_COMPONENTS
    if message_type == ODOMETRY:
        return pose + TWIST_COMPONENTS
    return ()
