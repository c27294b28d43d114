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

"""What the recorder logs of problems that go on, without a middleware."""

from unittest.mock import Mock

import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.nodes.recorder_report import RecorderReport  # noqa: E402

RECORDING = 'recording episode 0 to bags/episode_000000'


@pytest.fixture
def node():
    found = Mock()
    found.get_fully_qualified_name.return_value = '/recorder'
    return found


@pytest.fixture
def told(node):
    """Return a function that tells problems, and returns what was logged for that."""
    report = RecorderReport(node, dict)

    def tell(*problems, recording=RECORDING):
        logger = node.get_logger()
        logger.reset_mock()
        report.tell_recording(recording, problems)
        return [call.args[0] for call in (*logger.warning.call_args_list,
                                          *logger.info.call_args_list)]

    return tell


def test_a_problem_is_logged_when_it_begins_and_when_it_is_over(told):
    assert told() == []
    first = 'gap on /cam: silent for more than 300 ms once, at most 400 ms'
    assert told(first) == [f'{RECORDING}; {first}']
    later = 'gap on /cam: silent for more than 300 ms 2 times, at most 1900 ms'
    assert told(later) == [] and told(later) == []
    assert told() == [f'{RECORDING}; over: {later}']
    assert told(first) == [f'{RECORDING}; {first}']


@pytest.mark.parametrize('first, second', [
    ('disk: the disk of bags is full in about 2.9 minutes, 900 MB free',
     'disk: 80 MB free on the disk of bags; the episode ends when it is full'),
    ('clock_skew on /cam: 1 message stamped after the arrival, by up to 60 ms',
     'clock_skew on /cam: 3 messages without a time in the header')])
def test_a_second_kind_of_one_alarm_is_logged_too(told, first, second):
    assert told(first) == [f'{RECORDING}; {first}']
    assert told(first, second) == [f'{RECORDING}; {second}']
    assert told(second) == [f'{RECORDING}; over: {first}']


def test_a_count_that_grows_is_the_same_problem(told):
    text = 'clock_skew on /cam_2: {} stamped after the arrival, by up to {} ms'
    assert len(told(text.format('1 message', 60))) == 1
    assert told(text.format('12 messages', 61)) == []


def test_problems_that_begin_together_are_one_line(told):
    both = '/cam has been silent for 1.3 s, limit 1 s', 'rate on /joints: up to 9 Hz below'
    assert told(*both) == [f'{RECORDING}; {both[0]}; {both[1]}']
    assert told('/cam has been silent for 1.8 s, limit 1 s', both[1]) == []


def test_topics_that_differ_in_a_number_are_two(told):
    assert len(told('/cam_1/image has been silent for 1.3 s')) == 1
    assert len(told('/cam_1/image has been silent for 1.3 s',
                    '/cam_2/image has been silent for 1.3 s')) == 1
    assert told('/cam_2/image has been silent for 1.8 s') == [
        f'{RECORDING}; over: /cam_1/image has been silent for 1.3 s']


def test_what_goes_on_in_the_next_episode_is_logged_anew(told):
    problem = 'age on /cam: 1 message older than 300 ms'
    told(problem)
    assert len(told(problem, recording='recording episode 1 to bags/episode_000001')) == 1


def test_what_is_known_at_the_start_is_not_logged_again(node):
    report, problem = RecorderReport(node, dict), 'publishers on /cam: the messages of /a and /b'
    report.know(RECORDING, [problem])
    report.tell_recording(RECORDING, [problem])
    node.get_logger().warning.assert_not_called()
    report.tell_recording(RECORDING, [])
    node.get_logger().info.assert_called_once_with(f'{RECORDING}; over: {problem}')


@pytest.mark.parametrize('obstacles, ready', [
    ([], 'ready: /recorder/start begins an episode'),
    (['/cam has no publisher'], 'NOT READY: /cam has no publisher')])
def test_doubts_are_told_while_nothing_is_recorded(node, obstacles, ready):
    report, doubt = RecorderReport(node, dict), '/cam has 2 publishers: /a, /b'
    report.tell_readiness(obstacles, [doubt], '/recorder/start')
    status = node.create_publisher().publish.call_args.args[0]
    assert status.message.endswith(f'{ready}; {doubt}') and status.level == DiagnosticStatus.WARN
    facts = {pair.key: pair.value for pair in status.values}
    assert (facts['obstacles'], facts['doubts']) == ('; '.join(obstacles), doubt)
