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

"""Put a guard together from a robot contract."""

from diffusion_policy_ros.control.safety.channel import Channel
from diffusion_policy_ros.control.safety.guard import Guard
from diffusion_policy_ros.control.safety.measured import MeasuredJoints
from diffusion_policy_ros.control.safety.trust import Trust


def build_guard(contract, limits, emergency, *, period_s, watchdog_s, tolerance, ramp_in_s,
                source):
    """
    Give every output of a contract its filter, and find out which stream measures its joints.

    :param contract: ``RobotContract``.
    :param limits: Limits of its outputs as for ``motion_limits``.
    :param emergency: ``EmergencyStop``.
    :param period_s: Time between two ticks, s.
    :param watchdog_s: Longest silence of an output that is tolerated, s.
    :param tolerance: ``Tolerance``.
    :param ramp_in_s: As for ``Guard``.
    :param source: Where the limits come from, for error messages.
    :return: ``Guard`` and its ``MeasuredJoints``.
    :raises SafetyError: for an output that cannot be limited, a joint without limits, and one
        whose position is commanded and not measured, or measured in another unit.
    """
    channels = [Channel(output, limits, period_s, watchdog_s=watchdog_s, tolerance=tolerance,
                        source=source) for output in contract.actions]
    tracked = [channel for channel in channels if channel.tracking]
    names = [name for channel in tracked for name in channel.output.names]
    velocity = [limit for channel in tracked for limit in channel.limits.velocity]
    measured = MeasuredJoints(contract.observations, names, velocity)
    for output in contract.actions:
        measured.check_unit(output)
    # So slow that a robot which lags stays within twice the offset.
    trust = Trust(tolerance.max_offset_s / tolerance.max_lag_s)
    return Guard(channels, measured, emergency, trust, ramp_in_s=ramp_in_s), measured
