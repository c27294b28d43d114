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

"""Where a robot is, as a command that would hold it there."""

from diffusion_policy_ros.control.safety.measured import MeasuredJoints
from diffusion_policy_ros.errors import DecodeError, SafetyError
from diffusion_policy_ros.finding import Finding
from diffusion_policy_ros.message_types import FLOAT64_ARRAY
from diffusion_policy_ros.observation.decode import decode
import numpy as np

# What command_safety puts before the topics of a contract.
PREFIX = 'policy'


def position_findings(node, contract, newest) -> list:
    """
    Write down where the robot is for outputs whose messages have no names to tell the order by.

    :param node: The node that looks.
    :param contract: ``RobotContract``.
    :param newest: Topic of the contract to the newest message on it, where there is one.
    :return: One line for each output that holds positions, all of which are measured.
    """
    found = []
    for output in contract.actions:
        if output.type == FLOAT64_ARRAY and not output.is_velocity:
            numbers = _measured(contract, output, newest)
            if numbers is not None and np.isfinite(numbers).all():
                found.append(_finding(node, output, numbers))
    return found


def _measured(contract, output, newest):
    """Return where the joints of an output are, None where nobody says that in its unit."""
    names = output.names
    try:
        measured = MeasuredJoints(contract.observations, names, np.ones(len(names)))
        measured.check_unit(output)
        for stream in measured.names_by_stream():
            if stream.topic in newest:
                measured.update(stream, decode(newest[stream.topic], stream), 0.0)
    except (SafetyError, DecodeError):  # told elsewhere
        return None
    return measured.positions(names)


def _finding(node, output, numbers):
    """Return the line about an output."""
    topic = node.resolve_topic_name(f'{PREFIX}/{output.topic}')
    row = ', '.join(f'{number:.4f}' for number in numbers)
    return Finding('OK', topic, (
        f"where {', '.join(output.names)} are now, as a command in this order:\n{'':24}"
        f"ros2 topic pub -r 20 {topic} {output.type} '{{data: [{row}]}}'"))
