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
"""The guard: when a robot holds, follows and stops, and that it keeps its limits throughout."""

from diffusion_policy_ros.control.safety.command_reader import Command
from diffusion_policy_ros.control.safety.emergency import EmergencyStop
from diffusion_policy_ros.errors import SafetyError
import numpy as np
import pytest

HERE = ([0.0, 0.0], [0.5], [0.0])
THERE = ([0.8, 0.4], [0.7], [0.3])


def wave(now_s):
    """Ask for more than the limits allow."""
    return [3 * np.sin(3 * now_s), 2 * np.sin(2 * now_s)], [0.5 + np.sin(now_s)], [np.sin(now_s)]


def base_alone(contract):
    """Return a contract without the outputs of joints."""
    for begin, end in (('  - {topic: arm', '  - {topic: base'), ('  a: {', '  linear.x')):
        contract = contract.replace(contract[contract.index(begin):contract.index(end)], '')
    return contract


def test_nothing_is_sent_before_the_robot_was_seen_at_rest(make_world):
    world = make_world()
    world.seen = False
    world.run(1.0, HERE)
    assert world.guard.state == 'HOLDING' and world.guard.reason.source == 'measured'
    world.seen = True
    world.run(0.2, HERE)
    assert 'stands still' in world.guard.reason.text
    assert all(row is None for row in world.sent)


def test_a_robot_that_moves_is_not_held(make_world):
    world = make_world()
    for _ in range(100):
        world.robot[0] += 0.005
        world.tick()
    assert all(row is None for row in world.sent)


def test_without_commands_the_measured_position_is_held(make_world):
    world = make_world(robot=(0.3, -0.2, 0.9))
    world.run(1.0)
    assert world.sent[-1].tolist() == [0.3, -0.2, 0.9, 0.0]
    assert world.guard.state == 'HOLDING'
    assert world.guard.reason == ('command', 'arm: no command yet')


@pytest.mark.parametrize('g, held', [(-0.02, 0.0), (1.02, 1.0), (0.4, 0.4)])
def test_a_joint_at_its_stop_is_held_at_its_limit(make_world, g, held):
    world = make_world(robot=(0.0, 0.0, g))
    world.run(0.5)
    assert world.sent[-1][2] == held


def test_a_robot_outside_its_limits_is_not_held(make_world):
    world = make_world(robot=(0.0, 1.1, 0.5))
    world.run(1.0, HERE)
    assert all(row is None for row in world.sent)
    assert world.guard.reason.source == 'limits'
    assert 'joint a is measured at position 1.1' in world.guard.reason.text


def test_commands_are_followed_to_where_they_lead(following, assert_limits_kept):
    world = following()
    world.run(3.0, THERE)
    assert world.guard.state == 'FOLLOWING' and world.guard.reason is None
    assert world.sent[-1] == pytest.approx([0.8, 0.4, 0.7, 0.3], abs=1e-6)
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


def test_whatever_is_asked_the_limits_are_kept_and_counted(following, assert_limits_kept):
    world = following()
    world.run(5.0, wave)
    assert world.guard.state == 'FOLLOWING'
    assert_limits_kept(world.sent_in_one_go(), *world.limits)
    arm = world.guard.channels[0]
    assert 0 < arm.any_intervention < arm.steps
    assert max(arm.interventions) <= arm.any_intervention <= sum(arm.interventions)


def test_speed_ramps_up_at_the_start_of_every_motion(make_world):
    world = make_world()
    world.until('RAMPING', THERE)
    world.run(world.RAMP_IN_S / 2, THERE)
    assert world.guard.state == 'RAMPING' and 0.4 < world.guard.scale < 0.6
    speed = np.abs(np.diff([row[0] for row in world.sent if row is not None])) / world.PERIOD_S
    assert speed.max() <= 2.0 * world.guard.scale + 1e-9
    world.run(world.RAMP_IN_S, THERE)
    assert world.guard.state == 'FOLLOWING' and world.guard.scale == 1.0


@pytest.mark.parametrize('scale', [0.1, 0.5, 1.0])
def test_the_speed_scale_caps_the_speed(make_world, scale):
    world = make_world()
    world.guard.speed_scale = scale
    world.run(4.0, THERE)
    rows = np.array([row for row in world.sent if row is not None])
    speed = np.abs(np.diff(rows[:, 0])).max() / world.PERIOD_S
    assert speed <= 2.0 * scale * (1 + 1e-9)
    assert speed >= min(2.0 * scale, 1.0) * 0.9


