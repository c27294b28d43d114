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

"""Errors in words for people; where one that nobody expected came from stands in the log."""

import traceback

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.nodes import reasons


class ToldErrors:
    """Tells of one node's errors; may be called from several threads."""

    def __init__(self, node):
        """
        Prepare.

        :param node: The node that logs.
        """
        self._node, self._told = node, set()

    def words(self, error, prefix='') -> str:
        """
        Say what went wrong; log the traceback of an unexpected error, once for each place.

        :param error: The exception.
        :param prefix: As for ``reasons.of_error``.
        :return: As of ``reasons.of_error``.
        """
        frames = traceback.extract_tb(error.__traceback__)
        place = type(error), *((frames[-1].filename, frames[-1].lineno) if frames else ())
        if not isinstance(error, DiffusionPolicyError) and place not in self._told:
            self._told.add(place)
            self._node.get_logger().error(
                f'unexpected, please report it: {"".join(traceback.format_exception(error))}')
        return reasons.of_error(error, prefix)
