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

"""Why a robot does not follow its commands."""

from typing import NamedTuple

# What others may object to. A controller that takes joints wrongly, or has not told how, is sent
# nothing at all, and no position is sent beside a twin: no robot is shaken between two held ones.
BLOCKS = ('failure', 'end', 'dry_run', 'twin', 'publishers', 'controller', 'asking', 'ready')
# Why the robot does not follow.
SOURCES = ('e_stop', *BLOCKS, 'measured', 'tracking', 'rest', 'limits', 'rearm', 'speed_scale',
           'command', 'jump')


class Reason(NamedTuple):
    """
    Why the robot does not follow its commands.

    :ivar source: One of ``SOURCES``.
    :ivar text: What is wrong and, where that is not plain, what to do.
    """

    source: str
    text: str


ANEW = Reason('rest', 'comes to rest, to be measured anew')
