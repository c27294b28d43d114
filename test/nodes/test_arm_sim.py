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

"""The simulated arm over real DDS: cameras, joints, both kinds of commands, the clock, resets."""

import json
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest

pytest.importorskip('rclpy')
try:
    from diffusion_policy_ros.sim.arm import engine  # noqa: F401
except (ConfigError, ImportError) as error:  # the first names the packages that EGL needs
    pytest.skip(str(error), allow_module_level=True)
from diffusion_policy_ros import messages  # noqa: E402,I100
from diffusion_policy_ros.message_types import FLOAT64_ARRAY  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.arm_parameters import PARAMETERS  # noqa: E402
from diffusion_policy_ros.nodes.arm_sim import ArmSim  # noqa: E402
from diffusion_policy_ros.nodes.controller_check import AGREES, ControllerCheck  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from diffusion_policy_ros.sim.arm.description import expand_xacro, read_cameras  # noqa: E402
from diffusion_policy_ros.sim.arm.tasks import TASKS  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image, JointState  # noqa: E402
from std_msgs.msg import Bool, Float64MultiArray, String  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402

DOMAIN_ID = 87
JOINTS = ['shoulder_pan', 'shoulder_lift', 'elbow', 'wrist_1', 'wrist_2', 'wrist_3']
TARGET = [0.5, 0.1, 1.2, 1.5, 0.1, 0.3]


def stamp_ns(message):
    """Return a header's stamp in ns."""
    return messages.nanoseconds(message.header.stamp)


@pytest.fixture
def joints(peer):
    """Return all joint states that were heard."""
    return peer.hear(JointState, 'joint_states', qos.EVENTS)


@pytest.fixture
def say(peer):
    """Return a function that publishes on a topic that the robot hears."""
    publishers = {}

    def publish(topic, message):
        if topic not in publishers:
            publishers[topic] = peer.node.create_publisher(type(message), topic, qos.COMMANDS)
            peer.until(lambda: publishers[topic].get_subscription_count() > 0, topic)
        publishers[topic].publish(message)

    return publish


def array(values):
    """Return the message of a forward controller."""
    return messages.multi_array(MESSAGE_CLASSES, FLOAT64_ARRAY, values)


def at_target(joints, names=JOINTS, target=TARGET):
    """Tell whether the newest joint state is at a target."""
    if not joints:
        return False
    at = dict(zip(joints[-1].name, joints[-1].position))
    return np.allclose([at[name] for name in names], target, atol=2e-3)


def test_cameras_joints_and_things_are_shown_with_stamps_and_frames(peer, joints):
    peer.start(ArmSim)
    images = peer.hear(Image, 'wrist_camera/image_raw', qos.EVENTS)
    infos = peer.hear(CameraInfo, 'wrist_camera/camera_info', qos.EVENTS)
    cubes = peer.hear(PoseStamped, 'arm_sim/cube/pose', qos.EVENTS)
    peer.until(lambda: len(images) > 10 and infos and cubes, 'pictures and poses')
    gaps_ms = np.diff([stamp_ns(image) for image in images]) / 1e6
    assert gaps_ms.min() > 0 and round(np.median(gaps_ms)) in (30, 40)  # 30 Hz on a 100 Hz grid
    camera = read_cameras(expand_xacro(share_path('urdf', 'arm.urdf.xacro')))['wrist_camera']
    assert (images[-1].height, images[-1].width, images[-1].encoding) == (120, 160, 'rgb8')
    assert images[-1].header.frame_id == infos[-1].header.frame_id == camera.optical_frame
    np.testing.assert_allclose(infos[-1].k, camera.matrix.ravel())
    assert np.ptp(np.frombuffer(images[-1].data, np.uint8)) > 100
    assert cubes[-1].header.frame_id == 'world' and 0.019 < cubes[-1].pose.position.z < 0.021
    message = joints[-1]
    assert len(message.name) == len(message.position) == len(message.velocity) \
        == len(message.effort) == 7
    assert np.median(np.diff([stamp_ns(message) for message in joints])) == 10_000_000


