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

"""The parameters of simulated controllers, told as ros2_control's controllers tell theirs."""

from functools import partial

from diffusion_policy_ros.control.controller_joints import disagreement
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.controllers.trajectory import TrajectoryController
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters


def offer_parameters(node, controllers) -> None:
    """
    Answer where a controller's node would be asked for its parameters.

    :param node: The node of the simulated robot.
    :param controllers: Simulated controllers.
    """
    for controller in controllers:
        node.create_service(GetParameters, f'{controller.name}/get_parameters',
                            partial(_answer, _parameters(controller)))


def check_controllers(contract, controllers) -> None:
    """
    Refuse a contract whose commands its controllers would not take.

    :param contract: ``RobotContract``.
    :param controllers: Topic to simulated controller, one for each output of the contract.
    :raises ConfigError: saying which, and what to change.
    """
    for output in contract.actions:
        controller = controllers[output.topic]
        objection = disagreement(output, controller.name, list(controller.joints),
                                 interface_name='position')
        if objection:
            raise ConfigError(objection)


def _parameters(controller):
    """Return those parameters of a controller that say how it reads commands."""
    joints = ParameterValue(type=ParameterType.PARAMETER_STRING_ARRAY,
                            string_array_value=controller.joints)
    if isinstance(controller, TrajectoryController):
        return {'joints': joints, 'allow_partial_joints_goal': ParameterValue(
            type=ParameterType.PARAMETER_BOOL, bool_value=False)}
    return {'joints': joints, 'interface_name': ParameterValue(
        type=ParameterType.PARAMETER_STRING, string_value='position')}


def _answer(parameters, request, response):
    """Answer with all values that are asked for, or with none, as a node does."""
    if all(name in parameters for name in request.names):
        response.values = [parameters[name] for name in request.names]
    return response
