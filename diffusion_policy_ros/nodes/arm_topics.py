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

"""What the simulated arm says on ROS topics."""

from diffusion_policy_ros import messages
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from geometry_msgs.msg import PoseStamped
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

JOINTS_TOPIC = 'joint_states'
WORLD_FRAME = 'world'


class ArmTopics:
    """The publishers of the robot, and the messages that they send."""

    def __init__(self, node, robot, *, publishes_clock):
        """
        Create the publishers.

        :param node: The node that publishes.
        :param robot: The ``SimulatedRobot``.
        :param publishes_clock: Whether simulated time is told on ``/clock``.
        """
        self._arm = robot.arm
        self.cameras = robot.arm.model.cameras
        self._images = {name: (node.create_publisher(Image, f'{name}/image_raw', qos.ROBOT_STATE),
                               node.create_publisher(CameraInfo, f'{name}/camera_info',
                                                     qos.ROBOT_STATE))
                        for name in self.cameras}
        self._joints = node.create_publisher(JointState, JOINTS_TOPIC, qos.ROBOT_STATE)
        self._models = {name: node.create_publisher(PoseStamped, f'~/{name}/pose', qos.ROBOT_STATE)
                        for name in self._arm.model.movable}
        self._clock = node.create_publisher(Clock, '/clock', qos.ROBOT_STATE) \
            if publishes_clock else None

    def show_clock(self, now_ns):
        """Publish simulated time, where this node is its source."""
        if self._clock:
            self._clock.publish(Clock(clock=messages.header(MESSAGE_CLASSES, now_ns).stamp))

    def show_camera(self, name, stamp_ns):
        """Publish what a camera sees, and how it maps the world to pixels."""
        image, info = self._images[name]
        camera = self.cameras[name]
        header = messages.header(MESSAGE_CLASSES, stamp_ns, camera.optical_frame)
        image.publish(messages.image(MESSAGE_CLASSES, self._arm.picture(name), stamp_ns,
                                     camera.optical_frame))
        matrix = camera.matrix
        projection = [*matrix[0], 0.0, *matrix[1], 0.0, *matrix[2], 0.0]
        info.publish(CameraInfo(
            header=header, width=camera.width, height=camera.height,
            distortion_model='plumb_bob', d=[0.0] * 5, k=matrix.ravel().tolist(),
            r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], p=projection))

    def show_joints(self, stamp_ns):
        """Publish the joints as the joint_state_broadcaster does, and where things are."""
        arm = self._arm
        self._joints.publish(JointState(
            header=messages.header(MESSAGE_CLASSES, stamp_ns), name=list(arm.joint_names),
            position=arm.positions().tolist(), velocity=arm.velocities().tolist(),
            effort=arm.efforts().tolist()))
        for name, publisher in self._models.items():
            position, quaternion = arm.pose_of(name)
            publisher.publish(messages.pose_stamped(
                MESSAGE_CLASSES, position.tolist(), quaternion.tolist(), stamp_ns, WORLD_FRAME))
