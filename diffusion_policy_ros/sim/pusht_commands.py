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

"""Turn named joint positions into a target that the Push-T finger may follow."""

from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.sim.pusht import TABLE_M
import numpy as np

FINGER_JOINTS = ('finger_x', 'finger_y')


def finger_target(names, positions):
    """
    Read a joint command.

    :param names: Joint names, finger_x and finger_y in any order.
    :param positions: Their positions in m; outside the table they are clamped to its edge.
    :return: float64 ``(2,)`` x, y in m, within the table.
    :raises DecodeError: if a joint is missing or unknown, a number is missing or not finite.
    """
    if sorted(names) != sorted(FINGER_JOINTS):
        raise DecodeError(f'the command names the joints {list(names)}; it must name exactly '
                          f'{" and ".join(FINGER_JOINTS)}, in any order')
    if len(positions) != len(names):
        raise DecodeError(f'the command has {len(positions)} positions for {len(names)} joints; '
                          'fill "position", one number per name')
    by_name = dict(zip(names, positions))
    target = np.array([by_name[name] for name in FINGER_JOINTS], dtype=np.float64)
    if not np.isfinite(target).all():
        raise DecodeError(f'the command is not finite: {by_name}')
    return np.clip(target, 0.0, TABLE_M)
