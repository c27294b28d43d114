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

"""A thread gets real-time priority where permitted, alone, and goes on without it elsewhere."""

import os
import threading

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.real_time import (
    claim_real_time, CPUS, keep_to_cpus, real_time_threads, scheduling_kept)
import pytest

linux = pytest.mark.skipif(not hasattr(os, 'sched_setscheduler'),
                           reason='this system has no real-time scheduling classes')


def in_thread(work):
    """Return what work returns in a thread of its own, whose scheduling ends with it."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def policy():
    """Return the scheduling class of the calling thread."""
    return os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK


@linux
def test_the_answer_tells_what_the_system_did():
    permitted, seen = in_thread(lambda: (claim_real_time(), policy()))
    assert seen == (os.SCHED_FIFO if permitted else os.SCHED_OTHER)


@linux
def test_threads_started_by_a_real_time_thread_run_as_usual():
    def claim_and_start():
        claim_real_time()
        return in_thread(policy)

    assert in_thread(claim_and_start) == os.SCHED_OTHER


@linux
def test_threads_started_within_inherit_and_the_caller_goes_on_as_before():
    def start_within():
        with real_time_threads():
            started = in_thread(policy)
        return started, policy()

    permitted = in_thread(claim_real_time)
    expected = os.SCHED_FIFO if permitted else os.SCHED_OTHER
    assert in_thread(start_within) == (expected, os.SCHED_OTHER)


@linux
def test_without_permission_the_thread_goes_on_as_it_was(monkeypatch):
    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, 'sched_setscheduler', refuse)
    before, permitted, after = in_thread(lambda: (policy(), claim_real_time(), policy()))
    assert not permitted and after == before


@linux
@pytest.mark.skipif(not os.path.isdir('/proc/self/task'), reason='this system has no /proc')
def test_a_library_that_claims_priority_does_not_keep_it():
    release = threading.Event()
    greedy = threading.Thread(target=lambda: (claim_real_time(), ready.set(), release.wait()))
    ready = threading.Event()

    def open_library():
        claim_real_time()
        greedy.start()
        ready.wait()

    def work():
        with scheduling_kept():
            open_library()
        return policy(), os.sched_getscheduler(greedy.native_id)

    try:
        assert in_thread(work) == (os.SCHED_OTHER, os.SCHED_OTHER)
    finally:
        release.set()


@pytest.fixture
def all_cpus():
    """Give the cores back afterwards; those that there are."""
    if not CPUS:
        pytest.skip('this system binds no process to cores')
    yield sorted(CPUS)
    keep_to_cpus('')


def test_every_thread_keeps_to_the_cores_and_has_all_again_afterwards(all_cpus):
    release = threading.Event()
    earlier = threading.Thread(target=release.wait)
    earlier.start()
    try:
        keep_to_cpus(f'{all_cpus[-1]}')
        own = in_thread(lambda: os.sched_getaffinity(0))
        assert own == os.sched_getaffinity(earlier.native_id) == {all_cpus[-1]}
        keep_to_cpus(', '.join(f'{number}-{number}' for number in all_cpus))
        assert os.sched_getaffinity(earlier.native_id) == CPUS
    finally:
        release.set()


@pytest.mark.parametrize('text', [
    'x', '1,', '1;2', '-1', '3-1', '0,5-2', '9999', ' ', '0x1', '1.0', '0-9999'])
def test_what_is_no_list_of_cores_is_refused_and_changes_nothing(all_cpus, text):
    with pytest.raises(ConfigError, match='cpus is .* must name CPU cores .* these are '):
        keep_to_cpus(text)
    assert os.sched_getaffinity(0) == CPUS
