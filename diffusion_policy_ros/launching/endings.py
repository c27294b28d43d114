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

"""Launches that end with a process of theirs."""

from launch.actions import Shutdown


def end_with(name):
    """
    Return an ``on_exit`` of a process: the launch ends with it, unless it is ending already.

    A second request to end would find launch_ros's own node gone, which is an error of the launch.

    :param name: What ends, for the launch's message.
    """
    def react(event, context):
        del event
        return None if context.is_shutdown else [Shutdown(reason=f'{name} has ended')]

    return react
