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

"""The shipped robot and worlds, as the tests of the simulated arm want them."""

from pathlib import Path

from diffusion_policy_ros.errors import ConfigError
import pytest

try:
    from diffusion_policy_ros.sim.arm.arm import Arm
    from diffusion_policy_ros.sim.arm.description import expand_xacro
except (ConfigError, ImportError) as error:  # the first names the packages that EGL needs
    pytest.skip(str(error), allow_module_level=True)

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope='session')
def arm_xacro():
    """Return the path of the shipped robot."""
    return ROOT / 'urdf' / 'arm.urdf.xacro'


@pytest.fixture(scope='session')
def arm_urdf(arm_xacro):
    """Return the text of the shipped robot's URDF."""
    return expand_xacro(arm_xacro)


@pytest.fixture(scope='session')
def worlds():
    """Return the folder of the shipped worlds."""
    return ROOT / 'worlds'


@pytest.fixture(scope='session')
def built_arm(arm_urdf, worlds):
    """Return the shipped robot beside the cube and the bins, built once."""
    arm = Arm(arm_urdf, worlds / 'arm_pick_place.sdf')
    yield arm
    arm.close()


@pytest.fixture
def arm(built_arm):
    """Return the shipped robot beside the cube and the bins, reset."""
    built_arm.reset()
    return built_arm


@pytest.fixture(scope='session')
def seven_joints(tmp_path_factory):
    """Return a robot of seven joints and three cameras, made of the shipped macros alone."""
    folder = ROOT / 'urdf'
    includes = '\n'.join(f'<xacro:include filename="{path}"/>'
                         for path in sorted(folder.glob('*.xacro')) if '.urdf.' not in path.name)
    path = tmp_path_factory.mktemp('seven') / 'seven.urdf.xacro'
    path.write_text(SEVEN.format(includes=includes), 'utf-8')
    return path


SEVEN = """<robot xmlns:xacro="http://www.ros.org/wiki/xacro" name="seven">
  {includes}
  <link name="world"/>
  <xacro:arm parent="world" xyz="0 0.1 0" rpy="0 0 0.2"/>
  <xacro:tube_link name="turn_link" radius="0.03" length="0.04" mass="0.2" colour="orange"/>
  <xacro:revolute_joint name="turn" parent="wrist_3_link" child="turn_link" xyz="0 0 0.03"
      axis="0 0.6 0.8" lower="-1.0" upper="1.2" velocity="3.0" effort="12"/>
  <xacro:gripper parent="turn_link" xyz="0 0 0.04"/>
  <xacro:camera name="left" parent="hand" xyz="0.075 0 0" rpy="0 -2.1 0"
                width="64" height="48" rate="15" hfov="1.0"/>
  <xacro:camera name="right" parent="turn_link" xyz="-0.08 0.01 0" rpy="0.1 -1.7 0"
                width="64" height="64" rate="15" hfov="0.9"/>
  <xacro:camera name="above" parent="world" xyz="0.4 0 1" rpy="0 1.5 0"
                width="160" height="90" rate="30" hfov="1.3"/>
  <xacro:hardware_system name="seven" hardware="mock" controllers="" real_plugin="">
    <joints>
      <xacro:arm_interfaces/>
      <xacro:position_joint name="turn" lower="-1.0" upper="1.1" start="0.3"/>
      <xacro:gripper_interfaces/>
    </joints>
  </xacro:hardware_system>
</robot>
"""