def test_a_forward_command_moves_the_arm_and_a_wrong_one_does_not(peer, joints, say, capfd):
    peer.start(ArmSim)
    peer.until(lambda: joints, 'joint states')
    before = list(joints[-1].position)
    heard = []
    for topic, message, refusal in (
            ('arm_forward_controller/commands', array([np.nan] * 6), 'not finite'),
            ('arm_controller/joint_trajectory', messages.joint_trajectory(
                MESSAGE_CLASSES, JOINTS, [TARGET], [500_000_000], 0), 'but is not active')):
        peer.until(lambda: say(topic, message) or heard.append(capfd.readouterr().err)
                   or refusal in ''.join(heard), refusal)  # the log is throttled
    np.testing.assert_allclose(joints[-1].position, before, atol=1e-3)
    say('arm_forward_controller/commands', array(TARGET))
    say('gripper_controller/commands', array([0.01]))
    peer.until(lambda: at_target(joints) and at_target(joints, ['gripper'], [0.01]), 'the target')


def test_a_trajectory_moves_the_arm_by_its_times(peer, joints, say):
    peer.start(ArmSim, contract=str(share_path(
        'config', 'robots', 'arm_pick_place_trajectory.yaml')))
    peer.until(lambda: joints, 'joint states')
    begin = dict(zip(joints[-1].name, joints[-1].position))['shoulder_pan']
    say('arm_controller/joint_trajectory', messages.joint_trajectory(
        MESSAGE_CLASSES, JOINTS[::-1], [TARGET[::-1]], [1_000_000_000], 0))
    peer.until(lambda: at_target(joints), 'the target')
    pans = np.array([dict(zip(m.name, m.position))['shoulder_pan'] for m in joints])
    moving = np.flatnonzero((pans > begin + 0.1) & (pans < TARGET[0] - 0.1))
    # A straight line in time: 100 rows per second.
    share = (TARGET[0] - begin - 0.2) / (TARGET[0] - begin)
    assert len(moving) == pytest.approx(100 * share, abs=5)


def test_each_reset_starts_the_next_seed_and_forgets_the_success(peer, joints):
    robot = peer.start(ArmSim, seed=5)
    episodes = peer.hear(String, 'arm_sim/episode', qos.STATUS)
    solved = peer.hear(Bool, 'arm_sim/success', qos.STATUS)
    scores = peer.hear(Float64MultiArray, 'arm_sim/score', qos.EVENTS)
    peer.until(lambda: episodes and solved and scores, 'the first episode')
    assert json.loads(episodes[-1].data) == {'number': 0, 'seed': 5, 'task': 'pick_place'}
    with robot._lock:
        robot._robot.arm.place('cube', robot._robot.arm.pose_of('bin_left')[0] + (0, 0, 0.03))
    peer.until(lambda: solved[-1].data and scores[-1].data[1] == 1.0, 'success')
    assert peer.ask('arm_sim/reset') == (True, 'episode 1, seed 6')
    peer.until(lambda: not solved[-1].data and json.loads(episodes[-1].data)['seed'] == 6
               and scores[-1].data[1] == 0.0, 'the second episode')


def test_a_command_that_waited_while_the_robot_was_put_back_is_dropped(
        peer, joints, monkeypatch):
    robot = peer.start(ArmSim)
    started, arrived_ns = robot._episode.reset, []
    monkeypatch.setattr(robot._episode, 'reset', lambda seed: (
        started(seed), arrived_ns.append(time.time_ns())))
    assert peer.ask('arm_sim/reset')[0]
    peer.until(lambda: joints, 'joint states')
    topic, home = 'arm_forward_controller/commands', robot._robot.arm.positions()
    robot._on_command(topic, array(TARGET), *arrived_ns)
    seen = len(joints)
    peer.until(lambda: len(joints) > seen + 20, 'joint states after it')
    np.testing.assert_allclose(robot._robot.arm.positions(), home, atol=2e-3)
    robot._on_command(topic, array(TARGET), time.time_ns())
    peer.until(lambda: at_target(joints), 'the target')


