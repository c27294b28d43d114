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

"""The simulated robot over real DDS: rates, stamps, commands, resets, replays and the mouse."""

import json
import os
from pathlib import Path
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.errors import ConfigError, DatasetError  # noqa: E402,I100
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.pusht_sim import PushTSim  # noqa: E402
from diffusion_policy_ros.nodes.pusht_topics import joint_message  # noqa: E402
from diffusion_policy_ros.sim.pusht import PushT  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from rclpy.exceptions import ParameterException  # noqa: E402
from rclpy.time import Time  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray, String  # noqa: E402

DOMAIN_ID = 34
ROOT = Path(__file__).parents[2]


def _stamp_ns(message):
    """Return a header's stamp in ns."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def _say(peer, publisher, target):
    """Command a target."""
    publisher.publish(joint_message(target, peer.node.get_clock().now().nanoseconds))


def _commander(peer):
    """Return a publisher of commands that the robot hears."""
    publisher = peer.node.create_publisher(JointState, 'joint_commands', qos.COMMANDS)
    peer.until(lambda: publisher.get_subscription_count() > 0, 'the robot listening')
    return publisher


def _on_a_clock(peer):
    """Return a robot on a simulated clock, a publisher for it, and what sets the clock."""
    robot = peer.start(PushTSim, use_sim_time=True)
    clock = peer.node.create_publisher(Clock, '/clock', 10)
    peer.until(lambda: clock.get_subscription_count() > 0, 'the robot listening to the clock')

    def set_clock(now_ns):
        """Let time pass until now, and wait for the steps of it."""
        clock.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))
        peer.until(lambda: robot.get_clock().now().nanoseconds == now_ns
                   and robot.is_settled(now_ns), 'the steps until now')

    return robot, _commander(peer), set_clock


def test_camera_and_joints_keep_their_rates_and_their_stamps(peer):
    before_ns = peer.node.get_clock().now().nanoseconds
    peer.start(PushTSim)
    images = peer.hear(Image, 'camera/image_raw', qos.EVENTS)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    blocks = peer.hear(PoseStamped, 'block_pose', qos.EVENTS)
    peer.until(lambda: len(images) > 40 and len(joints) > 70 and len(blocks) > 70, 'streams')
    after_ns = peer.node.get_clock().now().nanoseconds
    for messages, rate_hz in ((images, 30.0), (joints, 50.0), (blocks, 50.0)):
        stamps = np.array([_stamp_ns(message) for message in messages])
        assert before_ns < stamps[0] and stamps[-1] <= after_ns
        assert (np.diff(stamps) > 0).all()
        # Stamps are due times, so that a busy machine shows in lateness and not in the rate.
        assert np.median(np.diff(stamps)) == pytest.approx(1e9 / rate_hz, abs=4e6)
    assert images[0].encoding == 'rgb8' and (images[0].height, images[0].width) == (96, 96)
    assert images[0].step == 288 and images[0].header.frame_id == 'camera_optical_frame'


def test_the_first_episode_shows_what_its_seed_draws(peer):
    peer.start(PushTSim, seed=11)
    images = peer.hear(Image, 'camera/image_raw', qos.EVENTS)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    blocks = peer.hear(PoseStamped, 'block_pose', qos.EVENTS)
    peer.until(lambda: images and joints and blocks, 'streams')
    sim = PushT()
    sim.reset(11)
    np.testing.assert_array_equal(
        np.frombuffer(images[0].data, np.uint8).reshape(96, 96, 3), sim.picture())
    assert list(joints[0].name) == ['finger_x', 'finger_y']
    np.testing.assert_allclose(joints[0].position, sim.state()[:2])
    pose = blocks[0].pose
    angle = 2 * np.arctan2(pose.orientation.z, pose.orientation.w)
    np.testing.assert_allclose([pose.position.x, pose.position.y], sim.state()[2:4])
    assert np.cos(angle - sim.state()[4]) == pytest.approx(1.0)


def test_the_finger_follows_commands_and_keeps_the_last_one(peer):
    peer.start(PushTSim, real_time_factor=4.0)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    commands = _commander(peer)
    _say(peer, commands, (0.05, 0.06))
    peer.until(lambda: joints and np.allclose(joints[-1].position, (0.05, 0.06), atol=1e-3),
               'finger at the target')
    heard = len(joints)
    peer.until(lambda: len(joints) > heard + 100, 'a second without commands')
    np.testing.assert_allclose(joints[-1].position, (0.05, 0.06), atol=1e-3)


def test_a_command_beyond_the_table_stops_at_its_edge(peer):
    peer.start(PushTSim, real_time_factor=4.0)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    _say(peer, _commander(peer), (-3.0, 0.06))
    peer.until(lambda: joints and joints[-1].position[0] < 0.002, 'finger at the edge')
    assert min(message.position[0] for message in joints) > -0.05


def test_malformed_commands_are_ignored_and_good_ones_obeyed_after(peer):
    peer.start(PushTSim, real_time_factor=4.0)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    commands = _commander(peer)
    peer.until(lambda: joints, 'joint states')
    rest = tuple(joints[-1].position)
    for names, position in ((['finger_x'], [0.1]), (['finger_x', 'elbow'], [0.1, 0.1]),
                            (['finger_x', 'finger_y'], [0.1]), ([], []),
                            (['finger_x', 'finger_y'], [0.1, float('nan')])):
        commands.publish(JointState(name=names, position=position))
        heard = len(joints)
        peer.until(lambda: len(joints) > heard + 10, 'joint states after a bad command')
        np.testing.assert_allclose(joints[-1].position, rest, atol=1e-9)
    commands.publish(JointState(name=['finger_y', 'finger_x'], position=[0.06, 0.05]))
    peer.until(lambda: np.allclose(joints[-1].position, (0.05, 0.06), atol=1e-3),
               'a good command obeyed')


def test_resets_count_seeds_up_and_say_so_to_latecomers(peer):
    robot = peer.start(PushTSim, seed=100)
    assert peer.ask('pusht_sim/reset') == (True, 'episode 1, seed 101')
    assert peer.ask('pusht_sim/reset') == (True, 'episode 2, seed 102')
    late = peer.hear(String, 'pusht_sim/episode', qos.STATUS)
    peer.until(lambda: late, 'the latched episode')
    assert json.loads(late[-1].data) == {
        'number': 2, 'seed': 102, 'demonstration': None, 'phase': 'live'}
    from rclpy.parameter import Parameter
    robot.set_parameters([Parameter('seed', value=7)])
    assert peer.ask('pusht_sim/reset') == (True, 'episode 3, seed 7')
    assert peer.ask('pusht_sim/reset') == (True, 'episode 4, seed 8')


def test_a_command_that_waited_while_the_table_was_put_back_is_dropped(peer):
    robot = peer.start(PushTSim, real_time_factor=4.0)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    before_ns = time.time_ns()
    assert peer.ask('pusht_sim/reset')[0]
    peer.until(lambda: joints, 'joint states')
    start, seen = tuple(robot.table.state()[:2]), len(joints)
    robot._on_command(joint_message((0.05, 0.06), 0), before_ns)
    peer.until(lambda: len(joints) > seen + 20, 'joint states after it')
    np.testing.assert_allclose(joints[-1].position, start)
    robot._on_command(joint_message((0.05, 0.06), 0), time.time_ns())
    peer.until(lambda: np.allclose(joints[-1].position, (0.05, 0.06), atol=1e-3),
               'the finger at the target')


def test_a_reset_does_not_wait_behind_a_simulation_that_is_late(peer, monkeypatch):
    robot, steps = peer.start(PushTSim), []
    advance = robot.table.advance

    def slowly(*step):
        time.sleep(0.03)  # three times as long as a step may take
        steps.append(step)
        advance(*step)

    monkeypatch.setattr(robot.table, 'advance', slowly)
    peer.until(lambda: len(steps) > 5, 'steps that are late')
    waits = []
    for _ in range(5):
        before = len(steps)
        robot._reset()
        waits.append(len(steps) - before)
    assert max(waits) <= 3


def test_without_a_clock_it_waits_and_with_one_its_stamps_are_that_clocks(peer):
    robot = peer.start(PushTSim, use_sim_time=True)
    coverage = peer.hear(Float64MultiArray, 'pusht_sim/coverage', qos.EVENTS)
    images = peer.hear(Image, 'camera/image_raw', qos.EVENTS)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    clock = peer.node.create_publisher(Clock, '/clock', 10)
    peer.until(lambda: clock.get_subscription_count() > 0, 'the robot listening to the clock')
    looks, stepper = [], robot._stepper
    read = stepper._read_clocks
    stepper._read_clocks = lambda: looks.append(None) or read()

    def look_twice():
        """Wait until the robot has looked at its clock and done what was due then."""
        before = len(looks)
        peer.until(lambda: len(looks) > before + 1, 'a look at the clock')

    def run_clock(first_ns, last_ns):
        """Show a clock that ticks every 50 ms; the stamps of the joint states."""
        del joints[:]
        for now_ns in range(first_ns, last_ns + 1, 50_000_000):
            clock.publish(Clock(clock=Time(nanoseconds=now_ns).to_msg()))
            peer.until(lambda: robot.get_clock().now().nanoseconds == now_ns, 'the clock')
            look_twice()
        peer.until(lambda: joints and _stamp_ns(joints[-1]) == last_ns, 'the last joint state')
        return [_stamp_ns(message) for message in joints]

    look_twice()
    assert not (images or joints or coverage)
    assert run_clock(50_000_000, 1_050_000_000) == list(
        range(70_000_000, 1_050_000_001, 20_000_000))
    assert 28 <= len(images) <= 30
    # After the clock was set back, too.
    assert run_clock(200_000_000, 400_000_000) == list(
        range(220_000_000, 400_000_001, 20_000_000))


@pytest.mark.parametrize('stamp_ns, begins_ns', [
    (140_000_000, 140_000_000), (60_000_000, 100_000_000), (1_700_000_000 * 10**9, 100_000_000),
    (0, 100_000_000)])
def test_a_command_counts_from_its_stamp_on_unless_that_is_of_another_clock(
        peer, stamp_ns, begins_ns):
    robot, commands, set_clock = _on_a_clock(peer)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    set_clock(20_000_000)
    set_clock(100_000_000)
    commands.publish(joint_message((0.05, 0.06), stamp_ns))
    peer.until(lambda: robot.commands == 1, 'the command')
    set_clock(300_000_000)
    peer.until(lambda: joints and _stamp_ns(joints[-1]) == 300_000_000, 'the last joint state')
    moved = [message for message in joints if message.position != joints[0].position]
    assert begins_ns < _stamp_ns(moved[0]) <= begins_ns + 20_000_000


def test_a_command_of_before_the_clock_was_set_back_does_not_bar_the_way(peer):
    robot, commands, set_clock = _on_a_clock(peer)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    set_clock(20_000_000)
    set_clock(1_000_000_000)
    commands.publish(joint_message((0.4, 0.4), 1_050_000_000))
    peer.until(lambda: robot.commands == 1, 'the command that is not due yet')
    set_clock(100_000_000)
    peer.until(lambda: not robot.is_settled(500_000_000), 'steps in the new time')
    commands.publish(joint_message((0.05, 0.06), 100_000_000))
    peer.until(lambda: robot.commands == 2, 'the command')
    for now_ns in range(120_000_000, 900_000_000, 20_000_000):
        set_clock(now_ns)
    peer.until(lambda: np.allclose(joints[-1].position, (0.05, 0.06), atol=2e-3),
               'the finger at the target')


@pytest.mark.parametrize('ahead_ms', [0, 50])
def test_commands_at_the_rate_of_the_steps_and_above_are_all_obeyed(peer, ahead_ms):
    robot, commands, set_clock = _on_a_clock(peer)
    joints, sent = peer.hear(JointState, 'joint_states', qos.EVENTS), 0
    for now_ns in range(20_000_000, 1_000_000_000, 5_000_000):
        set_clock(now_ns)
        commands.publish(joint_message((0.05, 0.06), now_ns + ahead_ms * 1_000_000))
        sent += 1
        peer.until(lambda sent=sent: robot.commands == sent, 'the command')
    peer.until(lambda: np.allclose(joints[-1].position, (0.05, 0.06), atol=2e-3),
               'the finger at the target')


def test_coverage_is_told_with_its_maximum(peer):
    peer.start(PushTSim, seed=3)
    heard = peer.hear(Float64MultiArray, 'pusht_sim/coverage', qos.EVENTS)
    peer.until(lambda: heard, 'coverage')
    now, best = heard[-1].data
    assert 0.0 <= now <= best <= 1.0


def test_all_topics_move_with_the_namespace(peer):
    robot = peer.start(PushTSim)
    names = {publisher.topic_name for publisher in robot.publishers}
    names |= {subscription.topic_name for subscription in robot.subscriptions}
    assert {'/camera/image_raw', '/joint_states', '/block_pose', '/joint_commands',
            '/pusht_sim/coverage', '/pusht_sim/episode'} <= names
    source = ''.join(path.read_text() for path in
                     (ROOT / 'diffusion_policy_ros' / 'nodes').glob('pusht*.py'))
    assert "'/" not in source


@pytest.mark.parametrize('parameters, error, reason', [
    ({'camera_rate_hz': 300.0}, ParameterException, 'camera_rate_hz'),
    ({'seed': -1}, ParameterException, 'seed'),
    ({'replay_dataset': '/nowhere'}, DatasetError, 'cannot replay /nowhere'),
    ({'replay_dataset': '/nowhere', 'real_time_factor': 2.0}, ConfigError, 'real time'),
])
def test_bad_parameters_are_refused_at_start(peer, parameters, error, reason):
    with pytest.raises(error, match=reason):
        peer.start(PushTSim, **parameters)


def test_episodes_that_cannot_be_replayed_are_refused_naming_the_parameter(peer, shared_data):
    pytest.importorskip('zarr')
    path = shared_data / 'pusht' / 'pusht_cchi_v7_replay.zarr'
    for text in ('5-1', '1-', '0-999999999999'):
        with pytest.raises(ConfigError, match=f"^replay_episodes: '{text}' in '{text}' means no "
                           f'demonstration of {path}; write numbers from 0 to 205'):
            peer.start(PushTSim, replay_dataset=str(path), replay_episodes=text)


def test_a_flood_of_resets_does_not_flood_the_log(peer, capfd):
    peer.start(PushTSim)
    for _ in range(20):
        assert peer.ask('pusht_sim/reset')[0]
    told = capfd.readouterr().err.count(': episode ')
    assert 1 <= told < 10


def test_a_view_without_a_display_is_refused_with_the_remedy():
    """In a process of its own: SDL ends EGL for all others in it when it has looked for one."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('SDL_VIDEODRIVER', 'DISPLAY', 'WAYLAND_DISPLAY')}
    environment.update(ROS_DOMAIN_ID=str(DOMAIN_ID), ROS_AUTOMATIC_DISCOVERY_RANGE='LOCALHOST')
    done = subprocess.run(
        [sys.executable, '-m', 'diffusion_policy_ros.nodes.pusht_sim', '--ros-args', '-p',
         'view:=true'], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'cannot start' in done.stderr and 'leave the view off' in done.stderr


def test_the_mouse_demonstrates_and_keys_reset(peer, monkeypatch):
    import pygame
    monkeypatch.setenv('SDL_VIDEODRIVER', 'dummy')
    peer.start(PushTSim, view=True, real_time_factor=4.0)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    commands = peer.hear(JointState, 'joint_commands', qos.EVENTS)
    monkeypatch.setattr(pygame.mouse, 'get_pos', lambda: (50, 460))
    monkeypatch.setattr(pygame.mouse, 'get_pressed', lambda: (True, False, False))
    peer.until(lambda: joints and np.allclose(joints[-1].position, (0.05, 0.46), atol=1e-3),
               'finger under the mouse')
    assert commands and _stamp_ns(commands[0]) > 0
    episodes = peer.hear(String, 'pusht_sim/episode', qos.STATUS)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_r))
    peer.until(lambda: episodes and json.loads(episodes[-1].data)['number'] == 1, 'a reset by key')


