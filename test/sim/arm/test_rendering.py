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

"""What cameras see against the pinhole, and what is said where nothing can be drawn."""

import gc
import os
from pathlib import Path
import subprocess
import sys

from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm import rendering
from diffusion_policy_ros.sim.arm.arm import Arm
from diffusion_policy_ros.sim.arm.description import expand_xacro
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
RADIUS_M = 0.006
BALL = f"""<sdf version="1.10"><world name="ball">
  <physics><max_step_size>0.002</max_step_size></physics>
  <scene><ambient>1 1 1 1</ambient><background>0 0 0 1</background></scene>
  <model name="ball"><pose>0 0 3 0 0 0</pose><link name="l">
    <inertial><mass>1</mass><inertia><ixx>1</ixx><iyy>1</iyy><izz>1</izz></inertia></inertial>
    <visual name="v"><geometry><sphere><radius>{RADIUS_M}</radius></sphere></geometry>
      <material><diffuse>1 0 1 1</diffuse></material></visual></link></model>
</world></sdf>"""
# What the loader says where libEGL is not installed.
WITHOUT_EGL = """
import ctypes, ctypes.util
find = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if name == 'EGL' else find(name)
class Library(ctypes.CDLL):
    def __init__(self, name, *rest, **options):
        if 'EGL' in str(name):
            raise OSError('libEGL.so.1: cannot open shared object file')
        super().__init__(name, *rest, **options)
ctypes.CDLL = ctypes.cdll._dlltype = Library
import diffusion_policy_ros.sim.arm.arm
"""


def middle_of_ball(picture):
    """Return the mean u, v of the magenta pixels, each at its middle."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    rows, columns = np.nonzero((np.minimum(red, blue) > 60) & (green < red // 3))
    assert len(rows) > 20
    return columns.mean() + 0.5, rows.mean() + 0.5


@pytest.mark.parametrize('robot', ['arm', 'seven'])
def test_a_point_is_seen_where_the_pinhole_puts_it(robot, arm_urdf, seven_joints, tmp_path):
    text = arm_urdf if robot == 'arm' else expand_xacro(seven_joints)
    (tmp_path / 'ball.sdf').write_text(BALL)
    arm = Arm(text, tmp_path / 'ball.sdf')
    urdf = parse_urdf(text)
    positions = dict(zip(arm.joint_names, arm.positions()))
    for name, camera in arm.model.cameras.items():
        chain = Chain(urdf, camera.optical_frame)
        pose, = chain.poses([[positions[joint] for joint in chain.joint_names]])
        for u in np.array([0.15, 0.5, 0.9]) * camera.width:
            for v in np.array([0.55, 0.75, 0.9]) * camera.height:
                point = 0.12 * np.linalg.solve(camera.matrix, [u, v, 1.0])
                arm.place('ball', pose[:3, :3] @ point + pose[:3, 3])
                np.testing.assert_allclose(middle_of_ball(arm.picture(name)), [u, v], atol=0.5)
    arm.close()


def test_what_is_near_hides_what_is_far(arm):
    arm.place('cube', (0.35, 0.0, 0.02))
    free = arm.picture('wrist_camera')
    assert np.array_equal(arm.picture('wrist_camera'), free)
    arm.place('cube', (2.0, 2.0, -0.7))
    assert not np.array_equal(arm.picture('wrist_camera'), free)


@pytest.mark.parametrize('end', ['close', 'forget'])
def test_the_end_of_one_robot_leaves_the_pictures_of_another_alone(arm_urdf, worlds, arm, end):
    free = arm.picture('wrist_camera')
    other = Arm(arm_urdf, worlds / 'arm_pick_place.sdf')
    other.picture('wrist_camera')
    arm.picture('wrist_camera')
    if end == 'close':
        other.close()
    del other
    gc.collect()
    assert np.array_equal(arm.picture('wrist_camera'), free)


def test_pictures_have_the_size_of_the_description(arm):
    for name, camera in arm.model.cameras.items():
        picture = arm.picture(name)
        assert (picture.shape, picture.dtype) == ((camera.height, camera.width, 3), np.uint8)
    with pytest.raises(ConfigError, match="no camera 'eye'; it has: wrist_camera, scene_camera"):
        arm.picture('eye')


def test_the_wrist_camera_sees_the_fingertips_and_what_is_between_them(arm):
    arm.place('cube', (2.0, 2.0, -0.7))
    camera = arm.model.cameras['wrist_camera']
    frame = arm.data.cam('wrist_camera')
    for name, along in (('left_finger', 1), ('right_finger', -1), ('tool0', 0)):
        body = arm.data.body(name)
        tip = body.xpos + body.xmat.reshape(3, 3) @ ([0, along * 0.0065, 0.055] if along
                                                     else [0, 0, 0])
        seen = frame.xmat.reshape(3, 3).T @ (tip - frame.xpos) * [1, -1, -1]
        u, v, depth = camera.matrix @ seen
        assert depth > 0
        assert 0 < u / depth < camera.width and 0 < v / depth < camera.height, name


def test_where_egl_cannot_be_loaded_two_packages_are_named():
    done = subprocess.run([sys.executable, '-c', WITHOUT_EGL], cwd=ROOT, timeout=60, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True)
    last = done.stderr.splitlines()[-1]
    assert 'ConfigError: MuJoCo cannot draw without a screen' in last
    assert 'apt install libegl1 libgl1-mesa-dri' in last


def test_a_way_of_drawing_that_mujoco_does_not_know_is_refused_in_words():
    done = subprocess.run(
        [sys.executable, '-c', 'import diffusion_policy_ros.sim.arm.engine'], cwd=ROOT, text=True,
        timeout=60, stdin=subprocess.DEVNULL, capture_output=True,
        env={**os.environ, 'MUJOCO_GL': 'crayon'})
    last = done.stderr.splitlines()[-1]
    assert 'ConfigError: MuJoCo cannot draw' in last and 'MUJOCO_GL: crayon' in last
    assert 'set MUJOCO_GL to "egl"' in last


@pytest.mark.parametrize('error', [ImportError('Cannot initialize a EGL device display'),
                                   RuntimeError('Cannot create an EGL context')])
def test_where_egl_has_no_driver_two_packages_are_named(arm_urdf, worlds, monkeypatch, error):
    def refuse(*_):
        raise error
    monkeypatch.setattr(rendering.mujoco.rendering.classic.gl_context, 'GLContext', refuse)
    arm = Arm(arm_urdf, worlds / 'arm_push.sdf')
    arm.advance({}, 0.01)
    with pytest.raises(ConfigError, match=f'{error}.*apt install libegl1 libgl1-mesa-dri'):
        arm.picture('scene_camera')
