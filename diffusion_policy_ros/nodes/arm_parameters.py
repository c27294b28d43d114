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

"""The parameters of the node ``arm_sim``; reading them needs no physics engine."""

from diffusion_policy_ros.nodes.sim_episodes import SEED
from diffusion_policy_ros.nodes.sim_stepper import REAL_TIME_FACTOR
from diffusion_policy_ros.parameter_spec import ParameterSpec

PARAMETERS = (
    ParameterSpec('task', 'pick_place', 'What is to be done, and the world in which',
                  choices=('pick_place', 'push'), read_only=True),
    ParameterSpec('description', '', 'xacro or URDF file of the robot; empty: the arm of this '
                  'package', read_only=True),
    ParameterSpec('controllers', '', 'Parameter file of the controllers; empty: '
                  'config/gazebo/controllers.yaml', read_only=True),
    ParameterSpec('state_rate_hz', 100.0, 'Joint states and poses of things per second, Hz', 1.0,
                  100.0, read_only=True),
    SEED,
    ParameterSpec('randomise', False, 'Let colours, light, camera poses, friction and masses '
                  'differ from episode to episode', read_only=True),
    REAL_TIME_FACTOR,
    ParameterSpec('demonstrations', 0, 'How many episodes the scripted expert demonstrates by '
                  'commands on the topics; 0: a live robot', 0, 100_000, read_only=True),
    ParameterSpec('record', False, 'Start and stop the recorder around each demonstration',
                  read_only=True),
    ParameterSpec('contract', '', 'Robot contract (YAML file) whose controllers are active, and '
                  'that demonstrations follow; empty: the first controllers of their file, and '
                  'for demonstrations the contract of the task', read_only=True),
    ParameterSpec('viewer', False, 'Open a window in which a person watches', read_only=True),
    ParameterSpec('publish_clock', False, 'Be the source of /clock, for nodes with use_sim_time; '
                  'only then can the simulation be paused', read_only=True),
)
