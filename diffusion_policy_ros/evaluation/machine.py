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

from importlib import metadata
import os
from pathlib import Path
import platform

from diffusion_policy_ros.policy.device import usable_cores

PACKAGES = ('diffusion_policy_ros', 'torch', 'numpy', 'rclpy', 'fastdds', 'gym-pusht')


def machine_facts() -> dict:
    """Return processor, cores, load, system and Python by name, as text."""
    return {'processor': _processor(), 'cores': str(usable_cores()),
            'load average': ' '.join(f'{load:.1f}' for load in os.getloadavg()),
            'system': platform.platform(terse=True), 'python': platform.python_version()}


def package_versions(names=PACKAGES) -> dict:
    """
    Return the installed versions of packages; those that are not there are left out.

    :param names: Names of distributions; ROS packages are found as wheels, too.
    """
    found = {name: _version(name) or _version(f'ros-{name}') for name in names}
    return {name: version for name, version in found.items() if version}


def _version(name):
    """Return the version of a distribution, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor():
    """Return the processor's name."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor() or platform.machine()