def test_commands_are_obeyed_where_nobody_tells_when_they_came_and_wrong_ones_until_a_reset(
        peer, joints):
    robot = peer.start(ArmSim)
    topic = 'arm_forward_controller/commands'
    active = robot._robot.active_topics
    robot._on_command(topic, array([0.0]), 0)
    assert topic not in robot._robot.active_topics
    assert peer.ask('arm_sim/reset')[0]
    assert robot._robot.active_topics == active
    robot._on_command(topic, array(TARGET), 0)
    peer.until(lambda: at_target(joints), 'the target')


@pytest.mark.parametrize('demonstrations', [0, 1])
def test_the_controllers_of_its_contract_are_active(peer, demonstrations):
    contract = share_path('config', 'robots', 'arm_pick_place_trajectory.yaml')
    robot = peer.start(ArmSim, demonstrations=demonstrations, contract=str(contract))
    assert set(robot._robot.active_topics) == {
        output.topic for output in load_contract(contract).actions}


@pytest.mark.parametrize('demonstrations', [0, 1])
def test_a_contract_on_topics_of_no_controller_is_refused_at_the_start(
        peer, tmp_path, demonstrations):
    contract = tmp_path / 'contract.yaml'
    contract.write_text(share_path('config', 'robots', 'arm_pick_place.yaml').read_text().replace(
        'arm_forward_controller/commands', 'other/commands'))
    with pytest.raises(ConfigError, match='no controller listens on other/commands'):
        peer.start(ArmSim, demonstrations=demonstrations, contract=str(contract))


@pytest.mark.parametrize('joints, message', [
    (JOINTS[::-1], r'arm_forward_controller takes its joints in the order \(wrist_3'),
    (JOINTS[:5], r'arm_forward_controller commands the joints \(shoulder_pan, .*, wrist_2\), ')])
def test_demonstrations_on_controllers_of_other_joints_are_refused_at_the_start(
        peer, tmp_path, joints, message):
    text = share_path('config', 'gazebo', 'controllers.yaml').read_text()
    controllers = tmp_path / 'controllers.yaml'
    controllers.write_text(text.replace(', '.join(JOINTS), ', '.join(joints)))
    with pytest.raises(ConfigError, match=f'demonstrations: {message}.*; set the parameter '
                                          'contract to the contract of this robot'):
        peer.start(ArmSim, demonstrations=1, controllers=str(controllers))


@pytest.mark.parametrize('name', ['arm_pick_place', 'arm_pick_place_trajectory'])
def test_its_controllers_tell_their_joints_when_they_are_asked(peer, name):
    peer.start(ArmSim)
    check = ControllerCheck(peer.node, load_contract(
        share_path('config', 'robots', f'{name}.yaml')))
    peer.until(lambda: not check.look(), 'answers')
    check.destroy()
    assert len(check.facts()) == 2 and set(check.facts().values()) == {AGREES}


def test_its_pictures_give_their_memory_back_in_the_thread_that_drew_them(peer):
    robot = peer.start(ArmSim)
    images = peer.hear(Image, 'wrist_camera/image_raw', qos.EVENTS)
    peer.until(lambda: images, 'a picture')
    renderers = list(robot._robot.arm._pictures._renderers.values())
    peer.stop(robot)
    assert renderers and all(renderer._gl_context is None for renderer in renderers)


def test_its_own_clock_can_be_held_and_moved_by_single_steps(peer, joints):
    robot = peer.start(ArmSim, publish_clock=True)
    clock = peer.hear(Clock, '/clock', qos.EVENTS)
    peer.until(lambda: len(clock) > 5 and joints, 'a clock')
    answer = peer.call(SetBool, 'arm_sim/pause', SetBool.Request(data=True))
    assert (answer.success, answer.message) == (True, 'paused')
    with robot._lock:
        held_ns = robot._robot.now_ns
    assert peer.ask('arm_sim/step') == (True, '10 ms')
    peer.until(lambda: clock and messages.nanoseconds(clock[-1].clock) > held_ns, 'a step')
    assert messages.nanoseconds(clock[-1].clock) == held_ns + 10_000_000
    peer.call(SetBool, 'arm_sim/pause', SetBool.Request(data=False))
    peer.until(lambda: messages.nanoseconds(clock[-1].clock) > held_ns + 200_000_000, 'time')
    assert peer.ask('arm_sim/step') == (False, 'not paused; call ~/pause first')
    assert stamp_ns(joints[-1]) <= robot._robot.now_ns < 100 * 10**9


