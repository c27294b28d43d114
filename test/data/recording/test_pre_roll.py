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


"""The pre-roll holds the newest messages, no older and no more than asked for."""

from diffusion_policy_ros.data.recording.pre_roll import PreRoll
from hypothesis import given, strategies as st

KEEP_NS, MAX_BYTES = 1000, 50


def test_what_is_older_than_wanted_is_not_returned_and_nothing_twice():
    kept = PreRoll()
    for k in range(30):
        kept.add(k, 100 * k, 1, keep_ns=KEEP_NS, max_bytes=MAX_BYTES)
    assert kept.take(2950, KEEP_NS) == list(range(20, 30))
    assert kept.take(2950, KEEP_NS) == []


def test_a_clock_that_is_set_back_forgets_what_came_before():
    kept = PreRoll()
    kept.add('before', 10**12, 1, keep_ns=10**15, max_bytes=MAX_BYTES)
    kept.add('after', 5, 1, keep_ns=10**15, max_bytes=MAX_BYTES)
    assert kept.take(10, 10**15) == ['after']


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=80),
       st.integers(0, 500))
def test_it_returns_the_longest_end_that_fits(steps, pause):
    kept, now, sent = PreRoll(), 10, []
    for step, size in steps:
        now += step
        sent.append((len(sent), now, size))
        kept.add(len(sent) - 1, now, size, keep_ns=KEEP_NS, max_bytes=MAX_BYTES)
    now += pause
    wanted, total = [], 0
    for number, time, size in reversed(sent):
        total += size
        if total > MAX_BYTES:
            break
        if time > now - KEEP_NS:
            wanted.insert(0, number)
    assert kept.take(now, KEEP_NS) == wanted
