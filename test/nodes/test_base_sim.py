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
"""The simulated base over real DDS: what it shows, what it obeys, resets, and a policy at it."""

import json
import math
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.sim.base.environment import BaseEnvironment
import numpy as np
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes import qos  # noqa: E402,I100
from diffusion_policy_ros.nodes.base_sim import BaseSim  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from geometry_msgs.msg import Twist, Vector3  # noqa: E402
from nav_msgs.msg import Odometry  # noqa: E402
from sensor_msgs.msg import LaserScan  # noqa: E402
from std_msgs.msg import Bool, Float64MultiArray, String  # noqa: E402

DOMAIN_ID = 80
CONTRACT = load_contract(share_path('config', 'robots', 'base.yaml'))


@pytest.fixture
def odometry(peer):
    """Return all odometry that was heard."""
    return peer.hear(Odometry, 'odom', qos.EVENTS)


@pytest.fixture
def drive(peer):
    """Return a function that tells the base a speed and a turning speed."""
    commands = peer.node.create_publisher(Twist, 'cmd_vel', qos.COMMANDS)

    def tell(linear, angular):
        peer.until(lambda: commands.get_subscription_count() > 0, 'a base that listens')
        commands.publish(Twist(linear=Vector3(x=linear), angular=Vector3(z=angular)))

    return tell


def stamp_ns(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_the_topics_show_what_the_environment_of_the_same_seed_does(peer):
    heard = {stream.topic: (stream, peer.hear(
        MESSAGE_CLASSES[stream.type], stream.topic, qos.for_stream(stream)))
        for stream in CONTRACT.observations}
    peer.start(BaseSim, seed=3)
    peer.until(lambda: all(messages for _, messages in heard.values()), 'all topics')
    environment = BaseEnvironment(CONTRACT)
    environment.reset(3)
    wanted = environment.observation()
    for key in CONTRACT.keys:
        found = np.concatenate([decode(heard[stream.topic][1][0], stream)
                                for stream in CONTRACT.streams_of(key)])
        np.testing.assert_allclose(found, wanted[key], atol=1e-6)
    scan, odometry = heard['scan'][1][0], heard['odom'][1][0]
    assert scan.angle_increment == pytest.approx(math.radians(10.0))
    assert scan.angle_max == pytest.approx(math.radians(350.0))
    assert (odometry.header.frame_id, odometry.child_frame_id) == ('odom', 'base_link')
    assert heard['goal_pose'][1][0].header.frame_id == 'odom'


def test_scans_and_odometry_keep_their_rates_and_carry_the_time_of_their_instant(peer, odometry):
    scans = peer.hear(LaserScan, 'scan', qos.EVENTS)
    peer.start(BaseSim)
    peer.until(lambda: len(scans) > 10 and len(odometry) > 10, 'messages')
    for messages, period_ms in ((scans, 50), (odometry, 20)):
        gaps_ms = np.diff([stamp_ns(message) for message in messages]) / 1e6
        assert gaps_ms.min() > 0 and round(np.median(gaps_ms)) == period_ms


def test_the_base_goes_where_it_is_told_and_stops_when_nothing_comes(peer, odometry, drive):
    peer.start(BaseSim)
    peer.until(lambda: odometry, 'odometry')
    begin = odometry[-1].pose.pose.position
    peer.until(lambda: drive(0.3, 0.0) or odometry[-1].twist.twist.linear.x > 0.25, 'speed')
    assert odometry[-1].pose.pose.position.x > begin.x
    peer.until(lambda: abs(odometry[-1].twist.twist.linear.x) < 1e-3, 'rest after the silence')
    peer.until(lambda: drive(0.0, 0.5) or odometry[-1].twist.twist.angular.z > 0.4, 'a turn')


def test_without_a_timeout_it_drives_on(peer, odometry, drive):
    peer.start(BaseSim, cmd_vel_timeout_s=0.0, real_time_factor=3.0)
    peer.until(lambda: odometry, 'odometry')
    drive(0.2, 0.0)
    begin = odometry[-1].pose.pose.position.x
    peer.until(lambda: odometry[-1].pose.pose.position.x > begin + 0.4, 'two seconds of driving')


def test_a_timeout_of_less_than_a_step_stops_it_all_the_same(peer, odometry, drive):
    robot = peer.start(BaseSim, cmd_vel_timeout_s=0.004)
    drive(0.2, 0.0)
    peer.until(lambda: robot._told == (0.2, 0.0), 'the command')
    seen = len(odometry)
    peer.until(lambda: len(odometry) > seen + 25, 'half a second')
    assert abs(odometry[-1].twist.twist.linear.x) < 1e-3


def test_a_command_that_is_no_number_is_refused(peer, odometry, drive, capfd):
    peer.start(BaseSim)
    peer.until(lambda: odometry, 'odometry')
    heard = []
    peer.until(lambda: drive(math.nan, 0.0) or heard.append(capfd.readouterr().err)
               or 'command ignored: linear.x is nan' in ''.join(heard), 'a refusal')
    assert odometry[-1].twist.twist.linear.x == 0.0


def test_each_reset_starts_the_next_seed_and_forgets_the_success(peer, odometry):
    robot = peer.start(BaseSim, seed=5)
    episodes = peer.hear(String, 'base_sim/episode', qos.STATUS)
    solved = peer.hear(Bool, 'base_sim/success', qos.STATUS)
    scores = peer.hear(Float64MultiArray, 'base_sim/score', qos.EVENTS)
    peer.until(lambda: episodes and solved and scores and odometry, 'the first episode')
    assert json.loads(episodes[-1].data) == {'number': 0, 'seed': 5}
    with robot._lock:
        robot._base._nearest_m = 0.0
    peer.until(lambda: solved[-1].data and list(scores[-1].data) == [1.0, 1.0], 'success')
    assert peer.ask('base_sim/reset') == (True, 'episode 1, seed 6')
    peer.until(lambda: not solved[-1].data and json.loads(episodes[-1].data)['seed'] == 6
               and list(scores[-1].data) == [0.0, 0.0], 'the second episode')


def test_a_command_that_waited_while_the_base_was_put_back_is_dropped(peer):
    robot = peer.start(BaseSim)
    before_ns = time.time_ns()
    assert peer.ask('base_sim/reset')[0]
    twist = Twist(linear=Vector3(x=0.2))
    robot._on_command(twist, before_ns)
    assert robot._told == (0.0, 0.0)
    robot._on_command(twist, time.time_ns())
    assert robot._told == (0.2, 0.0)


@pytest.mark.slow
def test_the_shipped_policy_drives_it_towards_the_goal(peer, odometry):
    pytest.importorskip('torch')
    from diffusion_policy_ros.nodes.policy_server import PolicyServer
    robot = peer.start(BaseSim, seed=100_000)
    server = peer.start(PolicyServer, model=str(share_path('models', 'base')), num_threads=1)
    server.trigger_configure()
    server.trigger_activate()
    peer.until(lambda: odometry, 'odometry')
    with robot._lock:
        first_m = robot._base.goal_distance()
    peer.until(lambda: robot._base.goal_distance() < first_m - 2.0, 'two metres of the way')
    assert not robot._base.has_touched
