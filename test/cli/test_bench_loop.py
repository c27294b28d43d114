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

"""``dpr bench loop`` as a user runs it: files, mistakes, Ctrl-C, a robot of any kind."""

from argparse import ArgumentParser
import json
import os
from pathlib import Path
import signal
import subprocess
import sys

from diffusion_policy_ros.cli import bench
from diffusion_policy_ros.cli import main as dpr
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import load_contract, parse_contract
from diffusion_policy_ros.evaluation import loop_bench_policy
from diffusion_policy_ros.policy import Policy
import numpy as np
import pytest

DOMAIN_ID = 54
ROOT = Path(__file__).resolve().parents[2]
FILES = ['loop.json', 'loop.md', 'loop.png']


class Bench:
    """A running ``dpr bench loop``."""

    def __init__(self, *arguments):
        command = [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'bench', 'loop',
                   '--domain', str(DOMAIN_ID), *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, 'PYTHONPATH': str(ROOT)})

    def finish(self):
        """Wait for the end; return exit code, output and errors."""
        output, errors = self.process.communicate(timeout=200)
        return self.process.returncode, output, errors

    def read_until(self, text):
        """Read its progress, character by character, until some text appears."""
        seen = ''
        while text not in seen:
            character = self.process.stderr.read(1)
            assert character, f'{text!r} never came: {seen}'
            seen += character


@pytest.fixture
def start():
    """Start benches, and end those that a failed test leaves behind."""
    pytest.importorskip('rclpy')
    benches = []

    def start(*arguments):
        benches.append(Bench(*arguments))
        return benches[-1]

    yield start
    for bench_ in benches:
        bench_.process.kill()
        bench_.process.communicate()


@pytest.fixture(scope='module')
def arm(tmp_path_factory):
    """Save a small policy of the six-joint arm: two kinds of cameras, two kinds of commands."""
    contract = load_contract(ROOT / 'config' / 'robots' / 'arm6.yaml')
    config = PolicyConfig.from_contract(
        contract, vision_backbone='light_cnn', down_dims=(16, 32), diffusion_step_embed_dim=16)
    limits = {'min': -np.ones(7), 'max': np.ones(7), 'mean': np.zeros(7), 'std': np.ones(7)}
    folder = tmp_path_factory.mktemp('models') / 'arm'
    Policy.from_dataset(config, {'observation.state': limits, 'action': limits}, contract,
                        sampler=loop_bench_policy.SAMPLER).save(folder)
    return folder


@pytest.mark.slow
def test_five_seconds_are_measured_and_reported(start, tmp_path):
    code, output, errors = start('--seconds', 5, '--out', tmp_path / 'deep' / 'out').finish()
    assert code == 0, errors
    assert sorted(path.name for path in (tmp_path / 'deep' / 'out').iterdir()) == FILES
    figures = json.loads((tmp_path / 'deep' / 'out' / 'loop.json').read_text())
    words = {True: 'PASS', False: 'FAIL', None: 'UNSURE'}
    for check in figures['checks']:
        assert f'{words[check["passed"]]}  {check["name"]}: ' in output
    assert figures['timing']['seconds'] == pytest.approx(5.0, abs=1.0)
    assert 50 < figures['timing']['commands'] <= 200 and figures['plans'] > 0
    assert figures['plan_latency']['total_ms']['p50'] > 0
    assert figures['due_to_sent_ms']['p50'] > 0 and figures['sent_to_received_ms']['p50'] > 0
    assert figures['server']['cpu_cores'] > 0.01 and figures['server']['resident_mib'] > 50
    assert 'front_camera/image_raw 640x480, wrist_camera/image_raw 640x480 at 30 Hz; ' \
        'joint_states at 100 Hz' == figures['streams']
    assert figures['diagnostics'] and 'p99 of the interval error' in errors