def test_a_speed_scale_that_is_raised_is_ramped_and_a_lower_one_counts_at_once(
        make_world, assert_limits_kept):
    world = make_world()
    world.guard.speed_scale = 0.1
    far = [1.9, 0.95], [0.5], [0.0]
    world.until('RAMPING', ([0.0, 0.0], [0.5], [0.0]))
    world.run(1.0, far)
    before = len(world.sent)
    world.guard.speed_scale = 1.0
    world.run(0.4, far)
    assert world.guard.state == 'RAMPING' and world.guard.scale == pytest.approx(0.1 + 0.4 / 0.5)
    speed = np.diff([row[0] for row in world.sent[before - 1:]]) / world.PERIOD_S
    allowed = 2.0 * (0.1 + np.arange(1, len(speed) + 1) * world.PERIOD_S / world.RAMP_IN_S)
    assert (speed <= allowed + 1e-9).all() and speed[-1] > 0.8
    world.guard.speed_scale = 0.2
    world.run(world.PERIOD_S, far)
    assert world.guard.state == 'FOLLOWING' and world.guard.scale == 0.2
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


def test_speed_scale_0_stops_and_going_on_is_a_new_motion(following, assert_limits_kept):
    world = following()
    world.run(0.2, THERE)
    world.guard.speed_scale = 0.0
    assert world.until('HOLDING', THERE) <= world.guard.stopping_s + world.PERIOD_S
    assert world.guard.reason.source == 'speed_scale'
    world.guard.speed_scale = 1.0
    world.run(world.PERIOD_S, THERE)
    assert world.guard.state == 'RAMPING'
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


@pytest.mark.parametrize('deaf', [0, 1, 2])
def test_silence_of_any_output_stops_the_robot_in_time(following, assert_limits_kept, deaf):
    world = following()
    world.run(0.3, wave)
    rows = [list(row) for row in wave(world.now_s)]
    rows[deaf] = None
    within_s = world.WATCHDOG_S + world.guard.stopping_s + 2 * world.PERIOD_S
    assert world.until('HOLDING', rows) <= within_s
    assert world.guard.reason.source == 'command'
    assert world.guard.reason.text.startswith(world.guard.channels[deaf].output.topic)
    assert world.guard.stops == {'command': 1}
    assert world.sent[-1][3] == 0.0  # the base stands
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


def test_a_wrong_type_is_told_and_not_the_silence_that_it_causes(make_world):
    world = make_world()
    world.seen = False
    world.guard.block('publishers', '/joint_states carries another type')
    world.run(0.5)
    assert world.guard.reason == ('publishers', '/joint_states carries another type')
    world.guard.block('publishers', '')
    world.run(0.5)
    assert 'no measurement yet' in world.guard.reason.text
    assert not any(row is not None for row in world.sent)


def test_a_refused_command_counts_as_silence_and_is_named(following):
    world = following()
    for _ in range(60):
        world.guard.channels[0].refuse('names', 'who is c?')
        world.command(None, [0.5], [0.0])
        world.tick()
    assert world.guard.state == 'HOLDING'
    assert world.guard.reason.text.endswith('last refused: who is c?')
    assert world.guard.channels[0].refused == {'names': 60}
    world.run(1.0, ([0.0, 0.0], [0.5], [0.0]))
    world.until('HOLDING')
    assert 'last refused' not in world.guard.reason.text  # that was before the last good one


def test_motion_resumes_by_itself_when_commands_are_back(following, assert_limits_kept):
    world = following()
    world.until('HOLDING')
    assert world.until('FOLLOWING', HERE) == pytest.approx(world.RAMP_IN_S, abs=0.03)
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


def test_a_first_command_far_from_the_robot_is_not_followed(make_world):
    world = make_world()
    world.run(1.0, ([0.0, 0.6], [0.5], [0.0]))
    assert world.guard.state == 'HOLDING' and world.guard.reason.source == 'jump'
    assert world.guard.reason.text == (
        'arm: the first command has a at 0.6, it is measured at 0; at most 0.5 apart is allowed '
        '(max_jump_s)')
    assert np.ptp([row for row in world.sent if row is not None], axis=0).max() == 0
    world.until('FOLLOWING', ([0.9, 0.49], [0.5], [0.0]))


def test_a_robot_found_elsewhere_is_followed_from_there(make_world):
    world = make_world()
    world.run(0.5)
    before, world.robot[1] = len(world.sent), 0.3
    world.until('FOLLOWING', ([0.0, 0.6], [0.5], [0.0]))
    rows = [row[1] for row in world.sent[before:] if row is not None]
    assert rows[0] == 0.3 and np.diff(rows).max() <= 1.0 * world.PERIOD_S


