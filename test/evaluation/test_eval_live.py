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

"""Episodes over ROS have results as those in lock step, and the live loop is told."""

from diffusion_policy_ros.evaluation.eval_live import episode_result, live_figures, score_course
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
import numpy as np
import pytest


def test_the_result_is_of_the_same_kind_as_in_lock_step(record):
    assert episode_result(record(0, seconds=3, top=0.475), 10.0) == EpisodeResult(
        7, pytest.approx(0.5), False, 30)
    solved = episode_result(record(1, seconds=2, top=0.96), 10.0)
    assert (solved.seed, solved.score, solved.success, solved.steps) == (8, 1.0, True, 20)


def test_a_simulation_with_a_clock_of_its_own_is_measured_in_its_time(record):
    whole = record(seconds=6, top=1.0)
    slow = record(sim='arm_pick_place', seconds=6, score_ns=whole.score_ns[::2],
                  score=whole.score[::2])
    assert episode_result(slow, 10.0) == EpisodeResult(7, 1.0, True, 30)
    course = score_course(slow, 10.0, 40)
    assert course[15] == pytest.approx(0.5, abs=0.02) and course[30] == course[40] == 1.0
    assert live_figures([slow], [{'said': [], 'facts': {}}], 10.0)[
        'real-time factor of the simulation'] == '0.50'


def test_the_course_rises_with_the_coverage_and_stays(record):
    course = score_course(record(0, seconds=3, top=0.475), 10.0, 40)
    assert len(course) == 41 and course[0] == 0 and course[15] == pytest.approx(0.25)
    assert course[30] == course[40] == pytest.approx(0.5)
    assert (np.diff(course) >= 0).all()
    nothing = record(score_ns=np.zeros(0, np.int64), score=np.zeros((0, 2)))
    assert (score_course(nothing, 10.0, 5) == 0).all()


def test_rates_holds_and_pauses_are_told(record):
    records = [record(), record(1, notes=np.array(['waiting for the first plan', 'no picture']))]
    told = ['HOLDING: nobody commands', 'RAMPING', 'FOLLOWING']
    guards = [{'said': told, 'facts': {'joint_commands clamped steps': '2 of 40'}}, {
        'said': [*told, 'HOLDING: too far', 'HOLDING: too far', 'RAMPING', 'FOLLOWING'],
        'facts': {'joint_commands clamped steps': '3 of 60', 'e-stop': 'armed'}}]
    figures = live_figures(records, guards, 10.0)
    assert figures['commands per second'] == '10.00 of 10'
    assert figures['deviation from their period, 99 %'] == '0.0 ms'
    assert figures['picture to finished plan, median'] == '100.0 ms'
    assert figures['holds by command_safety while commanded'] == '1: HOLDING: too far'
    assert figures['times without a plan'] == '1: no picture'
    assert figures['joint_commands clamped steps'] == '5 of 100' and 'e-stop' not in figures


def test_a_robot_that_never_followed_was_held(record):
    guards = [{'said': ['HOLDING: no joint states'], 'facts': {}}]
    assert live_figures([record()], guards, 10.0)[
        'holds by command_safety while commanded'] == '1: HOLDING: no joint states'
