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

"""Robots whose nodes go by different times are told, and those that go by one are not."""

from diffusion_policy_ros.evaluation.live.clock_report import clock_findings
from diffusion_policy_ros.evaluation.live.stream_times import StreamTimes
import pytest

SIM = ['/gazebo']


def running(step_ns=10_000_000, count=20):
    times = StreamTimes()
    for i in range(count):
        times.add(10**9 + i * 10_000_000, 10**9 + i * step_ns)
    return times


def told(publishers, times, using):
    return [(finding.level, finding.value) for finding in clock_findings(publishers, times, using)]


def test_a_robot_without_a_simulator_goes_by_the_time_of_day():
    assert told([], StreamTimes(), {'/driver': False}) == [
        ('OK', 'not published; all nodes asked go by the time of day')]
    assert told([], StreamTimes(), {}) == [('OK', 'not published')]


def test_nodes_that_wait_for_a_clock_that_nobody_publishes_are_named():
    (level, value), = told([], StreamTimes(), {'/driver': True, '/camera': False})
    assert level == 'ERROR' and '/driver waits for it' in value and '/camera' not in value


def test_a_simulated_robot_may_have_a_bridge_that_goes_by_the_time_of_day():
    assert told(SIM, running(5_000_000), {'/gazebo': False, '/command_safety': True}) == [
        ('OK', '100 Hz, 0.50 x real time; used by /command_safety')]


@pytest.mark.parametrize('name, level', [
    ('/left/policy_server', 'ERROR'), ('/command_safety', 'ERROR'), ('/driver', 'WARN')])
def test_nodes_of_another_time_than_the_simulator_are_named(name, level):
    assert told(SIM, running(), {name: False}) == [(level, f'is not used by {name}')]


@pytest.mark.parametrize('times, words', [
    (StreamTimes(), 'nothing arrives'), (running(0), 'does not move'),
    (running(-10_000_000), 'was set back 19 times')])
def test_a_clock_that_does_not_run_is_told(times, words):
    assert words in told(SIM, times, {})[0][1]


def test_two_clocks_are_told():
    assert 'has 2 publishers: /bag, /gazebo' in told(['/bag', '/gazebo'], running(), {})[0][1]
