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

"""``KEY=KEY`` arguments."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import UsageError


def parse_pairs(option, texts) -> dict:
    """
    Read ``KEY=KEY`` arguments.

    :param option: Name of the option, for messages.
    :param texts: What was given.
    :return: Left side -> right side, in order.
    :raises UsageError: if one is not of this form, or given twice.
    """
    pairs = {}
    for text in texts:
        left, equals, right = text.partition('=')
        if not equals or not left or not right:
            raise UsageError(f'{option} {shown(text)} is not of the form KEY=KEY')
        if left in pairs:
            raise UsageError(f'{option} {text}: {left} is given twice; leave one out')
        pairs[left] = right
    return pairs