def test_a_robot_found_elsewhere_is_held_there_once_it_stands(make_world):
    world = make_world()
    world.run(0.5)
    world.follows = False
    for _ in range(100):  # somebody carries the arm away
        world.robot[1] += 0.008
        world.tick()
    assert world.sent[-1] is None
    assert 'stands still' in world.guard.reason.text
    world.run(0.5)
    assert world.sent[-1][1] == pytest.approx(0.8)


def test_an_unseen_robot_is_braked_and_then_left_alone(following, assert_limits_kept):
    world = following()
    world.run(0.3, wave)
    world.seen = False
    took_s = world.until('HOLDING', wave)
    assert took_s <= 0.1 + world.guard.stopping_s + 2 * world.PERIOD_S
    world.run(world.PERIOD_S, wave)
    assert world.guard.reason.source == 'measured' and world.sent[-1] is None
    assert_limits_kept(world.sent_at_all(), *world.limits)
    world.seen = True
    world.until('RAMPING', lambda now_s: (world.robot[:2], world.robot[2:], [0.0]))


def test_an_emergency_stop_brakes_is_silent_and_stays_until_it_is_rearmed(
        following, assert_limits_kept):
    world = following()
    world.run(0.3, wave)
    world.emergency.button(True)
    world.run(world.guard.stopping_s + 2 * world.PERIOD_S, wave)
    assert world.guard.state == 'ESTOP' and world.guard.at_rest
    assert_limits_kept(world.sent_at_all(), *world.limits)
    world.emergency.button(False)
    world.run(1.0, HERE)
    assert world.guard.state == 'ESTOP' and world.sent[-1] is None
    assert 'the e_stop topic' in world.guard.reason.text


def test_rearming_is_refused_while_the_button_is_pressed():
    emergency = EmergencyStop()
    assert emergency.rearm() == ''
    emergency.button(True)
    assert 'release the button' in emergency.rearm() and emergency.reason
    emergency.button(False)
    assert emergency.reason
    assert emergency.rearm() == '' and not emergency.reason
    emergency.button(False)
    assert not emergency.reason


def test_after_rearming_a_robot_that_sagged_is_held_where_it_is(following):
    world = following()
    world.emergency.trip('a test')
    world.run(0.5, HERE)
    world.robot[:2] = -0.4, -0.3
    world.run(0.5, HERE)
    world.emergency.rearm()
    world.tick()
    assert world.sent[-1][:2].tolist() == [-0.4, -0.3]
    world.until('FOLLOWING', HERE)


@pytest.mark.parametrize('tripped_s, again', [(1.0, False), (1.0, True), (0.0, False)])
def test_after_rearming_the_robot_does_not_go_where_a_command_of_before_wanted_it(
        make_world, tripped_s, again):
    world = make_world()
    for channel in world.guard.channels:
        channel._watchdog_s = 60.0  # commands stay good for long, as a slow simulator needs it
    world.until('HOLDING')
    world.run(0.5)
    world.command(*THERE)
    world.run(0.05)
    world.emergency.trip('a test')
    world.run(tripped_s)
    if again:
        world.command(*THERE)
    world.emergency.rearm()
    world.run(5.0)
    assert world.guard.state == 'HOLDING' and (np.abs(world.robot[:2]) < 0.1).all()
    assert world.guard.reason.text == 'arm: no command yet'
    world.until('FOLLOWING', HERE)


def test_objections_stop_the_robot_until_they_are_taken_back(following):
    world = following()
    world.guard.block('publishers', 'two of them')
    world.until('HOLDING', HERE)
    assert world.guard.reason == ('publishers', 'two of them')
    world.guard.block('publishers', '')
    world.until('FOLLOWING', HERE)


def test_a_stop_that_has_begun_comes_to_its_end(following):
    world = following()
    world.run(0.3, wave)
    world.guard.block('publishers', 'for one tick')
    world.run(world.PERIOD_S, wave)
    world.guard.block('publishers', '')
    states = []
    while not states or states[-1] == 'STOPPING':  # with commands that are always near
        world.run(world.PERIOD_S, (world.sent[-1][:2], world.sent[-1][2:3], [0.0]))
        states.append(world.guard.state)
    assert len(states) > 10 and states[-1] == 'HOLDING'


