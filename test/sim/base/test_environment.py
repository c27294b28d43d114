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

"""The base under a contract: what its topics show, what it obeys, and what it refuses."""

from dataclasses import replace
import math

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ChunkError, ContractError
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.sim.base.drive import Motion
from diffusion_policy_ros.sim.base.environment import BaseEnvironment
from diffusion_policy_ros.sim.base.mobile_base import RANGE_MAX_M
from diffusion_policy_ros.sim.base.scene import MIRROR_SCENE
import numpy as np
import pytest

CONTRACT = load_contract(share_path('config', 'robots', 'base.yaml'))


def changed(number, **changes):
    """Return the contract with one observation changed."""
    streams = list(CONTRACT.observations)
    streams[number] = replace(streams[number], **changes)
    return replace(CONTRACT, observations=tuple(streams))


def test_every_key_shows_what_the_contract_names():
    environment = BaseEnvironment(CONTRACT)
    environment.reset(scene=MIRROR_SCENE)
    environment.base.motion = Motion(1.0, -0.5, math.pi / 2 + 4 * math.pi, 0.3, 0.66)
    shown = environment.observation()
    assert list(shown) == list(CONTRACT.keys)
    for key, values in shown.items():
        assert values.dtype == np.float32 and values.shape == CONTRACT.shape_of(key)
    assert shown['observation.state'] == pytest.approx(
        [1, -0.5, 0, 1, 0, -1, 0, 0, 0.48, 1.0], abs=1e-6)
    scan, goal = np.split(shown['observation.environment_state'], [36])
    assert goal == pytest.approx(MIRROR_SCENE.goal)
    assert scan.max() <= RANGE_MAX_M
    # It looks along y: the left wall of the room is ahead, the wall behind the start on the left.
    assert scan[[0, 9, 18]] == pytest.approx([2.5, 1.0, 1.5], abs=1e-5)


def test_a_quaternion_has_a_positive_w_however_often_the_base_has_turned():
    names = ('orientation.z', 'orientation.w')
    environment = BaseEnvironment(changed(0, rotation='quaternion', names=names))
    for yaw in np.linspace(-15, 15, 61):
        environment.base.motion = Motion(1.0, 0.0, yaw)
        z, w = environment.observation()['observation.state']
        assert w >= 0 and z**2 + w**2 == pytest.approx(1)
        error = math.remainder(2 * math.atan2(z, w) - yaw, 2 * math.pi)
        assert error == pytest.approx(0, abs=1e-5)


def test_the_lidar_has_as_many_beams_as_the_contract_names():
    environment = BaseEnvironment(changed(1, names=tuple(f'beam{k}' for k in range(72))))
    assert environment.observation()['observation.environment_state'].shape == (74,)


def test_the_action_is_read_in_the_order_of_the_contract():
    output = replace(CONTRACT.actions[0], names=('angular.z', 'linear.x'))
    ends = []
    for contract, action in ((CONTRACT, (0.4, 0.9)),
                             (replace(CONTRACT, actions=(output,)), (0.9, 0.4))):
        environment = BaseEnvironment(contract)
        environment.reset(3)
        environment.step(np.array(action))
        ends.append(environment.base.motion)
    assert ends[0] == ends[1] and ends[0].angular > 0


def test_without_a_command_the_last_one_goes_on():
    told, waited = BaseEnvironment(CONTRACT), BaseEnvironment(CONTRACT)
    for environment in (told, waited):
        environment.reset(1)
        environment.wait()  # nothing was told yet: it rests
        assert environment.base.motion == Motion(*environment.base.scene.start)
        environment.step((0.3, 0.2))
    told.step((0.3, 0.2))
    waited.wait()
    assert told.base.motion == waited.base.motion
    told.reset(1)
    told.wait()
    assert told.base.motion == Motion(*told.base.scene.start)


@pytest.mark.parametrize('action', [(0.1,), (0.1, 0.2, 0.3), (math.nan, 0.0)])
def test_an_action_that_is_none_is_refused(action):
    with pytest.raises(ChunkError):
        BaseEnvironment(CONTRACT).step(np.array(action))


@pytest.mark.parametrize('contract, reason', [
    (load_contract(share_path('config', 'robots', 'pusht.yaml')), 'shows no sensor_msgs/msg/Im'),
    (changed(1, topic='lidar'), "shows no sensor_msgs/msg/LaserScan on 'lidar'; it shows"),
    (replace(CONTRACT, actions=(replace(CONTRACT.actions[0], topic='other'),)),
     "obeys linear.x and angular.z of a twist on 'cmd_vel' and nothing else"),
    (replace(CONTRACT, actions=(replace(CONTRACT.actions[0], names=('linear.x', 'linear.y')),),
             limits={}), 'obeys linear.x and angular.z'),
    (replace(CONTRACT, rate_hz=30.0), 'rate_hz is 30: the duration is')])
def test_a_contract_of_another_robot_is_refused(contract, reason):
    with pytest.raises(ContractError, match=reason):
        BaseEnvironment(contract)
