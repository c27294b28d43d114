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


"""What comes of asking the recorder for something."""

from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus


class Answer(NamedTuple):
    """
    What came of it.

    :ivar success: Whether it was done.
    :ivar message: One sentence.
    :ivar level: How loud it is told, a level of ``DiagnosticStatus``.
    """

    success: bool
    message: str
    level: bytes = DiagnosticStatus.OK

    @property
    def is_refusal(self) -> bool:
        """Tell whether nothing was done, and nothing was wrong."""
        return not self.success and self.level == DiagnosticStatus.WARN


def refused(message) -> Answer:
    """
    Answer that nothing was done.

    :param message: Why, one sentence.
    """
    return Answer(False, message, DiagnosticStatus.WARN)
