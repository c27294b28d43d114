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

"""The demo over real DDS and with real processes: what it leaves, how it ends."""

import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
from types import SimpleNamespace
import uuid

from diffusion_policy_ros.cli.children import Children, node_command, node_environment
from diffusion_policy_ros.cli.demo import _report, _workplace
from diffusion_policy_ros.cli.info_bag import describe_bags
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.cli.ros_domain import hold_domain
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('gym_pusht')
pytest.importorskip('torch')

DOMAIN_ID = 75
ROOT = Path(__file__).parents[2]
MARK = 'DPR_TEST_OF_DEMO'
TOO_LONG = """
import signal
from diffusion_policy_ros.cli.demo import _deadline
from diffusion_policy_ros.errors import DiffusionPolicyError
before = signal.getsignal(signal.SIGALRM)
try:
    with _deadline(1):
        signal.sigtimedwait([], 60)
except DiffusionPolicyError as error:
    print(error)
assert signal.getsignal(signal.SIGALRM) is before
"""


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(num_inference_steps=2)


class Demo:
    """A running ``dpr demo`` whose processes carry a mark in their environment."""

    def __init__(self, *arguments):
        self._mark = uuid.uuid4().hex
        command = [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'demo', '--domain',
                   str(DOMAIN_ID), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT), MARK: self._mark})

    def children(self):
        """Return the command lines of the marked processes beside the demo itself, by id."""
        found = {}
        for folder in Path('/proc').glob('[0-9]*'):
            try:
                marked = f'{MARK}={self._mark}'.encode() in (folder / 'environ').read_bytes()
                if marked and int(folder.name) != self.process.pid:
                    found[int(folder.name)] = (folder / 'cmdline').read_bytes().decode()
            except OSError:
                pass  # it ended, or belongs to somebody else
        return found

    def signal_node(self, name, number):
        """Send a signal to one of its nodes, by the name of its module."""
        pid, = [pid for pid, line in self.children().items()
                if f'diffusion_policy_ros.nodes.{name} ' in line]
        os.kill(pid, number)

    def read_until(self, text):
        """Read what it prints until some text appears."""
        for line in self.process.stdout:
            if text in line:
                return
        raise AssertionError(f'{text!r} never came; {self.process.stderr.read()}')

    def finish(self):
        """Wait for the end; return exit code, output and errors."""
        output, errors = self.process.communicate(timeout=200)
        return self.process.returncode, output, errors


@pytest.fixture
def start():
    """Start demos, and end those that a failed test leaves behind."""
    demos = []

    def start(*arguments):
        demos.append(Demo(*arguments))
        return demos[-1]

    yield start
    for demo in demos:
        demo.process.kill()
        demo.process.communicate()


def test_it_leaves_video_report_and_figures_and_nobody_behind(start, model, tmp_path):
    demo = start('--model', model, '--episodes', 2, '--seconds-per-episode', 2, '--seed', 5,
                 '--rate', 30, '--out', tmp_path / 'report')
    code, output, errors = demo.finish()
    assert code in (0, 1), errors
    figures = json.loads((tmp_path / 'report' / 'demo.json').read_text())
    assert code == (0 if figures['passed'] else 1)
    words = {True: 'PASS', False: 'FAIL', None: 'UNSURE'}
    for check in figures['checks']:
        assert f'{words[check["passed"]]}  {check["name"]}: ' in output
    assert 'commands/s  interval p99 ms  latency p50 ms' in output
    assert [episode['seed'] for episode in figures['episodes']] == [5, 6]
    for episode in figures['episodes']:
        assert episode['seconds'] == pytest.approx(2.0) and episode['commands'] > 0
        assert episode['plans'] > 0 and episode['latency_p99_ms'] > 0
    assert figures['command_rate_hz'] == 30.0
    assert (tmp_path / 'report' / 'report.pdf').read_bytes().startswith(b'%PDF')
    assert (tmp_path / 'report' / 'demo.mp4').stat().st_size > 1000
    assert not demo.children()


@pytest.mark.slow
def test_an_arm_is_demonstrated_recorded_and_then_driven(start, save_tiny_policy, tmp_path):
    pytest.importorskip('mujoco')
    home, out = (0.0, 0.27, 1.33, 1.54, 0.0, 0.0, 0.02), tmp_path / 'report'
    model = save_tiny_policy(num_inference_steps=2, low=np.subtract(home, 0.1),
                             high=np.add(home, 0.1), contract=ROOT / 'config' / 'robots'
                             / 'arm_pick_place.yaml')
    demo = start('arm', '--model', model, '--episodes', 1, '--seconds-per-episode', 3, '--out',
                 out)
    code, output, errors = demo.finish()
    assert code in (0, 1), errors
    figures = json.loads((out / 'demo.json').read_text())
    assert code == (0 if figures['passed'] else 1)
    assert 'the expert demonstrates (1x)' in output and 'score  best' in output
    assert describe_bags(out / 'bags' / 'episode_000000')['custom data']['outcome'] == 'success'
    episode, = figures['episodes']
    assert (figures['sim'], figures['command_rate_hz']) == ('arm_pick_place', 30.0)
    assert episode['plans'] > 0 and episode['commands'] > 0 and not episode['solved']
    assert 0 < figures['real_time_factor'] < 1.1
    assert (out / 'demo.mp4').stat().st_size > 1000
    assert not demo.children()


