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

"""The arm at its tasks: controllers on topics, episodes from seeds, experts that solve them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from diffusion_policy_ros.contract import load_contract, parse_contract
from diffusion_policy_ros.errors import CommandRefused, ConfigError, ContractError
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest


pytest.importorskip('mink')
from diffusion_policy_ros.control.commands import build_command  # noqa: E402,I100
from diffusion_policy_ros.messages import PLAIN_TYPES  # noqa: E402
from diffusion_policy_ros.sim.arm.environment import ArmEnvironment  # noqa: E402
from diffusion_policy_ros.sim.arm.expert import ArmExpert  # noqa: E402
from diffusion_policy_ros.sim.arm.pick_place import BINS, CUBE, PickPlace  # noqa: E402
from diffusion_policy_ros.sim.arm.push import GOAL, PUCK, Push  # noqa: E402
from diffusion_policy_ros.sim.arm.robot import SimulatedRobot  # noqa: E402

ROBOTS = Path(share_path('config', 'robots'))
FORWARD, TRAJECTORY = 'arm_pick_place.yaml', 'arm_pick_place_trajectory.yaml'
SEVEN = """
robot: seven
rate_hz: 20
observations:
  - {key: observation.images.above, topic: above/image_raw, type: sensor_msgs/msg/Image,
     max_age_ms: 200, image: {height: 20, width: 30, resize: stretch}}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     max_age_ms: 200, joints: [JOINTS]}
actions:
  - {topic: seven_controller/commands, type: std_msgs/msg/Float64MultiArray, stamp: receive,
     names: [JOINTS]}
"""


def made(task, contract=FORWARD):
    """Return the shipped arm at a task, under a shipped contract."""
    return ArmEnvironment(load_contract(ROBOTS / contract), task)


@pytest.fixture(scope='module')
def picking():
    """Return the arm beside cube and bins."""
    return made(PickPlace())


@pytest.fixture(scope='module')
def pushing():
    """Return the arm beside puck and goal."""
    return made(Push(), 'arm_push.yaml')


def demonstrate(environment, seed):
    """Let the expert solve an episode; return its actions."""
    environment.reset(seed)
    expert, actions = ArmExpert(), []
    expert.reset(seed, environment)
    while (action := expert.act(environment)) is not None:
        actions.append(action)
        environment.step(action)
    return np.array(actions)


@pytest.mark.parametrize('contract', (FORWARD, TRAJECTORY))
def test_the_expert_places_the_cube_in_either_bin_whatever_controller_it_commands(contract):
    environment, found = made(PickPlace(), contract), set()
    for seed in range(6):
        demonstrate(environment, seed)
        assert environment.success and environment.score() == 1.0
        found.add(environment.task.bin_of_cube(environment.robot))
    assert found == set(BINS)


def test_the_expert_pushes_the_puck_onto_the_goal(pushing):
    for seed in range(4):
        demonstrate(pushing, seed)
        assert pushing.success
        puck, goal = (pushing.robot.arm.pose_of(name)[0] for name in (PUCK, GOAL))
        assert np.linalg.norm((puck - goal)[:2]) < 0.03


@pytest.mark.slow
def test_the_expert_solves_two_hundred_episodes_and_has_no_favourite_bin(picking):
    bins = []
    for seed in range(200):
        demonstrate(picking, seed)
        bins.append(picking.task.bin_of_cube(picking.robot))
    assert '' not in bins
    # A fair coin is outside of this in one of 1,600 runs.
    assert 76 <= bins.count(BINS[0]) <= 124


def test_equal_seeds_give_equal_episodes_and_others_do_not(picking):
    first = demonstrate(picking, 3)
    state = picking.observation()
    again = demonstrate(picking, 3)
    np.testing.assert_array_equal(again, first)
    for key, value in picking.observation().items():
        np.testing.assert_array_equal(value, state[key])
    assert len(demonstrate(picking, 4)) != len(first) or not np.array_equal(first, again[::-1])


def test_the_score_is_a_half_once_the_cube_is_lifted_and_one_only_when_it_was_let_go(picking):
    picking.reset(0)
    arm, task = picking.robot.arm, picking.task
    assert task.score(picking.robot) == 0.0
    arm.place(CUBE, (0.35, 0.0, 0.2))
    assert task.score(picking.robot) == 0.5
    target = arm.pose_of(BINS[1])[0]
    arm.place(CUBE, target + (0.0, 0.0, 0.03))
    for _ in range(20):
        picking.wait()
    assert task.bin_of_cube(picking.robot) == BINS[1] and picking.success
    arm.place(CUBE, arm.pose_of('tool0')[0])  # at the fingers: not let go, wherever that is
    assert task.bin_of_cube(picking.robot) == ''


def test_a_score_once_reached_stays_until_the_reset(picking):
    demonstrate(picking, 1)
    picking.robot.arm.place(CUBE, (0.35, 0.0, 0.02))
    picking.wait()
    assert picking.success
    picking.reset(1)
    assert not picking.success and picking.score() == 0.0


def test_the_observation_has_the_shapes_of_cameras_and_contract(picking):
    picking.reset(0)
    seen = picking.observation()
    assert {key: value.shape for key, value in seen.items()} == {
        'observation.images.wrist': (120, 160, 3), 'observation.images.scene': (120, 160, 3),
        'observation.state': (7,)}
    np.testing.assert_allclose(
        seen['observation.state'],
        picking.robot.joint_values(picking.contract.names_of('observation.state')), rtol=1e-6)


def test_waiting_holds_where_it_was_sent(picking):
    picking.reset(0)
    action = np.append(picking.robot.joint_values(picking.robot.arm_joints) + 0.2, 0.03)
    picking.step(action)
    for _ in range(20):
        picking.wait()
    np.testing.assert_allclose(
        picking.robot.joint_values(picking.contract.action_names), action, atol=2e-3)


@pytest.mark.parametrize('rate_hz', (12.5, 20, 50))
def test_a_row_takes_the_period_of_its_contract(rate_hz):
    contract = replace(load_contract(ROBOTS / FORWARD), rate_hz=rate_hz, settle_ms=0)
    environment = ArmEnvironment(contract, PickPlace())
    environment.reset(0)
    start_s = environment.robot.arm.data.time
    environment.wait()
    assert environment.robot.arm.data.time - start_s == pytest.approx(1 / rate_hz, abs=1e-9)


def test_controllers_of_one_arm_take_turns(picking):
    robot = made(PickPlace(), TRAJECTORY).robot
    grip = 'gripper_controller/commands'
    assert robot.active_topics == ('arm_controller/joint_trajectory', grip)
    output = picking.contract.actions[0]
    command = build_command(output, np.zeros((1, 6)), PLAIN_TYPES, stamp_ns=0, lead_ns=1,
                            period_ns=1)
    with pytest.raises(CommandRefused, match='not active'):
        robot.command(output.topic, command)
    with pytest.raises(ConfigError, match='cannot be commanded together.*shoulder_pan'):
        robot.activate(['arm_controller/joint_trajectory', 'arm_forward_controller/commands'])
    robot.activate()  # the first one in the file, of those that share the arm's joints
    assert robot.active_topics == ('arm_forward_controller/commands', grip)
    robot.activate(['arm_controller/joint_trajectory'])
    assert robot.active_topics == ('arm_controller/joint_trajectory', grip)
    robot.activate(['arm_forward_controller/commands'])
    robot.command(output.topic, command)


def test_a_contract_of_another_robot_is_refused_by_what_does_not_fit():
    text = (ROBOTS / FORWARD).read_text('utf-8')
    for old, new, wanted in (
            ('wrist_camera/image_raw', 'chest_camera/image_raw', 'chest_camera/image_raw is no'),
            ('wrist_3, gripper]', 'wrist_3, claw]', 'joint_states names the joint claw'),
            ('names: [gripper]', 'names: [claw]', 'gripper_controller/commands names the joint'),
            ('rate_hz: 10 ', 'rate_hz: 30 ', 'rate_hz is 30, so that a row takes 33.3333 ms; the '
             'simulated arm is controlled every 10 ms'),
            ('rate_hz: 10 ', 'rate_hz: 0.3 ', 'rate_hz is 0.3, so that a row takes 3333.33 ms')):
        assert old in text
        other = text.replace(old, new)
        if 'names' in old:
            other = other.replace('  gripper: {position', '  claw: {position')
        contract = parse_contract(other)
        with pytest.raises(ContractError, match=wanted):
            ArmEnvironment(contract, PickPlace())


def test_a_seven_joint_arm_with_a_third_camera_needs_no_other_code(seven_joints, tmp_path):
    from diffusion_policy_ros.sim.arm.description import expand_xacro, read_control
    joints = [joint.name for joint in read_control(expand_xacro(seven_joints))]
    controllers = tmp_path / 'controllers.yaml'
    controllers.write_text(f"""
