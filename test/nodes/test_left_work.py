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

"""What is left to the thread of an executor: the newest of each, once."""

from itertools import permutations
from types import SimpleNamespace

from diffusion_policy_ros.nodes.left_work import LeftWork
import pytest


def spun():
    """Return a node whose executor keeps what it was asked to do."""
    asked = []
    return SimpleNamespace(executor=SimpleNamespace(create_task=asked.append), asked=asked)


@pytest.mark.parametrize('ticks', permutations((10, 20, 30)))
def test_the_newest_tick_is_left_whoever_comes_last(ticks):
    node = spun()
    left = LeftWork(node, print)
    for tick_ns in ticks:
        left.tick(tick_ns)
    assert node.asked == [print] * 3 and left.has_tick
    assert left.take() == ('', 30)
    assert left.take() == ('', None) and not left.has_tick


def test_the_last_reason_stays_when_the_ticks_of_another_time_are_forgotten():
    left = LeftWork(spun(), print)
    left.gone('first')
    left.tick(10**18)
    left.gone('last')
    left.forget_tick()
    left.tick(5)  # the clock was set back
    assert left.take() == ('last', 5)


def test_nothing_happens_where_nobody_spins_the_node_any_more():
    left = LeftWork(SimpleNamespace(executor=None), print)
    left.tick(1)
    left.gone('over')
    assert left.take() == ('over', 1)
