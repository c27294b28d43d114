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

"""A launch that is asked to end, by Ctrl-C or by its main process, ends once and well."""

import pytest

pytestmark = pytest.mark.launch
DOMAIN_ID = 83
# Ends the launch as soon as the simulation has said something, or lets that end itself.
RUN = """
import os
import signal
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessIO
from launch.launch_description_sources import PythonLaunchDescriptionSource
seen = []


def heard(event):
    if seen or event.process_name[:8] != 'base_sim':
        return None
    seen.append(event)
    if sys.argv[2] == 'launch':
        return [Shutdown(reason='seen')]
    os.kill(event.pid, signal.SIGINT)


service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([
    RegisterEventHandler(OnProcessIO(on_stdout=heard, on_stderr=heard)),
    IncludeLaunchDescription(PythonLaunchDescriptionSource(sys.argv[1]),
                             launch_arguments=[('policy', 'false')])]))
sys.exit(service.run())
"""


@pytest.fixture
def ended(colcon_workspace):
    """Return a function that launches a base, ends launch or simulation, and returns what came."""
    def run(first):
        launch = colcon_workspace.prefix / 'share/diffusion_policy_ros/launch/base.launch.py'
        return colcon_workspace.run('python3', '-c', RUN, launch, first, timeout_s=60,
                                    ROS_DOMAIN_ID=str(DOMAIN_ID))
    return run


def test_a_launch_that_is_told_to_end_is_not_told_again_by_its_simulation(ended):
    done = ended('launch')
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert 'was required' not in said and 'Caught exception' not in said


def test_a_launch_ends_with_its_simulation(ended):
    done = ended('simulation')
    said = done.stdout + done.stderr
    assert done.returncode == 0 and 'Caught exception' not in said, said
    assert said.count('was required: shutting down launched system') == 1
