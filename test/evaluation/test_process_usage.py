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

"""What a process uses is what the system's other counters say."""

import mmap
import os
import resource
import subprocess
import sys
import threading

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.evaluation.process_usage import read_usage
import pytest

if sys.platform != 'linux':
    pytest.skip('there is no /proc', allow_module_level=True)

MIB = 1024 * 1024


def test_cpu_time_is_that_of_the_system_call():
    before = resource.getrusage(resource.RUSAGE_SELF)
    usage = read_usage(os.getpid())
    after = resource.getrusage(resource.RUSAGE_SELF)
    tick_s = 2 / os.sysconf('SC_CLK_TCK')  # user and system time are rounded down
    assert before.ru_utime + before.ru_stime - tick_s <= usage.cpu_s
    assert usage.cpu_s <= after.ru_utime + after.ru_stime + tick_s


def test_memory_that_is_written_to_shows_and_memory_that_is_freed_goes():
    before = read_usage(os.getpid())
    # Not from the allocator, which may have some of an earlier test at hand.
    block = mmap.mmap(-1, 64 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, 64 * MIB, mmap.PAGESIZE):
        block[page] = 1
    grown = read_usage(os.getpid())
    block.close()
    freed = read_usage(os.getpid())
    for name in ('resident_bytes', 'private_bytes'):
        assert getattr(grown, name) - getattr(before, name) == pytest.approx(64 * MIB, rel=0.1)
        assert getattr(grown, name) - getattr(freed, name) == pytest.approx(64 * MIB, rel=0.1)
    assert grown.private_bytes < grown.resident_bytes


def test_a_thread_more_is_counted():
    end = threading.Event()
    before = read_usage(os.getpid()).threads
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert read_usage(os.getpid()).threads == before + 1
    end.set()
    thread.join()


def test_lost_cores_of_all_threads_are_counted():
    code = """if True:
        import os, resource, subprocess, sys, threading
        from diffusion_policy_ros.evaluation.process_usage import read_usage
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
        busy = 'import time; end_s = time.monotonic() + 60\\nwhile time.monotonic() < end_s: pass'
        rival = subprocess.Popen([sys.executable, '-c', busy])  # on the same core
        end = threading.Event()
        def work():
            while not end.is_set():
                sum(range(1000))
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        lost = resource.RUSAGE_THREAD
        while resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw < 60:
            sum(range(1000))
        low = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        seen = read_usage(os.getpid()).involuntary_switches
        high = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        end.set()
        rival.kill()
        assert low <= seen <= high and seen > resource.getrusage(lost).ru_nivcsw, (low, seen, high)
        """
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_process_that_has_ended_is_an_error_that_names_it():
    process = subprocess.Popen([sys.executable, '-c', ''])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(DiffusionPolicyError, match=f'process {process.pid} cannot be watched'):
        read_usage(process.pid)  # a zombie
    process.wait()
    with pytest.raises(DiffusionPolicyError, match='it has ended'):
        read_usage(process.pid)
