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
"""How far a robot is trusted to go where it is sent, after it did not."""

REARM = 'call ~/rearm when it is safe to move'


class Trust:
    """
    Keeps a robot that is stopped by other means from being sent far ahead, again and again.

    A robot that was found elsewhere than it was sent begins its next motion slowly, until it must
    have moved. If it is found elsewhere before, or says itself that it is not ready any more, it
    follows nothing until somebody re-arms.

    :ivar refusal: Why it is not to move before, empty when it may.
    :ivar is_cautious: Whether it is to move slowly.
    """

    def __init__(self, cautious_scale):
        """
        Start with trust.

        :param cautious_scale: The speed scale that is allowed while there is doubt.
        """
        self._cautious_scale = cautious_scale
        self.refusal, self.is_cautious = '', False

    def doubt(self, text):
        """
        Note that the robot is not where it was sent.

        :param text: What is wrong, for people.
        """
        if self.is_cautious:
            self.withdraw(text)
        self.is_cautious = True

    def withdraw(self, text):
        """
        Let the robot move no more until ``restore``.

        :param text: What is wrong, for people.
        """
        self.refusal = f'{text}; {REARM}'

    def restore(self):
        """Let the robot move again, for somebody says that it may."""
        self.refusal = ''

    def gain(self):
        """Note that the robot has gone where it was sent."""
        self.is_cautious = False

    def allowed(self, speed_scale) -> float:
        """
        Return the speed scale that may be used now.

        :param speed_scale: The one that is wanted, in [0, 1].
        """
        return min(speed_scale, self._cautious_scale) if self.is_cautious else speed_scale