def test_every_task_can_be_chosen():
    spec = next(spec for spec in PARAMETERS if spec.name == 'task')
    assert set(spec.choices) == set(TASKS)


def test_without_a_clock_of_its_own_it_cannot_be_paused(peer):
    peer.start(ArmSim)
    answer = peer.call(SetBool, 'arm_sim/pause', SetBool.Request(data=True))
    assert not answer.success and 'publish_clock' in answer.message


@pytest.mark.parametrize(('parameters', 'message'), [
    ({'publish_clock': True, 'use_sim_time': True}, 'publish_clock and use_sim_time'),
    ({'description': '/no/such/robot.xacro'}, '/no/such/robot.xacro'),
    ({'controllers': '/no/such/controllers.yaml'}, '/no/such/controllers.yaml'),
    ({'record': True}, 'record is true, and demonstrations 0'),
    ({'viewer': True}, 'no window can be opened: .*DISPLAY.*set viewer to false')])
def test_parameters_that_cannot_be_are_refused_by_name(
        peer, monkeypatch, parameters, message):
    for name in ('DISPLAY', 'WAYLAND_DISPLAY'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=message):
        peer.start(ArmSim, **parameters)


def test_the_expert_demonstrates_over_the_topics_and_then_the_robot_is_live(peer, joints):
    robot = peer.start(ArmSim, demonstrations=1, real_time_factor=3.0)
    commands = peer.hear(Float64MultiArray, 'arm_forward_controller/commands', qos.EVENTS)
    solved = peer.hear(Bool, 'arm_sim/success', qos.STATUS)
    peer.until(lambda: len(commands) > 20, 'commands')
    answer = peer.ask('arm_sim/reset')
    assert not answer[0] and 'demonstrations are being shown' in answer[1]
    peer.until(lambda: robot._demonstrator.phase == 'done', 'the end of the demonstration')
    peer.until(lambda: solved and solved[-1].data, 'success')
    assert peer.ask('arm_sim/reset')[0]


@pytest.mark.slow
def test_recorded_demonstrations_become_a_dataset_whose_rows_are_what_was_commanded(
        peer, joints, tmp_path):
    from diffusion_policy_ros.cli.main import main
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    from diffusion_policy_ros.nodes.recorder import Recorder
    contract = tmp_path / 'contract.yaml'
    # Rows that a machine busy with other tests shows late, or a second apart, count all the same.
    contract.write_text(share_path('config', 'robots', 'arm_pick_place.yaml').read_text().replace(
        'settle_ms: 25 ', 'settle_ms: 95 ').replace('max_age_ms: 250', 'max_age_ms: 2000'))
    commands = peer.hear(Float64MultiArray, 'arm_forward_controller/commands', qos.RECORDED)
    peer.start(Recorder, contract=str(contract), output=str(tmp_path / 'bags'))
    robot = peer.start(ArmSim, demonstrations=2, record=True, contract=str(contract))
    peer.until(lambda: robot._demonstrator.phase == 'done', 'the end of two demonstrations', 120.0)
    assert main(['convert', str(tmp_path / 'bags'), '--only', 'success', '--out',
                 str(tmp_path / 'dataset')]) == 0
    dataset = LeRobotReader(tmp_path / 'dataset')
    assert len(dataset.episodes) == 2
    actions = dataset.columns(['action'])['action'][:, :6]
    sent = np.array([message.data for message in commands])
    assert len(actions) == pytest.approx(len(sent), rel=0.1)
    off = np.abs(actions[:, None] - sent[None]).max(axis=2).min(axis=1)
    assert off.max() < 1e-6
