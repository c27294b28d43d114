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

"""
What ros2_control offers to whoever commands a robot, for a simulated one; no ROS, no physics.

Two controllers with the rules of ros2_controllers, on position interfaces, and the part of the
controller_manager that lets one controller at a time have a joint. They behave as if updated
continuously: nothing depends on an update rate.
"""

from diffusion_policy_ros.sim.arm.controllers.controller import Controller
from diffusion_policy_ros.sim.arm.controllers.controller_set import ControllerSet
from diffusion_policy_ros.sim.arm.controllers.forward import ForwardController
from diffusion_policy_ros.sim.arm.controllers.trajectory import TrajectoryController

__all__ = ['Controller', 'ControllerSet', 'ForwardController', 'TrajectoryController']
