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
"""What a bag holds is matched to plans by arrivals where there are no stamps."""

import random
from types import SimpleNamespace

from diffusion_policy_ros.contract import parse_contract
import pytest

pytest.importorskip('torch')
from diffusion_policy_ros.evaluation.replay import CommandReplay, SampleStore  # noqa: E402,I100

CONTRACT = parse_contract("""
robot: dot
rate_hz: 10
observations:
  - {key: observation.state, topic: width, type: std_msgs/msg/Float64MultiArray, names: [x],
     stamp: receive, max_age_ms: 150}
actions:
  - {topic: commands, type: std_msgs/msg/Float64MultiArray, names: [x], stamp: receive}
""")


class CountedNs(int):
    """A time that counts how often it is compared and subtracted."""

    uses = 0

    def _counted(name):
        def use(self, other):
            CountedNs.uses += 1
            return getattr(int, name)(self, other)
        return use

    __lt__, __le__ = _counted('__lt__'), _counted('__le__')
    __gt__, __ge__ = _counted('__gt__'), _counted('__ge__')
    __sub__, __rsub__ = _counted('__sub__'), _counted('__rsub__')


def message(value):
    """Return a message that holds one number."""
    return SimpleNamespace(layout=SimpleNamespace(dim=[], data_offset=0), data=[float(value)])


def seen(stamps_ns, arrivals_ns):
    """Return which of some messages a plan from each of some stamps is made of."""
    records = [SimpleNamespace(tick_ns=ns, stamps_ns=[[ns]]) for ns in stamps_ns]
    store = SampleStore(CONTRACT, records)
    assert not any(store.holds(record) for record in records)
    for number, arrival_ns in enumerate(arrivals_ns):
        store.add('width', message(number), arrival_ns)
    assert all(store.holds(record) for record in records)
    return [int(store.window(record)['observation.state'].item()) for record in records]


def test_a_stream_without_stamps_shows_the_message_recorded_nearest_to_its_arrival():
    assert seen([100, 205, 296, 290, 9000, 1], [101, 201, 300, 301]) == [0, 1, 2, 2, 3, 0]


@pytest.mark.parametrize('seed', range(200))
def test_the_nearest_message_is_found_whatever_the_times(seed):
    choose = random.Random(seed)
    stamps = choose.choices(range(30), k=choose.randint(1, 20))
    arrivals = sorted(choose.choices(range(30), k=choose.randint(1, 20)))
    # min() takes the first of several.
    assert seen(stamps, arrivals) == [
        min(range(len(arrivals)), key=lambda number: abs(arrivals[number] - ns)) for ns in stamps]


@pytest.fixture
def uses(monkeypatch):
    """Return a function that tells how often times were used since the test began."""
    monkeypatch.setattr(CountedNs, 'uses', 0)
    return lambda: CountedNs.uses


def test_each_message_of_a_long_bag_is_looked_at_a_few_times(uses):
    seen(range(0, 20_000, 10), map(CountedNs, range(1, 20_000, 5)))
    assert 4000 <= uses() < 10 * (2000 + 4000)


def replay_of(first_commands_ns):
    """Return the replay of plans whose slots have a new origin each."""
    records = [SimpleNamespace(first_command_ns=ns, grid={'origin_ns': ns, 'rate_hz': 20.0})
               for ns in first_commands_ns]
    return CommandReplay(CONTRACT, records, [None] * len(records))


def test_a_command_without_a_stamp_is_of_the_newest_slot_of_the_plan_that_is_followed():
    replay, output = replay_of([1_000_000_000, 1_400_000_007]), CONTRACT.actions[0]
    assert [replay.slot_ns(output, message(0), ns) for ns in (
        999_999_999, 1_000_000_000, 1_049_999_999, 1_050_000_000, 1_400_000_006, 1_400_000_007,
        1_460_000_000)] == [None, 1_000_000_000, 1_000_000_000, 1_050_000_000, 1_400_000_000,
                            1_400_000_007, 1_450_000_007]


def test_the_slot_of_a_command_is_found_without_a_look_at_every_plan(uses):
    replay = replay_of(range(0, 2000 * 10**9, 10**9))
    for ns in range(5, 2000 * 10**9, 10**9):
        assert replay.slot_ns(CONTRACT.actions[0], message(0), CountedNs(ns)) == ns - 5
    assert 2000 <= uses() < 2000 * 20
