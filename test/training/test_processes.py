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

"""Two processes under torchrun train as one does with twice the batch, and end as one."""

import json
import os
from pathlib import Path
import queue
import signal
import subprocess
import sys
import threading

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.training import processes
from diffusion_policy_ros.training.processes import Processes
import pytest
from safetensors.torch import load_file
import torch

ROOT = Path(__file__).resolve().parents[2]
MAIN = ['-m', 'diffusion_policy_ros.cli.main', 'train']
SETTINGS = [f'--set={text}' for text in (
    'log_every=2', 'validate_every=4', 'checkpoint_every=4', 'validation_episodes=1',
    'warmup_steps=2', 'policy.vision_backbone=light_cnn', 'policy.down_dims=[16,32]',
    'policy.horizon=8', 'policy.n_action_steps=4', 'policy.crop_shape=[28,28]',
    'policy.conditioning_dropout=0.3', 'augmentation.shift_px=2', 'augmentation.brightness=0.2')]
# The softmax over a map does not change with it, so that its gradient is only rounding, and Adam
# makes whole steps of that.
WITHOUT_GRADIENT = 'rgb_encoder.pool.nets.bias'
FROZEN = ('pretraining.target=observation.environment_state', 'pretraining.steps=2',
          'augmentation.shift_px=0', 'augmentation.brightness=0')
BATCH_NORM = (*FROZEN, 'policy.vision_backbone=resnet18', 'policy.use_group_norm=false',
              'policy.observation_encoder.pooling=average')
TRANSFORMER = ('policy.denoiser.type=transformer', 'policy.denoiser.dim=16',
               'policy.denoiser.layers=1', 'policy.denoiser.heads=2')
ENVIRONMENT = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1',
               'PYTHONWARNINGS': 'ignore'}


def command(dataset, out, *settings, count=1):
    """Return the command line of a training in some processes."""
    start = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={count}']
    return [sys.executable, *(start if count > 1 else []), *MAIN, str(dataset), '--out', str(out),
            '--device=cpu', *SETTINGS, *(f'--set={text}' for text in settings)]


