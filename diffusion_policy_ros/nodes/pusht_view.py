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

"""Show the simulated Push-T table in a window and turn the mouse into commands."""

import signal

from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.pusht_topics import COMMAND_TOPIC, joint_message
from diffusion_policy_ros.nodes.recorder_client import RecorderClient
from diffusion_policy_ros.sim.pusht import TABLE_M
from diffusion_policy_ros.sim.pusht_picture import TABLE_PX
from diffusion_policy_ros.sim.pusht_window import TableWindow
import numpy as np
from sensor_msgs.msg import JointState

FRAME_PERIOD_S = 1.0 / 20.0
RECORDER_KEYS = {'s': 'start', 'e': 'stop', 'd': 'discard'}
HELP = 'hold the mouse: push, r: reset, s/e/d: start/end/discard a recording'


class View:
    """
    A window in which a person watches and demonstrates.

    While the left button is held, the place under the mouse goes out on the command topic at
    20 Hz. Keys: r resets the table; s, e and d start, end and discard a recording.
    """

    def __init__(self, node, sim, *, lock, on_reset):
        """
        Open the window.

        :param node: The node that publishes.
        :param sim: The ``PushT`` to show.
        :param lock: Held while the simulation is looked at.
        :param on_reset: Called without arguments when the person asks for a reset; returns
            (success, message).
        :raises ConfigError: if there is no display.
        """
        self._node = node
        self._sim = sim
        self._lock = lock
        self._on_reset = on_reset
        self._window = TableWindow()
        self._commands = node.create_publisher(JointState, COMMAND_TOPIC, qos.COMMANDS)
        self._recorder = RecorderClient(node)
        self._notice = HELP
        node.create_timer(FRAME_PERIOD_S, self._on_frame)

    def close(self):
        """Close the window."""
        self._window.close()

    def _on_frame(self):
        """Show the table, read keys and mouse."""
        for key in self._window.pressed_keys():
            self._on_key(key)
        if self._window.is_closed:
            self._node.get_logger().info('the window was closed')
            signal.raise_signal(signal.SIGINT)  # ends the node as Ctrl-C would
            return
        target = self._window.mouse_target()
        if target is not None:
            stamp_ns = self._node.get_clock().now().nanoseconds
            self._commands.publish(joint_message(np.clip(target, 0.0, TABLE_M), stamp_ns))
        with self._lock:
            coverage, picture = self._sim.coverage(), self._sim.picture(TABLE_PX)
        self._window.show(picture, f'Push-T  coverage {coverage:.2f}  -  {self._notice}')

    def _on_key(self, key):
        """Do what a key stands for."""
        if key == 'r':
            self._say(*self._on_reset())
        elif key in RECORDER_KEYS:
            self._recorder.ask(RECORDER_KEYS[key], self._say)

    def _say(self, success, message):
        """Tell the outcome of a key in the title bar and the log."""
        self._notice = message
        logger = self._node.get_logger()
        if success:
            logger.info(message)
        else:
            logger.warning(message)
