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

"""The scripts refuse what cannot work, with the reason and the remedy, and do what they say."""

import os
from pathlib import Path
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
# An interpreter that pretends: it changes itself, then runs what setup.sh asks it.
PRETENDER = """#!/bin/sh
exec "{python}" -c 'import importlib.util, sys
sys.argv = sys.argv[1:]
{lie}
exec(sys.stdin.read())' "$@"
"""


def refusal(tmp_path, lie):
    """Run every script with a Python that tells a lie about itself; the last words on stderr."""
    pretender = tmp_path / 'python'
    pretender.write_text(PRETENDER.format(python=sys.executable, lie=lie))
    pretender.chmod(0o755)
    said = set()
    for script in ('setup.sh', 'demo.sh', 'test.sh'):
        done = subprocess.run(
            ['bash', str(ROOT / 'scripts' / script)], cwd=tmp_path, timeout=60,
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={**os.environ, 'PYTHON': str(pretender)})
        assert done.returncode == 1
        said.add(done.stderr)
    assert len(said) == 1
    return said.pop()


def test_an_old_python_is_refused(tmp_path):
    said = refusal(tmp_path, 'sys.version_info = (3, 9, 18)')
    assert 'is Python 3.9.18; 3.10 or newer is needed' in said
    assert 'PYTHON=' in said


def test_a_python_without_venv_is_refused_naming_the_package(tmp_path):
    said = refusal(tmp_path, 'find = importlib.util.find_spec\n'
                   'importlib.util.find_spec = lambda n: None if n == "ensurepip" else find(n)')
    assert f'apt install python3.{sys.version_info[1]}-venv' in said


def test_a_python_without_ros_wheels_is_refused(tmp_path):
    said = refusal(tmp_path, 'import subprocess\n'
                   'subprocess.run = lambda *a, **k: subprocess.CompletedProcess(a, 1)\n'
                   'sys.version_info = (3, 15, 0)')
    assert 'without a sourced ROS 2, 3.10 to 3.13 is needed' in said


def test_a_python_that_cannot_be_run_is_refused(tmp_path):
    assert 'cannot be run' in refusal(tmp_path, 'sys.exit(1)')


@pytest.mark.parametrize('script', ['demo.sh', 'test.sh'])
def test_scripts_keep_ros_on_this_machine(script):
    text = (ROOT / 'scripts' / script).read_text('utf-8')
    assert 'export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST' in text


def test_continuous_integration_runs_every_test():
    text = (ROOT / '.ci' / 'run').read_text('utf-8')
    assert "bash scripts/test.sh -m ''" in text
    kills = re.search(r'^kills=\((.*)\)$', text, re.MULTILINE).group(1)
    assert all((ROOT / name).is_file() for name in kills.split())
    assert all(re.search(rf'run_tests \d+ {re.escape(rest)}', text) for rest in (
        '-n 2 "${kills[@]/#/--ignore=}"', '-n 0 --reruns 2 "${kills[@]}"'))


@pytest.mark.parametrize('arguments, message', [
    ([], 'usage:'), (['pusht_image'], 'usage:'), (['pusht_magic', 'zarr'], 'got pusht_magic'),
    (['pusht_state', 'nowhere'], 'nowhere holds no zarr group'),
    (['pusht_state', 'nowhere', '--set', 'steps=3'], 'FOLDER comes before')])
def test_a_model_that_cannot_be_trained_is_refused_at_once(arguments, message, tmp_path):
    done = subprocess.run(['bash', str(ROOT / 'scripts' / 'train_model.sh'), *arguments],
                          cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and message in done.stderr
    assert not list(tmp_path.iterdir())


def test_bags_of_another_source_are_not_trained_on(tmp_path):
    zarr, folder = tmp_path / 'z.zarr', tmp_path / 'models'
    zarr.mkdir()
    (zarr / '.zgroup').touch()
    folder.mkdir()
    (folder / 'pusht_state.source').write_text('elsewhere.zarr')
    done = subprocess.run(
        ['bash', str(ROOT / 'scripts' / 'train_model.sh'), 'pusht_state', str(zarr), str(folder)],
        capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and 'is made from elsewhere.zarr, not from' in done.stderr


@pytest.mark.slow
def test_a_model_is_trained_from_its_public_data_by_one_command(shared_data, tmp_path):
    command = ['bash', str(ROOT / 'scripts' / 'train_model.sh'), 'pusht_state',
               str(shared_data / 'pusht' / 'pusht_cchi_v7_replay.zarr'), str(tmp_path),
               '--set', 'steps=1', '--set', 'validation_episodes=0',
               '--set', 'policy.down_dims=[16, 32]']
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / 'pusht_state' / 'config.json').is_file()