@pytest.mark.parametrize('number', [
    signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_it_and_all_that_it_started(start, model, tmp_path, number):
    demo = start('--model', model, '--out', tmp_path / 'report')
    demo.read_until('loads and warms up')
    assert len(demo.children()) == 3
    demo.process.send_signal(number)
    code, _, errors = demo.finish()
    assert code == 130 and 'dpr demo: stopped' in errors
    assert 'Traceback' not in errors
    assert not demo.children()


@pytest.mark.parametrize('name', [
    'policy_server', pytest.param('pusht_sim', marks=pytest.mark.slow),
    pytest.param('demo_observer', marks=pytest.mark.slow)])
def test_a_child_that_dies_is_named_and_the_others_end(start, model, tmp_path, name):
    demo = start('--model', model, '--out', tmp_path / 'report')
    demo.read_until('loads and warms up')
    demo.signal_node(name, signal.SIGKILL)
    code, _, errors = demo.finish()
    assert code == 1
    assert f'dpr demo: {name} ended unexpectedly, killed by SIGKILL' in errors
    assert not demo.children()


def test_a_checkpoint_that_the_server_refuses_ends_it_with_the_reason(start, model, tmp_path):
    broken = tmp_path / 'broken'
    shutil.copytree(model, broken)
    weights = broken / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:-1000])
    code, _, errors = start('--model', broken, '--out', tmp_path / 'report').finish()
    assert code == 1
    assert 'policy_server refused to configure' in errors and 'model.safetensors' in errors


@pytest.mark.slow
def test_another_robot_on_the_domain_is_refused(start, model, tmp_path):
    environment = node_environment(DOMAIN_ID, ROOT / 'config' / 'fastdds.xml')
    with Children(tmp_path, environment) as others:
        others.start('pusht_sim', node_command('pusht_sim', {}))
        code, _, errors = start('--model', model, '--out', tmp_path / 'report').finish()
    assert code == 1 and 'choose another one with --domain' in errors


@pytest.mark.slow
def test_a_robot_that_joins_while_an_episode_is_played_makes_it_fail(start, model, tmp_path):
    demo = start('--model', model, '--out', tmp_path / 'report')
    demo.read_until('commands/s')
    environment = node_environment(DOMAIN_ID, ROOT / 'config' / 'fastdds.xml')
    with Children(tmp_path, environment) as others:
        others.start('pusht_sim', node_command('pusht_sim', {}))
        code, _, errors = demo.finish()
    assert code == 1 and '2 robots publish joint_states on this ROS domain' in errors
    assert not demo.children()


def test_a_domain_that_another_demo_uses_is_refused_at_once(model, tmp_path, capsys):
    with hold_domain(DOMAIN_ID):
        assert main(['demo', '--model', str(model), '--out', str(tmp_path / 'report'),
                     '--domain', str(DOMAIN_ID)]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert f'another demo on this machine uses ROS domain {DOMAIN_ID}' in said.err


@pytest.mark.slow
@pytest.mark.parametrize('name, words', [
    ('pusht_sim', 'no picture and no joint state of pusht_sim came for 1'),
    ('policy_server', 'no command of policy_server came for 1')])
def test_a_node_that_falls_silent_is_named_and_all_end(start, model, tmp_path, name, words):
    demo = start('--model', model, '--out', tmp_path / 'report')
    demo.read_until('commands/s')
    demo.signal_node(name, signal.SIGSTOP)
    code, _, errors = demo.finish()
    assert code == 1 and words in errors
    assert not demo.children()


def test_a_report_that_is_interrupted_leaves_the_last_one_as_it_was(monkeypatch, tmp_path):
    def write_half(path, *_):
        path.write_bytes(b'half a video')
        raise KeyboardInterrupt

    evaluation = 'diffusion_policy_ros.evaluation'
    monkeypatch.setattr(f'{evaluation}.demo_report.demo_figures', lambda *_: {})
    monkeypatch.setattr(f'{evaluation}.demo_report.write_report', lambda *_: None)
    monkeypatch.setattr(f'{evaluation}.demo_video.write_video', write_half)
    out = tmp_path / 'report'
    out.mkdir()
    (out / 'demo.json').write_text('of last time')
    with pytest.raises(KeyboardInterrupt), _workplace(out) as folder:
        _report(out, folder, [], SimpleNamespace(command_rate_hz=10.0))
    assert [path.name for path in out.iterdir()] == ['demo.json']
    assert (out / 'demo.json').read_text() == 'of last time'


def test_what_a_killed_demo_left_is_removed_and_what_a_running_one_makes_is_not(tmp_path):
    left, other = tmp_path / 'unfinished_dpr_demo_killed', tmp_path / 'unfinished_letters'
    left.mkdir()
    other.mkdir()
    (left / 'episode_0.npz').write_text('half a record')
    with _workplace(tmp_path) as running, _workplace(tmp_path) as folder:
        assert {*tmp_path.iterdir()} == {other, running, folder}
    assert [*tmp_path.iterdir()] == [other]


def test_the_deadline_is_an_error_that_says_what_to_do():
    # In a process of its own: pytest's limit for a test needs the alarm too.
    done = subprocess.run([sys.executable, '-c', TOO_LONG], cwd=ROOT, capture_output=True,
                          text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert 'not finished after 1 s' in done.stdout and 'lower --episodes' in done.stdout
