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
"""Start the simulated Push-T robot and, by default, the policy that was trained for it."""

from diffusion_policy_ros.launching.simulation import simulation_launch


def generate_launch_description():
    """Start pusht_sim and include the policy's launch file."""
    return simulation_launch(
        'pusht_sim', model='pusht_image', contract='pusht.yaml', safety='false',
        remark='; they reach the finger some 0.1 s later then, at 10 commands per second',
        switches={'view': 'Open a window in which the mouse demonstrates'})