def train(dataset, out, *settings, count=1, resume=False):
    """Train to the end and return what was printed, and stderr."""
    words = command(dataset, out, *settings, count=count) + (['--resume'] if resume else [])
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def assert_close_weights(one, other):
    """Compare the published weights of two runs."""
    first, second = load_file(one / 'model.safetensors'), load_file(other / 'model.safetensors')
    for name, tensor in first.items():
        if WITHOUT_GRADIENT not in name:
            torch.testing.assert_close(second[name], tensor, rtol=0, atol=1e-5, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize('more', [(), FROZEN, TRANSFORMER],
                         ids=['unet', 'frozen encoder', 'transformer'])
def test_two_processes_equal_one_with_twice_the_batch(dataset, tmp_path, more):
    def pretraining(size):
        return [f'pretraining.batch_size={size}'] if more is FROZEN else []

    printed, told = train(dataset, tmp_path / 'two', 'steps=6', 'batch_size=2',
                          'accumulation_steps=2', *pretraining(4), *more, count=2)
    assert printed.count('trained 6 steps') == 1 and printed.count('next:') == 1
    assert told.count('diffusion:   0%') == 1
    assert told.count(' on cpu in 2 processes in float32\n') == 1
    assert told.count('steps of 8 windows each\n') == 1
    train(dataset, tmp_path / 'one', 'steps=6', 'batch_size=8', *pretraining(8), *more)
    assert_close_weights(tmp_path / 'one', tmp_path / 'two')
    lines = [[json.loads(line) for line in
              (tmp_path / f'{name}.run' / 'history.jsonl').read_text().splitlines()
              if '"diffusion"' in line] for name in ('one', 'two')]
    for name, count in (('loss', 3), ('validation_loss', 2), ('validation_action_mse', 2)):
        one, two = ([line[name] for line in run if name in line] for run in lines)
        assert one == pytest.approx(two, rel=1e-4) and len(one) == count


@pytest.mark.slow
@pytest.mark.parametrize('more', [(), BATCH_NORM], ids=['light cnn', 'frozen batch norm'])
def test_a_stop_of_one_process_stops_all_and_the_run_resumes_exactly(dataset, tmp_path, more):
    settings = ('steps=80', 'batch_size=4', 'checkpoint_every=80', 'policy.denoiser.type=mlp',
                'policy.denoiser.dim=16', 'policy.denoiser.dropout=0.2', *more)
    train(dataset, tmp_path / 'whole', *settings, count=2)
    words = command(dataset, tmp_path / 'model', *settings, count=2)
    with subprocess.Popen(words, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, bufsize=0) as run:
        shown = ''
        while 'loss=' not in shown.partition('diffusion:')[2]:
            shown += run.stderr.read(1)
            assert run.poll() is None, shown
        run.send_signal(signal.SIGINT)  # which torchrun passes on
        printed, told = run.communicate(timeout=60)
    assert run.returncode and printed.count('--resume') == 1, shown + told
    assert told.count('stopping after this step') == 1
    step = json.loads((tmp_path / 'model.run' / 'snapshot.json').read_text())['step']
    assert 0 < step < 80
    alone = subprocess.run([*command(dataset, tmp_path / 'model', *settings), '--resume'],
                           env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert alone.returncode == 1
    assert ('was trained by 2 processes on cpu, and this is one process on cpu; resume it as it '
            'was started, with torchrun, 2 processes and --device cpu') in alone.stderr
    train(dataset, tmp_path / 'model', *settings, count=2, resume=True)
    whole, resumed = (load_file(tmp_path / name / 'model.safetensors')
                      for name in ('whole', 'model'))
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


@pytest.mark.slow
def test_an_error_of_one_process_ends_all_with_one_message(dataset, tmp_path):
    code = """
import os, sys
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.training.diffusion_stage import DiffusionStage
after = DiffusionStage.loss
def failing(stage, step, generator, share):
    if os.environ['RANK'] == '1' and step == 3:
        raise DatasetError('the disk of process 1 is gone')
    return after(stage, step, generator, share)
DiffusionStage.loss = failing
sys.exit(main(sys.argv[1:]))
"""
    (tmp_path / 'failing.py').write_text(code)
    words = command(dataset, tmp_path / 'model', 'steps=100', 'batch_size=4', count=2)
    start = words.index(MAIN[0], 4)
    words[start:start + 2] = [str(tmp_path / 'failing.py')]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert done.stderr.count('dpr train: ') == 1
    assert 'dpr train: the disk of process 1 is gone' in done.stderr


def test_alone_nothing_is_wrapped_and_everything_is_at_hand():
    alone, module = Processes(), torch.nn.Linear(1, 1)
    assert alone.is_first and alone.any(True, False) == [True, False]
    assert alone.mean(torch.tensor(2.0)) == 2.0 and alone.gather(torch.ones(1)) == [torch.ones(1)]
    assert alone.wrap(module, torch.device('cpu')) is module


@pytest.mark.parametrize('wanted, gpus, said', [
    ('cuda:1', 2, "--device is 'cuda:1' for several processes.*auto, cuda or cpu"),
    ('cuda', 1, '2 processes were started on this machine, which has 1 GPUs.*--nproc-per-node 1'),
    ('auto', 1, '2 processes.*or --device cpu')])
def test_devices_that_do_not_fit_the_processes_are_refused(monkeypatch, wanted, gpus, said):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    monkeypatch.setenv('WORLD_SIZE', '2')
    monkeypatch.setenv('LOCAL_RANK', '1')
    with pytest.raises(ConfigError, match=said):
        processes._device_of_this(wanted)


def test_each_process_takes_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setattr(processes, 'choose_device', lambda wanted: wanted)
    monkeypatch.setenv('WORLD_SIZE', '4')
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    monkeypatch.setenv('LOCAL_RANK', '1')
    assert processes._device_of_this('auto') == 'cuda:1'
    assert processes._device_of_this('cpu') == 'cpu'


def test_a_process_that_is_done_waits_for_the_others():
    store, gone = torch.distributed.HashStore(), queue.Queue()

    def leave(name):
        processes._leave_together(store, 3)
        gone.put(name)

    threads = [threading.Thread(target=leave, args=(name,), daemon=True) for name in 'ab']
    for thread in threads:
        thread.start()
    with pytest.raises(queue.Empty):
        gone.get(timeout=0.2)
    leave('c')
    assert {gone.get(timeout=60) for _ in range(3)} == set('abc')
