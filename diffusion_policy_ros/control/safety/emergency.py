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

"""The latch of the emergency stop."""


class EmergencyStop:
    """
    The latch of the emergency stop; it outlives every activation of the node.

    :ivar reason: Who tripped it, empty while it is armed.
    :ivar trips: Changes with every trip; one press of the button may be several.
    :ivar rearms: Changes with every re-arming, also where nothing was tripped.
    """

    def __init__(self):
        """Start armed."""
        self.reason, self.trips, self.rearms = '', 0, 0
        self._is_pressed = False

    def button(self, pressed):
        """
        Take over the state of the button: pressing trips, releasing changes nothing else.

        :param pressed: Whether it is pressed.
        """
        self._is_pressed = pressed
        if pressed:
            self.trip('the e_stop topic')

    def trip(self, who):
        """
        Stop the robot until ``rearm``.

        :param who: Who wants that.
        """
        self.reason = self.reason or who
        self.trips += 1

    def rearm(self) -> str:
        """
        Let the robot move again.

        :return: Why that is refused, empty when it is done.
        """
        if self._is_pressed:
            return 'the e_stop topic still says true; release the button first'
        self.reason = ''
        self.rearms += 1
        return ''
