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

"""Inverse kinematics: what it finds is put through the forward kinematics of another module."""

from diffusion_policy_ros.control.kinematics import Chain
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.urdf import parse_urdf
import numpy as np
import pytest


pytest.importorskip('mink')
from diffusion_policy_ros.sim.arm.description import expand_xacro, read_control  # noqa: E402,I100
from diffusion_policy_ros.sim.arm.inverse_kinematics import InverseKinematics  # noqa: E402
from diffusion_policy_ros.sim.arm.tool_path import downward  # noqa: E402


@pytest.fixture(scope='module')
def arm():
    """Return the solver, the chain to its tool, and its joints."""
    text = expand_xacro(share_path('urdf', 'arm.urdf.xacro'))
    chain = Chain(parse_urdf(text), 'tool0')
    joints = [joint for joint in read_control(text) if joint.name in chain.joint_names]
    names = [joint.name for joint in joints]
    assert names == list(chain.joint_names)
    return InverseKinematics(text, 'tool0', names), chain, joints


def test_joints_that_are_found_bring_the_tool_there_within_their_limits(arm):
    solver, chain, joints = arm
    rng, home = np.random.default_rng(0), [joint.initial for joint in joints]
    home_yaw = np.arctan2(*chain.poses(np.array([home]))[0, [1, 0], 0])
    for _ in range(30):
        position = rng.uniform((0.25, -0.2, 0.02), (0.45, 0.2, 0.2))
        rotation = downward(home_yaw + rng.uniform(-1.0, 1.0))
        found = solver.solve(position, rotation, home)
        pose = chain.poses(found[None])[0]
        assert np.linalg.norm(pose[:3, 3] - position) < 1e-3
        assert np.arccos((np.trace(pose[:3, :3].T @ rotation) - 1) / 2) < 1e-2
        assert all(j.min - 1e-6 <= at <= j.max + 1e-6 for j, at in zip(joints, found))


def test_of_several_ways_it_takes_the_one_near_the_start(arm):
    solver, chain, joints = arm
    start = np.array([joint.initial for joint in joints])
    start[0] = 0.4
    pose = chain.poses(start[None])[0]
    found = solver.solve(pose[:3, 3] + (0.0, 0.0, -0.01), pose[:3, :3], start)
    assert np.abs(found - start).max() < 0.1


def test_a_place_out_of_reach_is_refused_by_its_coordinates(arm):
    solver, _, joints = arm
    with pytest.raises(ConfigError, match=r'\[2.0, 0.0, 0.1\].* within its reach'):
        solver.solve((2.0, 0.0, 0.1), downward(0.0), [joint.initial for joint in joints])
