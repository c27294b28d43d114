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

"""The contracts for robots that can be bought: the vendors' names, and limits inside theirs."""

from math import pi, sqrt
from pathlib import Path
import re

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.safety.limits import motion_limits
import pytest

ROBOTS = Path(__file__).parents[1] / 'config' / 'robots'
# What the vendors publish, by the files that the contracts name: position, velocity,
# acceleration; a robot of no vendor has none.
UR_JOINTS = ('shoulder_pan', 'shoulder_lift', 'elbow', 'wrist_1', 'wrist_2', 'wrist_3')
VENDORS = {
    'ur': {f'{name}_joint': (-turn, turn, pi, 5.0) for name, turn in zip(
        UR_JOINTS, (2 * pi, 2 * pi, pi, 2 * pi, 2 * pi, 2 * pi))},
    'franka': {
        'fr3_joint1': (-2.7437, 2.7437, 2.62, 10.0), 'fr3_joint2': (-1.7837, 1.7837, 2.62, 10.0),
        'fr3_joint3': (-2.9007, 2.9007, 2.62, 10.0), 'fr3_joint4': (-3.0421, -0.1518, 2.62, 10.0),
        'fr3_joint5': (-2.8065, 2.8065, 5.26, 10.0), 'fr3_joint6': (0.5445, 4.5169, 4.18, 10.0),
        'fr3_joint7': (-3.0159, 3.0159, 5.26, 10.0)},
    'so101': {
        'shoulder_pan': (-1.91986, 1.91986, 6.28, 10.0),
        'shoulder_lift': (-1.74533, 1.74533, 6.28, 10.0),
        'elbow_flex': (-1.69, 1.69, 6.28, 10.0), 'wrist_flex': (-1.65806, 1.65806, 6.28, 10.0),
        'wrist_roll': (-2.74385, 2.84121, 6.28, 10.0),
        'gripper': (-0.174533, 1.74533, 6.28, 10.0)},
    'generic_arm': {},
}
# A Franka Research 3 allows max(0, -offset + sqrt(factor * distance)) towards a joint's end
# (https://frankarobotics.github.io/docs/control_parameters.html): both ends, offset, factor.
FRANKA_ENDS = {
    'fr3_joint1': (-2.7501, 2.7501, 0.30, 12.0), 'fr3_joint2': (-1.7918, 1.7918, 0.20, 5.17),
    'fr3_joint3': (-2.9065, 2.9065, 0.20, 7.00), 'fr3_joint4': (-3.0481, -0.1458, 0.30, 8.00),
    'fr3_joint5': (-2.8101, 2.8101, 0.35, 34.0), 'fr3_joint6': (0.54092, 4.5205, 0.35, 11.0),
    'fr3_joint7': (-3.0196, 3.0196, 0.35, 34.0)}
BY_VENDOR = pytest.mark.parametrize('name', VENDORS)


def contract_of(name):
    """Return a contract by its name."""
    return load_contract(ROBOTS / f'{name}.yaml')


@pytest.mark.parametrize('path', sorted(ROBOTS.glob('*.yaml')), ids=lambda path: path.stem)
def test_every_contract_that_is_shipped_can_be_guarded(path):
    contract = load_contract(path)
    motion_limits(contract.limits, contract.action_names, str(path))


@BY_VENDOR
def test_every_joint_is_observed_and_has_all_four_limits(name):
    contract = contract_of(name)
    state, = [stream for stream in contract.observations if stream.key == 'observation.state']
    assert set(contract.action_names) <= set(state.names)
    for joint in contract.action_names:
        assert contract.limits[joint].keys() == {'position', 'velocity', 'acceleration', 'jerk'}


@BY_VENDOR
def test_limits_lie_inside_those_of_the_vendor(name):
    contract = contract_of(name)
    assert not VENDORS[name] or tuple(VENDORS[name]) == contract.action_names
    for joint, (low, high, velocity, acceleration) in VENDORS[name].items():
        limit = contract.limits[joint]
        assert low < limit['position'][0] < limit['position'][1] < high, joint
        assert limit['velocity'] <= velocity / 2  # as docs/real_arm.md says
        assert limit['acceleration'] < acceleration, joint


@pytest.mark.parametrize('joint', FRANKA_ENDS)
def test_a_franka_joint_that_brakes_before_its_end_is_nowhere_too_fast_for_the_robot(joint):
    limit = contract_of('franka').limits[joint]
    low, high, offset, factor = FRANKA_ENDS[joint]
    for spare in (limit['position'][0] - low, high - limit['position'][1]):
        for step in range(2000):
            before_rad = step * 1e-3  # how far the joint is from the contract's end
            ours = min(limit['velocity'], sqrt(2 * limit['acceleration'] * before_rad))
            assert ours <= max(0.0, -offset + sqrt(factor * (spare + before_rad))), before_rad


@BY_VENDOR
def test_what_grips_is_an_output_of_its_own_and_may_be_blocked(name):
    for output in contract_of(name).actions:
        if any('gripper' in joint for joint in output.names):
            assert len(output.names) == 1 and output.interpolation == 'hold'


@BY_VENDOR
def test_a_real_camera_that_hangs_is_noticed(name):
    for stream in contract_of(name).observations:
        assert bool(stream.frozen_after) == bool(stream.image)


@pytest.mark.parametrize('name', ['ur', 'franka', 'so101'])
def test_a_contract_says_where_its_numbers_come_from_and_that_it_was_not_tried(name):
    head = (ROBOTS / f'{name}.yaml').read_text('utf-8').partition('contract_version')[0]
    head = re.sub(r'\n# *', ' ', head)
    for words in ('Where it comes from', 'joints', 'position', 'velocity', 'acceleration',
                  'Never run here', 'docs/real_arm.md', 'ros2 launch'):
        assert words.lower() in head.lower(), words
