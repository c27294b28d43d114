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

"""A node of a test's own that commands the arm, beside the nodes that a launch file started."""

import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import Float64MultiArray

DEADLINE_S = 120.0
ARM = ('shoulder_pan', 'shoulder_lift', 'elbow', 'wrist_1', 'wrist_2', 'wrist_3')
TURN_RAD = 0.2


class ArmPeer:
    """
    Hears the arm's joints and cameras, and commands it as a policy does, through command_safety.

    :ivar joints: Newest positions by joint.
    :ivar stamps: Stamps of the joint states, ns.
    :ivar pictures: Newest picture by camera.
    """

    def __init__(self, use_sim_time):
        """Join the graph in a context of its own."""
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('arm_peer', context=self.context, parameter_overrides=[
            Parameter('use_sim_time', value=use_sim_time)])
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.joints, self.stamps, self.pictures = {}, [], {}
        self.node.create_subscription(JointState, 'joint_states', self._hear, 10)
        for camera in ('wrist_camera', 'scene_camera'):
            self.node.create_subscription(
                Image, f'{camera}/image_raw', lambda message, camera=camera:
                self.pictures.update({camera: message}), qos_profile_sensor_data)
        self._publishers = [self.node.create_publisher(
            Float64MultiArray, f'policy/{controller}/commands', 1)
            for controller in ('arm_forward_controller', 'gripper_controller')]

    def close(self):
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def until(self, condition, what):
        """Spin until a condition holds; fail, naming what was awaited, when it never does."""
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, f'waited {DEADLINE_S:g} s in vain for {what}'
            self._executor.spin_once(timeout_sec=0.05)

    def turn_and_close(self):
        """Command the first joint a little further and the gripper to close, until both are."""
        self.until(lambda: {*ARM, 'gripper'} <= self.joints.keys(), 'the joint states')
        wanted = [self.joints[name] for name in ARM]
        wanted[0] += TURN_RAD
        self.node.create_timer(0.05, lambda: self._command(wanted, [0.01]))
        self.until(lambda: abs(self.joints['shoulder_pan'] - wanted[0]) < 0.02
                   and abs(self.joints['gripper'] - 0.01) < 0.003, 'arm and gripper to arrive')
        assert self.stamps == sorted(self.stamps)

    def _command(self, *values):
        """Publish one command for the arm and one for the gripper."""
        for publisher, numbers in zip(self._publishers, values):
            publisher.publish(Float64MultiArray(data=numbers))

    def _hear(self, message):
        """Keep a joint state."""
        self.joints.update(zip(message.name, message.position))
        self.stamps.append(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)
