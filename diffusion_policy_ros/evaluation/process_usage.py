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

"""What a running process has used so far of CPU and memory, as Linux counts it."""

from dataclasses import dataclass
import os
from pathlib import Path

from diffusion_policy_ros.errors import DiffusionPolicyError


@dataclass(frozen=True)
class ProcessUsage:
    """
    The counters of one process at one time.

    :ivar cpu_s: CPU time of all its threads, s.
    :ivar resident_bytes: Memory in RAM, that shared with other processes included.
    :ivar private_bytes: Of these, memory that belongs to no file and to no other process, in
        which a leak shows.
    :ivar threads: Number of threads.
    :ivar involuntary_switches: How often one of its present threads lost a core that it still
        needed.
    """

    cpu_s: float
    resident_bytes: int
    private_bytes: int
    threads: int
    involuntary_switches: int


def read_usage(pid) -> ProcessUsage:
    """
    Read the counters of a process.

    :param pid: Its id.
    :return: ``ProcessUsage``.
    :raises DiffusionPolicyError: if there is no such process, or it has ended, or this system is
        no Linux.
    """
    folder = Path('/proc') / str(pid)
    try:
        status = _status(folder / 'status')
        # The name in brackets may contain anything; user and system time are fields 14 and 15 of
        # all, in ticks (man proc_pid_stat).
        fields = (folder / 'stat').read_text('utf-8').rpartition(')')[2].split()
        return ProcessUsage(
            cpu_s=(int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'),
            resident_bytes=1024 * int(status['VmRSS']),
            private_bytes=1024 * int(status['RssAnon']),
            threads=int(status['Threads']), involuntary_switches=_involuntary_switches(folder))
    except (OSError, KeyError) as error:
        raise DiffusionPolicyError(f'process {pid} cannot be watched in {folder}: {error!r}; it '
                                   'has ended, or this system is no Linux') from error


def _involuntary_switches(folder):
    """Return the sum over all threads; the process's own entry counts its first thread only."""
    total = 0
    for task in os.listdir(folder / 'task'):
        try:
            total += int(_status(folder / 'task' / task / 'status')['nonvoluntary_ctxt_switches'])
        except (OSError, KeyError):
            continue  # the thread has just ended
    return total


def _status(path):
    """Return the entries of a status file: name to the first word."""
    lines = path.read_text('utf-8', 'replace').splitlines()
    return {name: text.split()[0] for name, _, text in (line.partition(':') for line in lines)
            if text.split()}
