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


"""The buttons of a joystick that start, stop and discard episodes."""

from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.recorder_parameters import BUTTONS
from sensor_msgs.msg import Joy

TOPIC = 'joy'


class JoyButtons:
    """Does what a button stands for at the moment when it is pressed, and not while it is held."""

    def __init__(self, node, settings, press):
        """
        Subscribe.

        :param node: The node that records.
        :param settings: Its ``Parameters``, read at every message.
        :param press: Called with one of ``BUTTONS`` when its button is pressed.
        """
        self._node, self._settings, self._press = node, settings, press
        self._before = None
        node.create_subscription(Joy, TOPIC, self._on_joy, qos.VECTORS)

    def _on_joy(self, message):
        """Compare with the message before; what was held when the first one came is no press."""
        before, now = self._before, list(message.buttons)
        self._before = now
        for name in BUTTONS:
            number = self._settings[name]
            if number >= len(now):
                self._node.get_logger().warning(
                    f'{name} is button {number}, but {self._node.resolve_topic_name(TOPIC)} has '
                    f'{len(now)} buttons, numbered from 0; set {name} to one of them, or to -1',
                    throttle_duration_sec=10.0)
            elif number >= 0 and now[number] and before is not None and _is_up(before, number):
                self._press(name)


def _is_up(buttons, number):
    """Tell whether a button is there and not pressed."""
    return number < len(buttons) and not buttons[number]
