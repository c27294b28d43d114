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
"""The pacer: calls back at nominal times, survives errors, notices a clock that goes back."""

from pathlib import Path
import threading
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.timetable import Timetable
from diffusion_policy_ros.nodes.pacer import Pacer
import pytest

PUSHT = load_contract(Path(__file__).parents[2] / 'config/robots/pusht.yaml')
T0 = 1_700_000_000_000_000_000


class SteppedClock:
    """A simulated clock that a test moves."""

    ros_time_is_active = True

    def __init__(self):
        self.nanoseconds = 0

    def now(self):
        return self


class Calls:
    """Records what a pacer calls, and lets a test wait for it."""

    def __init__(self):
        self.clock = SteppedClock()
        self.commands, self.ticks, self.backs, self.errors = [], [], [], []
        self.pacer = Pacer(
            self.clock,
            lambda now_ns: Timetable(PUSHT, 20.0, origin_ns=now_ns, now_ns=now_ns),
            on_command=self.commands.append, on_tick=self.ticks.append,
            on_clock_back=lambda: self.backs.append(self.clock.nanoseconds),
            on_error=self.errors.append)

    def until(self, condition):
        """Wait for what the other thread does."""
        end_s, pause = time.monotonic() + 30, threading.Event()
        while not condition():
            assert time.monotonic() < end_s
            pause.wait(0.001)


@pytest.fixture
def calls():
    """Start a pacer, and end it."""
    calls = Calls()
    calls.pacer.start()
    yield calls
    calls.pacer.stop()


def _begin(calls):
    """Let the time begin at T0, and wait until the pacer has noticed."""
    calls.clock.nanoseconds = T0
    calls.until(lambda: calls.pacer._timetable is not None)


def test_commands_and_ticks_come_at_their_nominal_times(calls):
    _begin(calls)
    for step in range(1, 51):
        calls.clock.nanoseconds = T0 + step * 5_000_000
        calls.until(lambda: len(calls.commands) == step // 10)
    calls.until(lambda: len(calls.ticks) == 3)
    assert calls.commands == [T0 + k * 50_000_000 for k in range(1, 6)]
    assert calls.ticks == [T0, T0 + 100_000_000, T0 + 200_000_000]  # 25 ms after each


def test_a_clock_that_goes_back_is_noticed_and_the_slots_start_again(calls):
    _begin(calls)
    calls.clock.nanoseconds = T0 - 10**9
    calls.until(lambda: calls.backs and calls.pacer._timetable is not None)
    calls.clock.nanoseconds = T0 - 10**9 + 60_000_000
    calls.until(lambda: len(calls.commands) == 1)
    assert len(calls.backs) == 1 and calls.commands[0] < T0


def test_an_error_is_reported_and_the_beat_goes_on(calls):
    def fail(now_ns):
        calls.commands.append(now_ns)
        raise ValueError('no')

    calls.pacer._on_command = fail
    _begin(calls)
    for step in range(1, 4):
        calls.clock.nanoseconds = T0 + step * 50_000_000
        calls.until(lambda: len(calls.commands) == step and len(calls.errors) == step)
    assert all(isinstance(error, ValueError) for error in calls.errors)


def test_nothing_is_called_after_stop(calls):
    _begin(calls)
    calls.pacer.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == 'pacer']
    calls.pacer.stop()  # again does no harm


def test_missed_slots_are_counted_across_timetables(calls):
    _begin(calls)
    for jump in range(1, 3):
        now_ns = T0 + jump * 10**9
        calls.clock.nanoseconds = now_ns
        calls.until(lambda: len(calls.commands) == jump)
        calls.pacer.replace(Timetable(PUSHT, 20.0, origin_ns=now_ns, now_ns=now_ns))
    assert calls.pacer.skipped_commands == 19 + 19  # of 20 slots in each second one was taken


def test_while_a_slot_is_being_taken_there_is_no_next_one(calls):
    seen, go_on = [], threading.Event()
    calls.pacer._on_command = lambda now_ns: (seen.append(calls.pacer.next_ns), go_on.wait(30))
    _begin(calls)
    calls.until(lambda: calls.pacer.next_ns == T0 + 25_000_000)
    calls.clock.nanoseconds = T0 + 50_000_000
    calls.until(lambda: seen)
    assert seen == [0] and calls.pacer.next_ns == 0
    go_on.set()
    calls.until(lambda: calls.pacer.next_ns == T0 + 100_000_000)