def test_closing_the_window_ends_the_node_cleanly():
    script = """
import sys
from diffusion_policy_ros.nodes import pusht_view
from diffusion_policy_ros.nodes.pusht_sim import main
import pygame
show = pusht_view.TableWindow.show
def show_and_close(*arguments):
    show(*arguments)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
pusht_view.TableWindow.show = show_and_close
sys.exit(main(['--ros-args', '-p', 'view:=true']))
"""
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID), 'SDL_VIDEODRIVER': 'dummy',
                   'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
                   'PYTHONPATH': os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])}
    ended = subprocess.run([sys.executable, '-c', script], env=environment, timeout=60,
                           capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert 'the window was closed' in ended.stdout + ended.stderr
    assert 'Traceback' not in ended.stderr


def test_a_replay_stamps_rows_one_period_apart_and_shows_what_was_recorded(
        peer, shared_data, capfd):
    zarr = pytest.importorskip('zarr')
    path = shared_data / 'pusht' / 'pusht_cchi_v7_replay.zarr'
    group = zarr.open(str(path), mode='r')
    first, last = group['meta/episode_ends'][204:206]
    commands = peer.hear(JointState, 'joint_commands', qos.EVENTS)
    joints = peer.hear(JointState, 'joint_states', qos.EVENTS)
    episodes = peer.hear(String, 'pusht_sim/episode', qos.EVENTS)
    robot = peer.start(PushTSim, replay_dataset=str(path), replay_episodes='205')
    assert not robot._reset()[0]
    peer.until(lambda: any(json.loads(e.data)['phase'] == 'done' for e in episodes),
               'the end of the replay')
    logged = capfd.readouterr().err
    assert 'demonstrations to replay: 1, all topics at 10 Hz' in logged
    assert 'the robot is live: ' not in logged  # with rates that nothing comes at
    rows = {_stamp_ns(message): message for message in commands}
    stamps = np.array(sorted(rows))
    assert len(stamps) == last - first
    assert (np.diff(stamps) == 100_000_000).all()
    np.testing.assert_array_equal(
        [rows[stamp].position for stamp in stamps],
        np.asarray(group['data/action'][first:last], dtype=np.float64) * 0.001)
    shown = {_stamp_ns(message): message.position for message in joints}
    np.testing.assert_allclose([shown[stamp] for stamp in stamps],
                               group['data/state'][first:last][:, :2] * 0.001, atol=1e-5)
    # The robot is silent between its rows.
    assert not [s for s in shown if stamps[0] < s < stamps[-1] and s not in rows]
