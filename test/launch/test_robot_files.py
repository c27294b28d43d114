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

"""What the launch files of robots say of files and descriptions that they cannot use."""

import pytest

pytestmark = pytest.mark.launch


def camera(name, inside):
    """Return a sensor of a robot description."""
    return f'<gazebo reference="a"><sensor name="{name}" type="camera">{inside}</sensor></gazebo>'


def test_a_camera_without_a_topic_is_named():
    from diffusion_policy_ros.launching.robot import camera_topics
    wrist = camera('wrist', '<topic> wrist/image_raw </topic>')
    assert camera_topics(f'<robot>{wrist}</robot>') == ['wrist/image_raw']
    for inside in ('', '<topic> </topic>'):
        with pytest.raises(RuntimeError, match='the camera scene .* has no <topic>'):
            camera_topics(f'<robot>{wrist}{camera("scene", inside)}</robot>')


@pytest.mark.parametrize('given', ['my_cam.launch.py', '/absent/my_cam.launch.py'])
def test_a_launch_file_that_is_not_there_is_no_package(given):
    from diffusion_policy_ros.launching.robot import find_launch_file
    with pytest.raises(RuntimeError, match=f'^{given}: there is no such file; give its path'):
        find_launch_file(given)