def test_commands_of_an_earlier_motion_lead_no_later_one(following):
    world = following()
    world.command([1.9, 0.9], [0.5], [0.0])
    world.until('HOLDING')
    b, a = world.robot[:2]
    assert b < 1.5
    world.command([b + 0.1, a], None, None, due_s=np.array([0.1]))
    assert world.guard.channels[0]._reference.at(world.now_s) == pytest.approx([b + 0.1, a])


def test_a_late_tick_moves_the_robot_by_one_period_only(following, assert_limits_kept):
    world = following()
    for _ in range(30):
        world.run(0.1, wave)
        world.command(*wave(world.now_s))
        world.tick(pause_s=0.15)
        assert world.guard.state != 'HOLDING'
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


def test_a_tick_after_a_long_sleep_ends_the_motion(following):
    world = following()
    world.run(0.2, wave)
    world.seen = False
    world.tick(pause_s=60.0)
    assert world.guard.state == 'STOPPING' and world.guard.reason.source == 'rest'


def test_a_command_without_a_time_is_reached_when_the_next_one_is_expected(following):
    world = following()
    world.command([0.0, 0.0], [0.5], [0.0])
    world.run(0.05)
    world.command([0.2, 0.1], [0.6], [0.1])
    arm, gripper, base = world.guard.channels
    at = world.now_s
    assert arm._reference.at(at + 0.025) == pytest.approx([0.1, 0.05])
    assert arm._reference.at(at + 0.1) == pytest.approx([0.2, 0.1])
    assert gripper._reference.at(at) == 0.6 and base._reference.at(at) == 0.1


def test_commands_that_come_in_bunches_are_not_rushed(following):
    world = following()
    arm = world.guard.channels[0]
    for pause_s, value in ((0.08, 0.0), (0.08, 0.0), (0.001, 0.2)):
        world.now_s += pause_s
        world.command([value, value])
    assert arm._reference.at(world.now_s + 0.04) == pytest.approx([0.1, 0.1])


def test_a_chunk_is_followed_by_its_own_times_while_it_is_repeated(following):
    world = following()
    rows, due_s = np.array([[0.1, 0.1], [0.3, 0.2], [0.1, 0.0]]), np.array([0.3, 0.8, 1.6])
    begin_s = world.now_s
    while world.now_s < begin_s + 1.5:
        world.command(None, [0.5], [0.0])
        world.guard.channels[0].accept(
            Command(rows, due_s - (world.now_s - begin_s)), world.now_s, moving=True)
        world.tick()
        wanted = [np.interp(world.now_s - begin_s, [0, *due_s], [0, *rows[:, i]])
                  for i in range(2)]
        # It stays behind by no more than the way to a stop from its speed.
        assert world.sent[-1][:2] == pytest.approx(wanted, abs=0.05)
    assert world.guard.state == 'FOLLOWING'


def test_a_base_alone_starts_from_standing_and_brakes_to_standing(
        make_world, assert_limits_kept, guard_contract):
    world = make_world(base_alone(guard_contract))
    world.run(1.0, ([0.4],))
    assert world.sent[0].tolist() == [0.0]
    world.run(1.0, ([0.4],))
    assert world.sent[-1] == pytest.approx([0.4])
    assert world.until('HOLDING') <= world.WATCHDOG_S + world.guard.stopping_s + 2 * world.PERIOD_S
    assert world.sent[-1].tolist() == [0.0]
    assert_limits_kept(world.sent_in_one_go(), *world.limits)


@pytest.mark.parametrize('change, words', [
    (('joints: [a, b, g]', 'joints: [a, b]'), 'no stream measures the position of g'),
    (('  - {topic: gripper, type: std_msgs/msg/Float64MultiArray, names: [g], stamp: receive,',
      '  - {topic: gripper, type: geometry_msgs/msg/PoseStamped,'), 'PoseStamped cannot be'),
    (('joints: [b, a]}', 'joints: [b, a], field: effort}'), 'efforts cannot be limited'),
    (('max_age_ms: 100', 'unit: rad, max_age_ms: 100'), 'commands b in deg, topic .* it in rad'),
    (('  g: {position: [0, 1], velocity: 3.0}', '  g: {position: [0, 1]}'),
     'joint g has no velocity limit')])
def test_what_cannot_be_guarded_is_refused_with_the_reason(
        make_world, guard_contract, change, words):
    contract = guard_contract.replace(*change).replace('[b, a]}', '[b, a], unit: deg}')
    if 'PoseStamped' in words:
        contract = contract.replace('  g: {position: [0, 1], velocity: 3.0}\n', '')
    with pytest.raises(SafetyError, match=words):
        make_world(contract)
