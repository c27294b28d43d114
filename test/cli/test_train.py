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

"""``dpr train`` and ``dpr eval`` as a user runs them: processes, signals, exit codes."""

from dataclasses import asdict
import json
import os
from pathlib import Path
import signal
import subprocess
import sys

from diffusion_policy_ros.cli.simulations import SIMULATIONS
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
DPR = [sys.executable, '-m', 'diffusion_policy_ros.cli.main']
SETTINGS = [f'--set={text}' for text in (
    'batch_size=4', 'log_every=1', 'validate_every=2', 'checkpoint_every=2',
    'policy.vision_backbone=light_cnn', 'policy.down_dims=[16,32]', 'policy.horizon=8',
    'policy.n_action_steps=4', 'policy.num_train_timesteps=20')]
ENVIRONMENT = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Write a few rows of the Push-T robot."""
    contract = load_contract(ROOT / 'config' / 'robots' / 'pusht.yaml')
    folder = tmp_path_factory.mktemp('data') / 'dataset'
    random = np.random.default_rng(0)
    with LeRobotWriter(folder, contract) as writer:
        for episode in range(2):
            for row in range(12):
                writer.add_row({
                    'observation.images.camera': random.integers(
                        0, 256, (96, 96, 3)).astype(np.uint8),
                    'observation.state': random.uniform(0, 0.5, 2).astype(np.float32),
                    'observation.environment_state': random.uniform(0, 1, 9).astype(np.float32),
                    'action': random.uniform(0, 0.5, 2).astype(np.float32)},
                    tick_ns=row * 100_000_000 + 1,
                    ages_ns={s.topic: 0 for s in (*contract.observations, *contract.actions)})
            writer.save_episode('Push the T.')
    return folder


def dpr(*arguments):
    """Run ``dpr`` to its end."""
    return subprocess.run([*DPR, *map(str, arguments)], env=ENVIRONMENT, capture_output=True,
                          text=True, timeout=240)


def test_train_then_eval_reports_figures_with_intervals(dataset, tmp_path):
    pytest.importorskip('gym_pusht')
    from diffusion_policy_ros.diffusion import Sampler
    trained = dpr('train', dataset, '--out', tmp_path / 'model', *SETTINGS, '--set=steps=2')
    assert trained.returncode == 0, trained.stderr
    summary, following = trained.stdout.splitlines()
    assert 'trained 2 steps' in summary
    model = tmp_path / 'model'
    assert following == (
        f'next: dpr eval {model} --sim NAME (only for {", ".join(SIMULATIONS)}), or ros2 launch '
        'diffusion_policy_ros '
        f'policy.launch.py model:={model}; curves: tensorboard --logdir {model}.run/tensorboard')
    assert list((tmp_path / 'model.run/tensorboard').glob('events*'))
    report = tmp_path / 'eval.json'
    evaluated = dpr('eval', tmp_path / 'model', '--sim', 'pusht', '--episodes', 2, '--steps', 2,
                    '--solver', 'ddim', '--sampler', 'eta=0.5', '--sampler', 'spacing=leading',
                    '--out', report)
    assert evaluated.returncode == 0, evaluated.stderr
    assert '2 episodes: mean score' in evaluated.stdout
    figures = json.loads(report.read_text())
    assert [r['seed'] for r in figures['results']] == [100_000, 100_001]
    assert figures['sampler'] == asdict(
        Sampler('ddim', num_inference_steps=2, eta=0.5, spacing='leading'))
    low, high = figures['success_rate_95']
    assert low <= figures['success_rate'] <= high
    assert figures['mean_score_95'] is None  # two episodes do not tell it


@pytest.mark.parametrize('number', [
    signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_leaves_a_run_that_resumes(dataset, tmp_path, number):
    command = [*DPR, 'train', str(dataset), '--out', str(tmp_path / 'model'), *SETTINGS]
    with subprocess.Popen([*command, '--set=steps=100000'], env=ENVIRONMENT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0) as run:
        shown = ''
        while 'loss=' not in shown:  # the progress bar shows that steps are being made
            shown += run.stderr.read(1)
            assert run.poll() is None, shown
        run.send_signal(number)
        output, errors = run.communicate(timeout=60)
    assert run.returncode == 130, shown + errors
    assert '--resume' in output
    step = json.loads((tmp_path / 'model.run' / 'snapshot.json').read_text())['step']
    assert 0 < step < 100000
    again = dpr('train', dataset, '--out', tmp_path / 'model', *SETTINGS, '--set=steps=100000')
    assert again.returncode == 1 and 'add --resume' in again.stderr


@pytest.mark.parametrize('arguments, code, message', [
    (['train', 'nowhere', '--out', 'model'], 1, 'nowhere'),
    (['eval', 'nowhere', '--sim', 'pusht'], 1, 'nowhere'),
    (['eval', 'nowhere', '--sim', 'pusht', '--episodes', '0'], 2, '--episodes is 0'),
    (['eval', 'nowhere', '--sim', 'pusht', '--batch', '0'], 2, '--batch is 0'),
    (['eval', 'nowhere', '--sim', 'pusht', '--sampler', 'spaceing=karras'], 2, 'mean "spacing"'),
    (['eval', 'nowhere', '--sim', 'pusht', '--seed', '-1'], 2, '--seed is -1'),
    (['eval', 'nowhere', '--sim', 'pusht', '--out', 'no/x.json'], 1, 'a folder that exists'),
    (['train', 'nowhere', '--out', 'model', '--threads', '-1'], 2, '--threads is -1'),
    (['train', 'nowhere', '--out', 'model', '--threads', '99999'], 2, '--threads is 99999'),
    (['train', 'nowhere', '--out', 'model', '--device', 'meta'], 1,
     "device 'meta' cannot be used"),
    (['train', 'nowhere', '--out', 'model', '--set', 'policy.foo=1'], 2,
     "unknown key 'foo'; known"),
    (['train', 'nowhere', '--out', 'model', '--device', 'foo'], 1, "device 'foo' cannot be used"),
    (['train', 'nowhere', '--out', 'model', '--set', 'stepz=1'], 2, 'did you mean "steps"'),
])
def test_mistakes_are_one_line_on_stderr(arguments, code, message, tmp_path):
    outcome = subprocess.run([*DPR, *arguments], env=ENVIRONMENT, capture_output=True, text=True,
                             cwd=tmp_path, timeout=120)
    assert outcome.returncode == code
    assert message in outcome.stderr and len(outcome.stderr.strip().splitlines()) == 1


def test_eval_refuses_an_execute_horizon_the_checkpoint_does_not_have(save_tiny_policy):
    outcome = dpr('eval', save_tiny_policy(n_action_steps=4), '--sim', 'pusht',
                  '--execute-horizon', 5)
    assert outcome.returncode == 1 and 'allows 1 to 4' in outcome.stderr
