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

"""On what a measurement was made: the machine and the versions of the software."""

from datetime import date
from importlib import metadata
import os
from pathlib import Path
import platform
import subprocess
import time

PACKAGES = ('diffusion_policy_ros', 'torch', 'numpy', 'rclpy', 'fastdds', 'gym-pusht')


def usable_cores() -> int:
    """Return how many CPU cores this process may run on."""
    affinity = getattr(os, 'sched_getaffinity', None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def machine_facts() -> dict:
    """Return processor, cores, load, system, Python, commit and date by name, as text."""
    commit = source_commit()
    return {'processor': processor(), 'cores': str(usable_cores()),
            'load average': ' '.join(f'{load:.1f}' for load in os.getloadavg()),
            'system': platform.platform(terse=True), 'python': platform.python_version(),
            **({'commit': commit} if commit else {}), 'date': date.today().isoformat()}


class WithheldTime:
    """How much of the CPU time that a virtual machine asks for its host gives to others."""

    def __init__(self):
        """Begin to measure."""
        self._used, self._withheld = _cpu_ticks()

    def share(self) -> float:
        """Return the share since the beginning, in [0, 1]; 0 where the system does not tell."""
        used, withheld = _cpu_ticks()
        asked = used - self._used + withheld - self._withheld
        return (withheld - self._withheld) / asked if asked else 0.0


class OtherPrograms:
    """How much CPU time other programs of this machine take meanwhile."""

    def __init__(self):
        """Begin to measure."""
        self._begin_s, self._taken_s = time.monotonic(), self._look()

    def cores(self) -> float:
        """
        Return the cores that they have kept busy since the beginning.

        Child processes count as own ones when they have ended. 0 where the system does not tell.
        """
        taken_s = self._look() - self._taken_s
        return max(taken_s / (time.monotonic() - self._begin_s), 0.0)

    @staticmethod
    def _look():
        """Return the CPU time of all programs but this one and its children, s."""
        own_s = sum(os.times()[:4])
        return _cpu_ticks()[0] / os.sysconf('SC_CLK_TCK') - own_s


def package_versions(names=PACKAGES) -> dict:
    """
    Return the installed versions of packages; those that are not there are left out.

    :param names: Names of distributions; ROS packages are found as wheels, too.
    """
    found = {name: _version(name) or _version(f'ros-{name}') for name in names}
    return {name: version for name, version in found.items() if version}


def source_commit(package_folder=Path(__file__).resolve().parent):
    """
    Return the commit that this package runs from, with a mark where files were changed since.

    :param package_folder: Folder of the Python package.
    :return: Text; None where it lies in no checkout of its own.
    """
    root = Path(package_folder).parent
    if not (root / '.git').exists():
        return None
    try:
        done = subprocess.run(
            ['git', '-C', root, 'describe', '--always', '--dirty= and changes', '--exclude=*'],
            capture_output=True, text=True)
    except OSError:  # there is no git
        return None
    return done.stdout.strip() or None


def _version(name):
    """Return the version of a distribution, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpu_ticks():
    """Return CPU time used and withheld since boot, over all cores; ``man proc_stat``."""
    try:
        first, _, _ = Path('/proc/stat').read_text(encoding='ascii').partition('\n')
    except OSError:
        return 0, 0
    user, nice, system, _, _, irq, softirq, withheld = map(int, first.split()[1:9])
    return user + nice + system + irq + softirq, withheld


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()
