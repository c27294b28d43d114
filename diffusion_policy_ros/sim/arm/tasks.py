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

"""The tasks that the simulated arm can be given, and their environments, by name."""

from diffusion_policy_ros.sim.arm.environment import ArmEnvironment
from diffusion_policy_ros.sim.arm.pick_place import PickPlace
from diffusion_policy_ros.sim.arm.push import Push

TASKS = {'pick_place': PickPlace, 'push': Push}


def pick_place(contract) -> ArmEnvironment:
    """
    Make an arm that picks a cube and places it in a bin.

    :param contract: The robot's contract.
    """
    return ArmEnvironment(contract, PickPlace())


def push(contract) -> ArmEnvironment:
    """
    Make an arm that pushes a puck to a goal.

    :param contract: The robot's contract.
    """
    return ArmEnvironment(contract, Push())
