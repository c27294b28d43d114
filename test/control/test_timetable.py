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
"""Timetables: no drift, no bursts, every tick a command slot, and a grid after the pictures."""

from pathlib import Path

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.timetable import (
    anchored_origin, Beat, CommandGrid, is_multiple, Series, Timetable)
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

PUSHT = load_contract(Path(__file__).parents[2] / 'config/robots/pusht.yaml')
T0 = 1_700_000_000_000_000_000


@given(st.floats(0.5, 500), st.lists(st.integers(0, 2 * 10**8), min_size=5, max_size=60))
def test_slots_are_taken_once_in_order_and_never_in_a_burst(rate_hz, pauses):
    series, now_ns, taken = Series(T0, rate_hz, now_ns=T0), T0, []
    for pause in pauses:
        now_ns += pause
        slot = series.take(now_ns)
        assert series.take(now_ns) is None  # what was missed is not made up for
        if slot is not None:
            taken.append(slot)
            assert now_ns - 1e9 / rate_hz - 1 <= slot <= now_ns
    assert taken == sorted(set(taken))
    slots = [round((slot - T0) * rate_hz / 1e9) for slot in taken]
    assert [T0 + round(i * 1e9 / rate_hz) for i in slots] == taken
    assert series.skipped == (slots[-1] - len(slots) if slots else 0)


@given(st.floats(1.0, 500.0), st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60))
def test_beats_are_never_made_up_for(rate_hz, pauses):
    now_ns, taken = 10**9, []
    beat = Beat(rate_hz, now_ns)
    for pause in pauses:
        now_ns += round(pause * 1e9 / rate_hz)
        due_ns = beat.next_ns
        if beat.take(now_ns):
            taken.append(now_ns)
        assert (due_ns <= now_ns) == (beat.next_ns > due_ns)
    gaps = np.diff(taken)
    assert (gaps >= 0.9 * 1e9 / rate_hz - 1).all()


def test_punctual_beats_do_not_drift():
    beat, now_ns = Beat(30.0, 0), 0
    for _ in range(3000):
        now_ns = round(beat.next_ns) + 1000
        assert beat.take(now_ns)
    assert now_ns == pytest.approx(100 * 10**9, abs=2000)


def test_slots_do_not_drift():
    series = Series(T0, 30.0, now_ns=T0)
    slots = []
    while len(slots) < 3000:
        slots.append(series.take(series.next_ns))
    assert slots[-1] == T0 + 100_000_000_000


def test_a_delayed_slot_keeps_its_nominal_time():
    series = Series(T0, 10.0, delay_ns=25_000_000, now_ns=T0 + 30_000_000)
    assert series.next_ns == T0 + 125_000_000
    assert series.take(T0 + 124_999_999) is None
    assert series.take(T0 + 126_000_000) == T0 + 100_000_000


def test_every_tick_is_also_a_command_slot():
    timetable = Timetable(PUSHT, 30.0, origin_ns=T0, now_ns=T0)
    commands, ticks = set(), set()
    while len(ticks) < 50:
        now_ns = timetable.next_ns
        commands.add(timetable.commands.take(now_ns))
        ticks.add(timetable.ticks.take(now_ns))
        ticks.discard(None)
    assert ticks - {T0} <= commands  # the table began after the command of T0


@given(phase_ms=st.integers(0, 99), tick_ms=st.integers(0, 10_000))
def test_anchored_ticks_come_right_after_a_picture(phase_ms, tick_ms):
    age_ms = (tick_ms - phase_ms) % 100
    ages = {'camera/image_raw': age_ms * 10**6, 'joint_states': 3_000_000}
    origin = anchored_origin(PUSHT, T0 + tick_ms * 10**6, ages)
    assert (origin - T0 - phase_ms * 10**6) % 10**8 == 10_000_000


@pytest.mark.parametrize('command_hz, rate_hz, fits', [
    (10, 10, True), (30, 10, True), (60, 12.5, False), (25, 10, False), (5, 10, False),
    (59.94, 29.97, True), (float('inf'), 10, False), (float('nan'), 10, False), (0, 10, False),
    (-10, 10, False)])
def test_a_command_rate_must_be_a_multiple(command_hz, rate_hz, fits):
    assert is_multiple(command_hz, rate_hz) is fits


def test_a_grid_moves_to_the_pictures_once_and_again_when_they_were_lost():
    grid, ages_ns = CommandGrid(PUSHT), {'camera/image_raw': 70_000_000}
    assert grid.first(20.0, T0).commands.next_ns == T0 + 50_000_000
    moved, timetable = grid.adapt(20.0, T0, ages_ns, T0)
    origin_ns = anchored_origin(PUSHT, T0, ages_ns)
    assert moved and (timetable.ticks.take(origin_ns + 125_000_000)) == origin_ns + 100_000_000
    assert grid.named() == {'origin_ns': origin_ns, 'rate_hz': 20.0}
    assert grid.adapt(20.0, T0, {'camera/image_raw': 0}, T0) == (False, None)
    grid.forget()
    moved, timetable = grid.adapt(20.0, T0, {'camera/image_raw': 0}, T0)
    assert moved and grid.named()['origin_ns'] != origin_ns


def test_another_rate_of_the_commands_keeps_the_ticks():
    grid, ages_ns = CommandGrid(PUSHT), {'camera/image_raw': 70_000_000}
    grid.first(10.0, T0)
    _, before = grid.adapt(10.0, T0, ages_ns, T0)
    moved, after = grid.adapt(30.0, T0 + 10**9, {'camera/image_raw': 0}, T0)
    assert not moved and after.ticks.next_ns == before.ticks.next_ns
    assert after.commands.next_ns < before.commands.next_ns and grid.rate_hz == 30.0