controller_manager:
  ros__parameters:
    seven_controller: {{type: forward_command_controller/ForwardCommandController}}
seven_controller:
  ros__parameters: {{joints: [{', '.join(joints)}], interface_name: position}}
""", 'utf-8')
    contract = parse_contract(SEVEN.replace('JOINTS', ', '.join(joints)))
    environment = ArmEnvironment(contract, PickPlace(), seven_joints, controllers)
    assert len(joints) == 8 and len(environment.robot.arm.model.cameras) == 3
    actions = demonstrate(environment, 0)
    assert environment.success and actions.shape[1] == 8
    assert environment.observation()['observation.state'].shape == (8,)


def test_many_at_once_are_independent_though_they_share_a_model():
    first, second = made(PickPlace()), made(PickPlace())
    assert first.robot.arm.model is second.robot.arm.model
    first.reset(0)
    second.reset(1)
    seen = first.observation()
    action = second.robot.joint_values(second.contract.action_names)
    for _ in range(5):
        second.step(action + 0.02)
    second.observation()
    for key, value in first.observation().items():
        np.testing.assert_array_equal(value, seen[key])


def test_an_arm_without_a_gripper_is_named_as_one_that_cannot_be_demonstrated():
    joint = SimpleNamespace(name='wrist', min=0.0, max=1.0)
    robot = SimpleNamespace(gripper_joints=(), arm=SimpleNamespace(
        joint_names=('wrist',), model=SimpleNamespace(joints=(joint,))))
    with pytest.raises(ConfigError, match='no gripper.*wrist carry tool0'):
        SimulatedRobot.gripper_range.fget(robot)
