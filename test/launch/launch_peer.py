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

"""A node of a test's own, beside the nodes that a launch file started."""

import os
import time

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
import rclpy
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import Image, JointState

DEADLINE_S = 60.0
ACTIVATE, CONFIGURE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_CONFIGURE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
ACTIVE, INACTIVE = State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_INACTIVE
UNCONFIGURED = State.PRIMARY_STATE_UNCONFIGURED


class Peer:
    """
    Talks to launched nodes over DDS, in a context of its own.

    :ivar commands: Joint commands heard so far.
    """

    def __init__(self, namespace):
        """Join the graph in a namespace, as a robot that hears joint commands."""
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('peer', namespace=namespace, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._camera = self.node.create_publisher(Image, 'camera/image_raw', 1)
        self._joints = self.node.create_publisher(JointState, 'joint_states', 10)
        self.commands = []
        self.node.create_subscription(JointState, 'joint_commands', self.commands.append, 10)

    def close(self):
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def be_a_robot(self):
        """Publish picture and joint states, stamped now, 30 times per second from here on."""
        self.node.create_timer(1 / 30, self._show)

    def demonstrate(self):
        """Publish commands and the block's pose as well, as while a person demonstrates."""
        commands = self.node.create_publisher(JointState, 'joint_commands', 10)
        poses = self.node.create_publisher(PoseStamped, 'block_pose', 10)

        def show():
            joints, pose = self._joint_state(), PoseStamped()
            pose.header.stamp = joints.header.stamp
            commands.publish(joints)
            poses.publish(pose)

        self.node.create_timer(1 / 30, show)

    def until(self, condition, what):
        """Spin until a condition holds; fail, naming what was awaited, when it never does."""
        end_s = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < end_s, f'waited {DEADLINE_S:g} s in vain for {what}'
            self._executor.spin_once(timeout_sec=0.05)

    def call(self, kind, name, request):
        """Call a service, waiting for it first; its response."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f'service {name}')
        answer = client.call_async(request)
        self.until(answer.done, f'the answer of {name}')
        self.node.destroy_client(client)
        return answer.result()

    def state(self):
        """Return the policy server's lifecycle state, a number of ``State``."""
        return self.call(GetState, 'policy_server/get_state',
                         GetState.Request()).current_state.id

    def change(self, transition):
        """Ask the policy server for a transition; whether it worked."""
        request = ChangeState.Request(transition=Transition(id=transition))
        return self.call(ChangeState, 'policy_server/change_state', request).success

    def hears_commands(self, count):
        """Wait until so many more commands have arrived; these."""
        first = len(self.commands)
        self.until(lambda: len(self.commands) >= first + count, f'{count} commands')
        return self.commands[first:]

    def _show(self):
        """Publish one picture and one joint state."""
        joints, picture = self._joint_state(), Image(height=96, width=96, encoding='rgb8')
        picture.header.stamp = joints.header.stamp
        picture.step = 3 * 96
        picture.data.frombytes(os.urandom(96 * 96 * 3))
        self._camera.publish(picture)
        self._joints.publish(joints)

    def _joint_state(self):
        """Return a joint state in the middle of the table, stamped now."""
        joints = JointState(name=['finger_x', 'finger_y'], position=[0.25, 0.25])
        joints.header.stamp = self.node.get_clock().now().to_msg()
        return joints
