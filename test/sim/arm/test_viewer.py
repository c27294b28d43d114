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
"""The window on the arm: it opens where there is a screen, and says what is missing where not."""

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

pytest.importorskip('mujoco')
ROOT = Path(__file__).parents[3]
WATCH = """
from diffusion_policy_ros.sim.arm.robot import SimulatedRobot
from diffusion_policy_ros.sim.arm.tasks import TASKS
from diffusion_policy_ros.sim.arm.viewer import Viewer
robot = SimulatedRobot(TASKS['pick_place']().world)
viewer = Viewer(robot.arm)
for _ in range(5):
    robot.advance(robot.now_ns + 10_000_000)
    viewer.show()
print('open', not viewer.is_closed, 'drawn', robot.arm.picture('wrist_camera').std() > 10)
viewer.close()  # and the process ends at once
print('closed', viewer.is_closed)
"""


@pytest.fixture
def display():
    """Start a screen that nobody sees; its name."""
    if shutil.which('Xvfb') is None:
        pytest.skip('there is no Xvfb; on Debian and Ubuntu: apt install xvfb')
    read, write = os.pipe()
    with subprocess.Popen(['Xvfb', '-displayfd', str(write), '-screen', '0', '800x600x24'],
                          pass_fds=[write], stdin=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as server:
        os.close(write)
        with open(read) as told:
            number = told.readline().strip()  # when it is ready
        yield f':{number}'
        server.terminate()


def run(code, **environment):
    """Run code in a process of its own: a window changes the process that it is opened in."""
    known = {name: text for name, text in os.environ.items()
             if name not in ('DISPLAY', 'WAYLAND_DISPLAY')}
    return subprocess.run([sys.executable, '-c', code], env={**known, **environment}, cwd=ROOT,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)


def test_without_a_screen_it_says_so_and_what_to_do():
    done = run(WATCH)
    assert done.returncode == 1
    error = done.stderr.strip().splitlines()[-1]
    assert 'ConfigError: no window can be opened' in error and 'DISPLAY' in error
    assert 'ssh -X' in error and 'set viewer to false' in error


def test_on_a_screen_it_shows_the_arm_beside_the_cameras_until_it_is_closed(display):
    done = run(WATCH, DISPLAY=display)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ['open', 'True', 'drawn', 'True', 'closed', 'True']
