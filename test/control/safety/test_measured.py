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
"""Where the robot is: fresh, complete, and at rest or not."""

from diffusion_policy_ros.control.safety.measured import MeasuredJoints, REST_S
from diffusion_policy_ros.errors import SafetyError
from diffusion_policy_ros.streams import ObservationStream
import numpy as np
import pytest

JOINT_STATE = 'sensor_msgs/msg/JointState'
ARM = ObservationStream('observation.state', 'joint_states', JOINT_STATE, 100.0,
                        names=('b', 'x', 'a'))
GRIPPER = ObservationStream('observation.state', 'gripper_states', JOINT_STATE, 500.0,
                            names=('g', 'a'))
SPEEDS = ObservationStream('observation.speed', 'joint_states', JOINT_STATE, 100.0,
                           names=('a', 'b'), field='velocity')
STREAMS = (SPEEDS, ARM, GRIPPER)


@pytest.fixture
def measured():
    return MeasuredJoints(STREAMS, ('a', 'b', 'g'), [1.0, 1.0, 1.0])


def _update(measured, now_s, a=0.0, b=0.0, g=0.0):
    measured.update(ARM, [b, 99.0, a], now_s)
    measured.update(GRIPPER, [g, 77.0], now_s)


def test_joints_come_by_name_from_the_first_stream_that_measures_their_position(measured):
    _update(measured, 0.0, a=1.0, b=2.0, g=3.0)
    assert measured.positions(('g', 'a', 'b')).tolist() == [3.0, 1.0, 2.0]
    assert measured.streams('joint_states') == [ARM]


def test_a_joint_that_no_stream_measures_is_refused_with_the_remedy():
    with pytest.raises(SafetyError, match='measures the position of wrist: .*role: auxiliary'):
        MeasuredJoints(STREAMS, ('a', 'wrist'), [1.0, 1.0])
    with pytest.raises(SafetyError, match='position of a, b'):
        MeasuredJoints((SPEEDS,), ('a', 'b'), [1.0, 1.0])


def test_a_missing_and_an_old_measurement_are_named_with_topic_and_age(measured):
    measured.update(ARM, [0.0, 0.0, 0.0], 5.0)
    assert measured.staleness(5.0) == 'gripper_states: no measurement yet'
    _update(measured, 5.0)
    assert measured.staleness(5.1) == ''
    assert measured.staleness(5.2) == ('joint_states: the last measurement is 0.20 s old, limit '
                                       '0.10 s')


def test_a_refused_measurement_counts_as_none_and_is_told_until_the_next_good_one(measured):
    _update(measured, 0.0)
    measured.refuse(ARM, 'a is nan')
    assert measured.staleness(0.05) == ''
    assert measured.staleness(0.2).endswith('; refused: a is nan')
    _update(measured, 0.2)
    assert 'nan' not in measured.staleness(0.35)


def test_a_robot_rests_when_nothing_has_moved_for_a_while(measured):
    assert not measured.at_rest
    for step in range(11):
        _update(measured, step * REST_S / 10, a=1e-3 * (-1) ** step)  # an encoder's noise
        assert measured.at_rest == (step == 10)


def test_silence_is_no_rest_and_neither_is_a_single_measurement(measured):
    for time_s in np.arange(0.0, 1.0, 0.01):
        _update(measured, time_s, b=time_s)
    assert not measured.at_rest  # nobody knows what it does after these
    _update(measured, 5.0, b=2.0)
    assert not measured.at_rest
    _update(measured, 5.0 + REST_S, b=2.0)
    assert measured.at_rest


@pytest.mark.parametrize('speed', [0.1, 1.0])
def test_a_robot_that_moves_does_not_rest_however_steadily(measured, speed):
    for time_s in np.arange(0.0, 2.0, 0.01):
        _update(measured, time_s, b=speed * time_s)
        assert not measured.at_rest


def test_part_of_the_joints_is_not_enough_to_rest(measured):
    for time_s in np.arange(0.0, 1.0, 0.1):
        measured.update(ARM, [0.0, 0.0, 0.0], time_s)
    assert not measured.at_rest


def test_where_no_position_is_commanded_nothing_has_to_be_measured():
    measured = MeasuredJoints((), (), ())
    assert measured.staleness(0.0) == '' and measured.at_rest
