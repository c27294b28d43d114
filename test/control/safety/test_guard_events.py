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
"""Whatever happens to a guard, in whatever order: the limits are kept, and every stop ends."""

from diffusion_policy_ros.control.safety.command_reader import Command
from diffusion_policy_ros.control.safety.measured import REST_S
from hypothesis import example, given, settings, strategies as st
import numpy as np

VALUES = st.one_of(st.floats(-1.2, 1.2), st.floats(-1e12, 1e12))
EVENTS = st.one_of(
    st.tuples(st.just('command'), st.lists(VALUES, min_size=4, max_size=4), st.booleans()),
    st.tuples(st.just('some'), st.integers(0, 2), VALUES),
    st.tuples(st.just('follow'), st.floats(0.05, 1.0)),
    st.tuples(st.just('tick'), st.integers(1, 30)),
    st.tuples(st.just('gap'), st.floats(0.02, 2.0)),
    st.tuples(st.just('robot'), st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=3)),
    st.tuples(st.sampled_from(('follows', 'seen', 'button')), st.booleans()),
    st.tuples(st.just('trip')), st.tuples(st.just('rearm')), st.tuples(st.just('refuse')),
    st.tuples(st.just('scale'), st.floats(0.0, 1.0)),
    st.tuples(st.sampled_from(('publishers', 'ready')), st.sampled_from(('', 'no'))))


def _happen(world, kind, *values):
    """Let one event happen."""
    if kind == 'command':
        row, timed = values
        world.command(row[:2], None if timed else row[2:3], None if timed else row[3:],
                      due_s=np.array([0.03]) if timed else None)
    elif kind == 'some':
        channel = world.guard.channels[values[0]]
        channel.accept(Command(np.full((1, len(channel.output.names)), values[1])), world.now_s,
                       moving=world.guard.moving)
    elif kind == 'follow':
        world.run(values[0], lambda now_s: (world.robot[:2] + 0.1, world.robot[2:], [0.2]))
    elif kind == 'tick':
        world.run(values[0] * world.PERIOD_S)
    elif kind == 'gap':
        world.tick(pause_s=values[0])
    elif kind == 'robot':
        world.robot = np.array(values[0])
    elif kind in ('follows', 'seen'):
        setattr(world, kind, values[0])
    elif kind == 'button':
        world.emergency.button(*values)
    elif kind == 'trip':
        world.emergency.trip('a test')
    elif kind == 'rearm':
        world.emergency.rearm()
    elif kind == 'refuse':
        world.guard.channels[0].refuse('value', 'nan')
    elif kind == 'scale':
        world.guard.speed_scale = values[0]
    else:
        world.guard.block(kind, values[0])


class Recorder:
    """
    Keeps each motion from one engagement to the next, a pause before each; watches the stops.

    :ivar motions: What was sent in each, from rest on.
    """

    def __init__(self, world):
        self._world, self._tick = world, world.guard.tick
        self.motions, self._braking, self._engaged = [], 0, False
        self._sent_s = self._ticked_s = -np.inf
        world.guard.tick = self._sort
        for channel in world.guard.channels:
            channel.engage = self._noting(channel.engage)

    def _noting(self, engage):
        """Note each engagement."""
        def noted(measured):
            engage(measured)
            self._engaged = True
        return noted

    def _sort(self, now_s):
        """Sort what is sent into motions, and look how long it brakes."""
        guard, period_s, self._engaged = self._world.guard, self._world.PERIOD_S, False
        rows = self._tick(now_s)
        if self._engaged and guard.engaged:  # else another output is outside its limits
            assert now_s - self._sent_s > REST_S - 1e-6
            self.motions.append([np.concatenate(rows)] * 3)
        elif rows is not None and now_s - self._ticked_s > REST_S:
            # So long a sleep ends the way of the joints; velocities go on from what they were.
            before = np.array(self.motions[-1][-3:])
            before[:, :3] = before[-1, :3]
            self.motions.append([*before])
        if rows is not None:
            self._sent_s = now_s
            self.motions[-1].append(np.concatenate(rows))
        self._ticked_s = now_s
        is_braking = not guard.moving and not guard.at_rest
        self._braking = self._braking + 1 if is_braking else 0
        assert self._braking * period_s <= guard.stopping_s + period_s
        return rows


@settings(max_examples=60, deadline=None)
@given(events=st.lists(EVENTS, max_size=40))
@example(events=[('gap', 1.0), ('robot', [0.0, 0.0, -1.0]), ('tick', 60)])
def test_whatever_happens_the_limits_are_kept_and_every_stop_comes_to_rest(
        make_world, assert_limits_kept, events):
    world = make_world()
    recorder = Recorder(world)
    world.run(1.0, ([0.0, 0.0], [0.5], [0.0]))
    assert world.guard.state == 'FOLLOWING'
    for event in events:
        _happen(world, *event)
    world.emergency.trip('the end')
    world.run(world.guard.stopping_s + 2 * world.PERIOD_S)
    assert world.guard.at_rest and world.tick() is None
    for motion in recorder.motions:
        assert_limits_kept(motion, *world.limits)
