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

"""What a guarded output does with a gripper, which is blocked by what it grips."""

import pytest

OBJECT = 0.4


@pytest.fixture
def gripping(make_world, guard_contract):
    """Return a world whose gripper was closed on an object, and is slow: 0.5 s are 0.15."""
    world = make_world(guard_contract.replace('g: {position: [0, 1], velocity: 3.0}',
                                              'g: {position: [0, 1], velocity: 0.3}'))
    world.until('FOLLOWING', ([0.0, 0.0], [0.5], [0.0]))
    run(world, 3.0, 0.0)
    assert world.guard.state == 'FOLLOWING' and world.sent[-1][2] == pytest.approx(0.0, abs=1e-9)
    return world


def run(world, duration_s, gripper=None, *, at=OBJECT):
    """Let time pass with commands for the gripper or none, the gripper measured no narrower."""
    command = None if gripper is None else ([0.0, 0.0], [gripper], [0.0])
    for _ in range(round(duration_s / world.PERIOD_S)):
        world.run(world.PERIOD_S, command)
        world.robot[2] = max(world.robot[2], at)


def grips(rows):
    """Return what was sent to the gripper."""
    return [row[2] for row in rows if row is not None]


def test_a_gripper_keeps_its_grip_while_commands_pause(gripping):
    world, before = gripping, len(gripping.sent)
    run(world, 2.0)
    assert world.guard.state == 'HOLDING'
    run(world, 1.0, 0.0)
    assert world.guard.state == 'FOLLOWING'
    assert grips(world.sent[before:]) == pytest.approx([0.0] * 300, abs=1e-9)


@pytest.mark.parametrize('how', ['e_stop', 'unseen', 'asleep'])
def test_a_gripper_keeps_its_grip_when_the_robot_is_measured_anew(gripping, how):
    world, before = gripping, len(gripping.sent)
    if how == 'e_stop':
        world.emergency.trip('a test')
    if how == 'asleep':
        world.tick(pause_s=1.0)
    world.seen = how != 'unseen'
    run(world, 1.0)
    assert world.sent[-1] is None or how == 'asleep'
    world.seen = True
    if how == 'e_stop':
        world.emergency.rearm()
    run(world, 1.0)
    run(world, 1.0, 0.0)
    assert world.guard.state == 'FOLLOWING', world.guard.reason
    assert any(row is None for row in world.sent[before:])
    assert grips(world.sent[before:]) == pytest.approx(
        [0.0] * len(grips(world.sent[before:])), abs=1e-9)


@pytest.mark.parametrize('at', [OBJECT + 0.03, 0.8])
def test_a_gripper_that_was_moved_meanwhile_is_held_where_it_is(gripping, at):
    world = gripping
    world.emergency.trip('a test')
    run(world, 0.5)
    run(world, 0.5, at=at)
    world.emergency.rearm()
    before = len(world.sent)
    run(world, 1.0, at=at)
    assert set(grips(world.sent[before:])) == {at}
    run(world, 4.0, 0.0, at=at)
    assert world.guard.state == 'FOLLOWING' and world.sent[-1][2] == pytest.approx(0.0, abs=1e-9)


def test_a_gripper_that_is_slow_to_close_keeps_what_it_was_told(make_world, guard_contract):
    world = make_world(guard_contract)
    world.until('FOLLOWING', ([0.0, 0.0], [0.9], [0.0]))
    run(world, 1.0, 0.9)
    world.follows, before = False, len(world.sent)
    for step in range(300):  # closed with 0.3 per second, while commands end after 0.3 s
        world.run(world.PERIOD_S, ([0.0, 0.0], [0.0], [0.0]) if step < 30 else None)
        world.robot[2] = max(world.robot[2] - 0.003, OBJECT)
    assert world.guard.state == 'HOLDING' and len(grips(world.sent[before:])) == 300
    assert set(grips(world.sent[-200:])) == {world.sent[-1][2]} and world.sent[-1][2] < 0.1


def test_a_gripper_may_be_told_to_close_at_once(make_world, guard_contract):
    world = make_world(guard_contract.replace('g: {position: [0, 1], velocity: 3.0}',
                                              'g: {position: [0, 1], velocity: 0.3}'))
    world.until('FOLLOWING', ([0.0, 0.0], [0.0], [0.0]))  # it is open, at 0.5
    run(world, 3.0, 0.0)
    assert world.sent[-1][2] == pytest.approx(0.0, abs=1e-9)


def test_what_a_dry_run_told_a_gripper_is_not_sent_after_it(gripping):
    world = gripping
    world.guard.block('dry_run', 'dry_run changes')
    run(world, 0.5)
    world.guard.disengage()
    world.guard.block('dry_run', '')
    world.guard.obeyed = False
    run(world, 1.0)
    run(world, 2.0, 0.1)
    run(world, 0.5)
    assert world.sent[-1] is None or world.sent[-1][2] == pytest.approx(OBJECT)
    assert world.guard.at_rest
    world.guard.disengage()
    world.guard.obeyed = True
    run(world, 1.0)
    assert world.sent[-1][2] == pytest.approx(OBJECT)


def test_an_arm_that_is_found_elsewhere_is_not_taken_for_a_gripper(gripping):
    world = gripping
    run(world, 1.0)
    world.follows = False
    world.robot[1] = 0.6
    run(world, 1.0)
    assert world.sent[-1][1] == pytest.approx(0.6)
    assert world.sent[-1][2] == pytest.approx(0.0, abs=1e-9)