@pytest.mark.slow
def test_a_checkpoint_of_another_robot_is_served_what_its_contract_says(start, arm, tmp_path):
    code, _, errors = start('--model', arm, '--seconds', 3, '--size', '320x240', '--out',
                            tmp_path, '-p', 'num_threads:=1', '-p', 'backend:=auto').finish()
    assert code == 0, errors
    figures = json.loads((tmp_path / 'loop.json').read_text())
    assert figures['timing']['commands'] > 30 and figures['rate_hz'] == 15.0
    assert figures['parameters'] == {'num_threads': 1, 'backend': 'auto'}
    assert figures['diagnostics']['policy_server: inference']['threads'] == '1'
    assert figures['due_to_sent_ms'] == {}  # a trajectory's stamp is its start, not its date
    assert 'scene_camera/image_raw/compressed 320x240' in figures['streams']


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_measured(start, arm, tmp_path):
    running = start('--model', arm, '--seconds', 600, '--out', tmp_path)
    running.read_until('2/600')
    running.process.send_signal(signal.SIGINT)
    code, output, errors = running.finish()
    assert code == 0, errors
    figures = json.loads((tmp_path / 'loop.json').read_text())
    assert 1 < figures['timing']['seconds'] < 60 and 'commands per second' in output


@pytest.mark.slow
def test_a_checkpoint_that_the_server_refuses_ends_it_with_the_reason(start, arm, tmp_path):
    weights = tmp_path / 'broken' / 'model.safetensors'
    weights.parent.mkdir()
    for path in arm.iterdir():
        (weights.parent / path.name).write_bytes(path.read_bytes())
    weights.write_bytes(weights.read_bytes()[:-1000])
    code, _, errors = start('--model', weights.parent, '--out', tmp_path / 'out').finish()
    assert code == 1
    assert 'policy_server refused to configure' in errors and 'model.safetensors' in errors


def test_the_policy_of_the_bench_has_the_size_of_the_shipped_one():
    shipped = Policy.load(ROOT / 'models' / 'pusht_image')
    for name, value in loop_bench_policy.SIZE.items():
        assert getattr(shipped.config, name) == value
    assert shipped.sampler == loop_bench_policy.SAMPLER


def test_the_policy_of_the_bench_is_for_seven_joints_and_two_cameras(tmp_path):
    loop_bench_policy.save_bench_policy(tmp_path / 'model')
    policy = Policy.load(tmp_path / 'model')
    assert policy.contract == parse_contract(loop_bench_policy.CONTRACT)
    assert policy.config.action_dim == 7 and len(policy.config.image_keys) == 2


@pytest.mark.parametrize('arguments, code, message', [
    (['--seconds', '1'], 2, '--seconds is 1; it must be from 2 to'),
    (['--rate-hz', '25'], 1, '--rate-hz is 25; it must be a whole multiple of the 15 Hz'),
    (['--rate-hz', 'nan'], 2, '--rate-hz is nan; it must be from 1'),
    (['--camera-rate-hz', '0'], 2, '--camera-rate-hz is 0; it must be from 1'),
    (['-p', 'num_threads:=-1'], 2, '-p num_threads is -1; it must be from 0 to 256'),
    (['--domain', '102'], 2, '--domain is 102; it must be from 0 to 101'),
    (['--model', 'nowhere'], 1, '--model is nowhere, which holds no contract.yaml'),
    (['--out', '/dev/null/x'], 1, 'cannot be made')])
def test_mistakes_are_one_line_on_stderr(arm, arguments, code, message, tmp_path, capsys):
    assert dpr.main(['bench', 'loop', '--model', str(arm), '--out', str(tmp_path),
                     *arguments]) == code
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1


@pytest.mark.parametrize('size', ['640', '0x480', '640x99999', '640*480'])
def test_a_size_that_is_none_is_wrong_usage(size, capsys):
    with pytest.raises(SystemExit) as ended:
        dpr.main(['bench', 'loop', '--size', size])
    assert ended.value.code == 2 and 'is no size such as 640x480' in capsys.readouterr().err


def test_every_argument_of_the_loop_is_explained(capsys):
    parser = ArgumentParser()
    bench.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(['loop', '--help'])
    shown = capsys.readouterr().out
    for name in ('model', 'seconds', 'rate-hz', 'camera-rate-hz', 'size', 'param', 'domain',
                 'out'):
        assert f'--{name}' in shown
    assert 'Exit code: 0' in shown and '5 % or more' in shown
