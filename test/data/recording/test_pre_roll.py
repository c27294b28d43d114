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

from diffusion_policy_ros.data.recording.pre_roll import OVERHEAD_BYTES, PreRoll
from hypothesis import given, strategies as st

KEEP_NS, MAX_BYTES = 1000, 5000


def _filled(count=30, size=0, max_bytes=10**9):
    """Return a pre-roll of messages that came every 100 ns."""
    kept = PreRoll()
    for k in range(count):
        kept.add('cam', bytes(size), 100 * k, keep_ns=KEEP_NS, max_bytes=max_bytes)
    return kept


def test_what_is_older_than_wanted_is_not_returned_and_nothing_twice():
    kept = _filled()
    assert kept.take(2950, KEEP_NS) == [('cam', b'', 100 * k) for k in range(20, 30)]
    assert kept.take(2950, KEEP_NS) == []


def test_a_clock_that_is_set_back_forgets_what_came_before():
    kept = PreRoll()
    kept.add('cam', b'1', 10**12, keep_ns=10**15, max_bytes=MAX_BYTES)
    kept.add('cam', b'2', 5, keep_ns=10**15, max_bytes=MAX_BYTES)
    assert kept.take(10, 10**15) == [('cam', b'2', 5)]
    kept = PreRoll()
    kept.add('cam', b'1', 10**12, keep_ns=10**15, max_bytes=MAX_BYTES)
    assert kept.begin_ns(10**12 + 5, 10**15) == 10**12


def test_streams_that_are_handed_over_one_after_the_other_forget_nothing():
    kept = PreRoll()
    for stream in ('cam', 'joints'):
        for k in range(5):
            kept.add(stream, b'', k * 10**8, keep_ns=10**10, max_bytes=10**6)
    assert len(kept.take(10**9, 10**10)) == 10


def test_what_was_kept_goes_when_nothing_is_wanted_any_more():
    kept = _filled()
    kept.add('cam', b'', 3000, keep_ns=0, max_bytes=MAX_BYTES)
    assert kept.take(3000, 10**6) == []


def test_it_says_since_when_it_holds_all_and_whether_the_memory_cut_it():
    kept = _filled()
    assert kept.begin_ns(2950, KEEP_NS) == 1950 and not kept.is_cut(2950, KEEP_NS)
    assert kept.begin_ns(2950, 10**6) == 0
    kept = _filled(size=700, max_bytes=MAX_BYTES)  # five messages fit
    assert kept.begin_ns(2950, KEEP_NS) == 2400 and kept.is_cut(2950, KEEP_NS)
    assert [t for _, _, t in kept.take(2950, KEEP_NS)] == [2500, 2600, 2700, 2800, 2900]
    assert kept.begin_ns(2950, KEEP_NS) == 2950 and not kept.is_cut(2950, KEEP_NS)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 6000)), max_size=80),
       st.integers(0, 500))
def test_it_returns_the_longest_end_that_fits(steps, pause):
    kept, now, sent = PreRoll(), 10, []
    for step, size in steps:
        now += step
        sent.append(('cam', bytes(size), now))
        kept.add(*sent[-1], keep_ns=KEEP_NS, max_bytes=MAX_BYTES)
    now += pause
    wanted, total = [], 0
    for message in reversed(sent):
        total += len(message[1]) + OVERHEAD_BYTES
        if total > MAX_BYTES:
            break
        if message[2] > now - KEEP_NS:
            wanted.insert(0, message)
    assert kept.take(now, KEEP_NS) == wanted
