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

"""What ``dpr doctor`` looks at beside Python and ROS: disk, off-screen pictures, cv_bridge."""

import ctypes.util
import importlib.util
import os
from pathlib import Path
import shutil
import subprocess
import sys

from diffusion_policy_ros.finding import Finding

DISK_GB = 5  # chosen: below, a day's recordings may not fit
EGL_REMEDY = 'needed by arm_sim without a screen: apt install libegl1 libgl1-mesa-dri'
# Both trials run in processes of their own, for what is broken there may end the process.
EGL_TRIAL = 'import mujoco; c = mujoco.GLContext(8, 8); c.make_current(); c.free()'
BRIDGE_TRIAL = ('import numpy, cv_bridge; b = cv_bridge.CvBridge(); '
                'b.imgmsg_to_cv2(b.cv2_to_imgmsg(numpy.zeros((2, 2, 3), numpy.uint8), "rgb8"))')
BRIDGE_REMEDY = ('this package does not use it. For other nodes: pip install "numpy<2" into this '
                 'environment, or a cv_bridge that is built for numpy 2')


def find_machine() -> list:
    """Return what was found, in the order of the report."""
    return [check_egl(), *check_cv_bridge(), check_disk()]


def check_egl() -> Finding:
    """Tell whether pictures can be drawn without a screen, as ``arm_sim`` does: MuJoCo tries."""
    if importlib.util.find_spec('mujoco') is None:
        library = ctypes.util.find_library('EGL')
        return Finding('OK' if library else 'WARN', 'EGL', f'{library or "no libEGL"}, not tried '
                       'without mujoco', EGL_REMEDY)
    reason = _failure(EGL_TRIAL, {'MUJOCO_GL': 'egl'})
    return Finding('WARN', 'EGL', f'draws nothing: {reason}', EGL_REMEDY) if reason else \
        Finding('OK', 'EGL', 'draws without a screen (MUJOCO_GL=egl)')


def check_cv_bridge() -> list:
    """Tell whether a cv_bridge that is there works with the numpy that is there."""
    if importlib.util.find_spec('cv_bridge') is None:
        return []
    reason = _failure(BRIDGE_TRIAL)
    return [Finding('WARN', 'cv_bridge', f'does not work with this numpy: {reason}',
                    BRIDGE_REMEDY) if reason else
            Finding('OK', 'cv_bridge', 'works with this numpy')]


def check_disk() -> Finding:
    """Tell how much room there is where the command was given: for bags, datasets, checkpoints."""
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free / 1e9
    return Finding('OK' if free >= DISK_GB else 'WARN', 'disk', f'{free:.1f} GB free in {folder}',
                   f'give bags and datasets {DISK_GB} GB or more, here or on another disk')


def _failure(program, variables=None) -> str:
    """
    Run Python in a process of its own.

    :param program: What it does.
    :param variables: Environment variables to set.
    :return: Why it failed, in one line; empty where it did not.
    """
    done = subprocess.run([sys.executable, '-c', program], stdin=subprocess.DEVNULL,
                          env={**os.environ, **(variables or {})}, capture_output=True,
                          text=True, errors='replace')
    words = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
    return words[-1] if done.returncode else ''
