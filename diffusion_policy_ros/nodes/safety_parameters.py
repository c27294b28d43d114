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

"""The parameters of the node ``command_safety``."""

from diffusion_policy_ros.parameter_spec import CPUS, ParameterSpec

WATCHDOG_ROWS = 3
LEAST_WATCHDOG_MS = 200.0
SPECS = (
    ParameterSpec('contract', '', 'Robot contract (YAML file); must be set', fixed=True),
    ParameterSpec('input_prefix', 'policy', 'Commands for <topic> are taken from <this>/<topic>',
                  fixed=True),
    ParameterSpec('rate_hz', 100.0, 'Commands to the controllers per second, Hz', 10.0, 500.0,
                  fixed=True),
    ParameterSpec('watchdog_ms', 0.0, 'Longest silence of an output before the robot is stopped, '
                  f"ms; 0 for {WATCHDOG_ROWS} of the contract's rows, at least "
                  f'{LEAST_WATCHDOG_MS:g}', 0.0, 5000.0, fixed=True),
    ParameterSpec('max_jump_s', 0.2, 'The first command of a motion may be as far from the robot '
                  "as each joint's velocity limit goes in this time, s", 0.01, 10.0, fixed=True),
    ParameterSpec('max_lag_s', 0.5, 'The longest time that robot and joint states stay behind '
                  'what is sent, s', 0.05, 60.0, fixed=True),
    ParameterSpec('max_offset_s', 0.02, 'Beside that lag, the robot may be as far from where it '
                  "is sent as each joint's velocity limit goes in this time, s", 0.015, 10.0,
                  fixed=True),
    ParameterSpec('ready_topic', '', 'Topic (std_msgs/msg/Bool) that must say true for the robot '
                  'to move; empty: none', fixed=True),
    ParameterSpec('ramp_in_s', 1.0, 'From rest, and when speed_scale is raised, the speed grows '
                  'to the full velocity limits in this time, s', 0.0, 60.0, fixed=True),
    CPUS,
    ParameterSpec('use_robot_description', False, 'Wait for the topic robot_description, and keep '
                  'its limits too: the tighter ones count', fixed=True),
    ParameterSpec('speed_scale', 1.0, 'Share of the velocity limits that may be used; 0 stops',
                  0.0, 1.0),
    ParameterSpec('dry_run', False, 'Compute and report everything, and publish nothing to the '
                  'controllers'),
)


def choose_watchdog_ms(wanted_ms, contract) -> float:
    """
    Return the longest silence of an output before the robot is stopped, ms.

    :param wanted_ms: The parameter; 0 for one that a single lost command does not set off.
    :param contract: ``RobotContract``.
    """
    return wanted_ms or max(WATCHDOG_ROWS * 1e3 / contract.rate_hz, LEAST_WATCHDOG_MS)
