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

"""Child processes end with their parent, whatever happens to it."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from diffusion_policy_ros.cli.children import Children, node_command, node_environment
from diffusion_policy_ros.errors import DiffusionPolicyError
import pytest

ROOT = Path(__file__).parents[2]
SLEEPER = [sys.executable, '-c', 'import time; print("up", flush=True); time.sleep(600)']
STUBBORN = [sys.executable, '-c', 'import signal, time; signal.signal(signal.SIGINT, '
            'signal.SIG_IGN); print("up", flush=True); time.sleep(600)']
PARENT = """
import sys, time
from diffusion_policy_ros.cli.children import Children
with Children(sys.argv[1], None) as children:
    print(children.start('child', sys.argv[2:]).pid, flush=True)
    time.sleep(600)
"""

# A signal comes in the middle of a fork, where Python drops the exceptions of handlers.
INTERRUPTED = """
import os, signal, sys, threading
from diffusion_policy_ros.cli.children import Children
from diffusion_policy_ros.cli.stopping import interrupting_signals
threading.Thread(target=threading.Event().wait, daemon=True).start()
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), int(sys.argv[2])))
try:
    with interrupting_signals(), Children(sys.argv[1], None) as children:
        children.start('child', sys.argv[3:])
        print('it was lost')
except KeyboardInterrupt:
    print([process.poll() for process in children._processes.values()])
"""


def _until(condition, limit_s=60.0):
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, 'it did not happen'
        time.sleep(0.02)


def _is_gone(pid):
    """Tell whether a process has ended; one that nobody collected yet counts as ended."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except FileNotFoundError:
        return True


@pytest.fixture
def children(tmp_path):
    with Children(tmp_path, None) as children:
        yield children


def _start(children, name, command):
    process = children.start(name, command)
    _until(lambda: 'up' in children.tail(name))
    return process


def test_all_end_when_the_block_is_left(tmp_path):
    with pytest.raises(RuntimeError), Children(tmp_path, None) as children:
        processes = [_start(children, name, SLEEPER) for name in 'ab']
        children.check()
        raise RuntimeError
    assert [process.poll() for process in processes] == [-signal.SIGINT] * 2


def test_one_that_ignores_the_signal_is_killed(children, monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.cli.children.PATIENCE_S',
                        ((signal.SIGINT, 0.2), (signal.SIGKILL, 30.0)))
    process = _start(children, 'stubborn', STUBBORN)
    children.stop()
    assert process.poll() == -signal.SIGKILL


def test_one_that_ends_early_is_named_with_its_last_words(children):
    _start(children, 'sleeper', SLEEPER)
    process = children.start('speaker', [sys.executable, '-c', 'print("up"); raise SystemExit(3)'])
    process.wait()
    with pytest.raises(DiffusionPolicyError, match='(?s)speaker ended .*exit code 3.*\nup'):
        children.check()
    children.check(allowed=['speaker'])


def test_a_killed_one_is_named_with_the_signal(children):
    process = _start(children, 'sleeper', SLEEPER)
    process.kill()
    process.wait()
    with pytest.raises(DiffusionPolicyError, match='sleeper ended .*killed by SIGKILL'):
        children.check()


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux ends children with their parent')
@pytest.mark.parametrize('command', [SLEEPER, STUBBORN])
def test_a_killed_parent_takes_its_children_along(tmp_path, command):
    parent = subprocess.Popen(
        [sys.executable, '-c', PARENT, str(tmp_path), *command], stdout=subprocess.PIPE,
        env={**os.environ, 'PYTHONPATH': str(ROOT)})
    with parent:
        child = int(parent.stdout.readline())
        _until(lambda: 'up' in (tmp_path / 'child.log').read_text())
        parent.kill()
    _until(lambda: _is_gone(child))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_a_process_starts_is_not_lost(tmp_path, number):
    words = [sys.executable, '-c', INTERRUPTED, tmp_path, str(int(number)), *SLEEPER]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert done.stdout == f'[{-signal.SIGINT}]\n', done.stderr


def test_nodes_stay_on_this_machine_with_the_profile(tmp_path, monkeypatch):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')
    monkeypatch.delenv('ROS_DISTRO', raising=False)
    found = node_environment(42, tmp_path / 'fastdds.xml')
    assert found['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    assert found['ROS_DOMAIN_ID'] == '42'
    assert found['FASTDDS_DEFAULT_PROFILES_FILE'] == str(tmp_path / 'fastdds.xml')
    assert found['PYTHONPATH'].split(os.pathsep)[0] == str(ROOT.resolve())
    assert 'ROS_LOCALHOST_ONLY' not in found
    monkeypatch.setenv('ROS_DISTRO', 'humble')
    older = node_environment(42, tmp_path)
    assert older['ROS_LOCALHOST_ONLY'] == '1'
    assert older['FASTRTPS_DEFAULT_PROFILES_FILE'] == str(tmp_path)


def test_parameters_are_written_as_ros_reads_them():
    command = node_command('pusht_sim', {
        'seed': 3, 'view': False, 'rate': 30.0, 'folder': Path('a b'), 'episodes': '205'})
    assert command[-10:] == ['-p', 'seed:=3', '-p', 'view:=false', '-p', 'rate:=30.0', '-p',
                             'folder:="a b"', '-p', 'episodes:="205"']


def test_a_child_whose_log_was_deleted_is_named_all_the_same(children, tmp_path):
    children.start('sleeper', SLEEPER).kill()
    (tmp_path / 'sleeper.log').unlink()
    _until(lambda: children._processes['sleeper'].poll() is not None)
    with pytest.raises(DiffusionPolicyError, match='sleeper ended unexpectedly.*\n.its log is'):
        children.check()
