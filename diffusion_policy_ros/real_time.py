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

"""Real-time scheduling for the few threads on whose punctuality a robot depends."""

from contextlib import contextmanager, suppress
import os
import re
import sys

from diffusion_policy_ros.errors import ConfigError

# The lowest real-time priority: before everything ordinary, after everything on the robot that
# asked for real time with a purpose, such as the motor drivers' loop.
PRIORITY = 1
SWITCH_INTERVAL_S = 0.0005
CPUS = frozenset(getattr(os, 'sched_getaffinity', lambda process: ())(0))


def claim_real_time() -> bool:
    """
    Let this thread run as soon as it has something to do, where the system permits that.

    Threads that it starts run as usual. Measured: 30 commands per second on two cores, beside a
    training that takes one of them: 99 % woke within 2 ms instead of 6 ms.

    :return: Whether it was permitted.
    """
    return _claim(getattr(os, 'SCHED_RESET_ON_FORK', 0))


@contextmanager
def real_time_threads():
    """
    Let the threads started within it run as ``claim_real_time`` says, and this one as before.

    Within ``rclpy.init`` and the making of a node these are the middleware's, whose stamps on
    what arrives are late by as long as they wait for a core.
    """
    claimed = _claim(0)
    try:
        yield
    finally:
        if claimed:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


@contextmanager
def scheduling_kept():
    """
    Give this thread, and those that are started within, the scheduling that this one had before.

    For libraries that claim priority unasked: as root, libsvtav1 puts the calling thread and its
    own forty before everything else on the computer, the control of a robot included.
    """
    if not hasattr(os, 'sched_setscheduler'):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    threads = set(_threads())
    try:
        yield
    finally:
        for thread in (0, *(set(_threads()) - threads)):
            with suppress(ProcessLookupError):
                os.sched_setscheduler(thread, policy, parameters)


def _threads():
    """Return the ids of this process's threads, where the system shows them."""
    with suppress(OSError):
        return [int(name) for name in os.listdir('/proc/self/task')]
    return []


def keep_to_cpus(text):
    """
    Let all threads of this process, and those that they start, run on some CPU cores only.

    :param text: Numbers of the cores, such as ``'2,4-6'``; empty for all that the process may use.
    :raises ConfigError: if it is no such list, or names others.
    """
    parts = [re.fullmatch(r'\s*(\d{1,4})(?:-(\d{1,4}))?\s*', part, re.ASCII)
             for part in text.split(',')] if text else []
    ranges = [range(int(part[1]), int(part[2] or part[1]) + 1) for part in parts if part]
    wanted = {number for numbers in ranges for number in numbers}
    if text and (not all(parts) or not all(ranges) or wanted - CPUS):
        usable = ', '.join(map(str, sorted(CPUS))) or 'none, on this operating system'
        raise ConfigError(f'cpus is {text!r}; it must name CPU cores that this process may run '
                          f'on, such as "2,4-6" or "" for all; these are {usable}')
    for thread in _threads() if CPUS else ():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(thread, wanted or CPUS)


def switch_quickly():
    """
    Let the threads of this process take the interpreter from each other after half a millisecond.

    Python's own 5 ms are half a period of a 100 Hz loop.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def _claim(flags):
    """Ask for the first in, first out class; tell whether it was granted."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | flags, os.sched_param(PRIORITY))
    except (AttributeError, OSError):  # another operating system, or no permission
        return False
    return True
