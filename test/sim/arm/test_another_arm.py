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

"""The program in docs/arm.md demonstrates with an arm of one's own, and evaluates it."""

from pathlib import Path
import re
import shutil
import subprocess
import sys

from diffusion_policy_ros.data.bags.episode_files import State, state_of
import pytest

pytest.importorskip('mink')
ROOT = Path(__file__).parents[3]
PAGE = (ROOT / 'docs' / 'arm.md').read_text('utf-8')


@pytest.mark.slow
def test_the_program_of_the_page_writes_bags_and_counts_successes(tmp_path):
    shutil.copytree(ROOT / 'urdf', tmp_path / 'my_urdf')
    shutil.copy(ROOT / 'config' / 'gazebo' / 'controllers.yaml', tmp_path / 'my_controllers.yaml')
    shutil.copy(ROOT / 'config' / 'robots' / 'arm_pick_place.yaml', tmp_path / 'my_arm.yaml')
    (tmp_path / 'models').mkdir()
    (tmp_path / 'models' / 'my_arm').symlink_to(ROOT / 'models' / 'arm_pick_place')
    program, = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)
    for many, few in (('range(500)', 'range(2)'), ('100200', '100002')):
        assert many in program
        program = program.replace(many, few)
    said = subprocess.run([sys.executable, '-c', program], cwd=tmp_path, check=True, text=True,
                          capture_output=True).stdout
    assert said.startswith('2 episodes: mean score ')
    bags = sorted((tmp_path / 'bags').iterdir())
    assert [bag.name for bag in bags] == ['episode_000000', 'episode_000001']
    assert all(state_of(bag) is State.FINISHED for bag in bags)
