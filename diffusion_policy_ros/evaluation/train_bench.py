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

"""Training loops that are timed side by side: ours, a plain one, and LeRobot's."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
import json
from pathlib import Path
import subprocess
import sys
import time

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.streams import ACTION_KEY
from diffusion_policy_ros.training.acceleration import autocast
from diffusion_policy_ros.training.config_groups import RolloutSettings
from diffusion_policy_ros.training.loss import diffusion_loss, draw_noise_and_levels
from diffusion_policy_ros.training.record import read_history
from diffusion_policy_ros.training.run import train
from diffusion_policy_ros.training.run_folder import run_folder_of
import torch
from torch.utils.flop_counter import FlopCounterMode

OURS, PLAIN, LEROBOT = 'dpr train', 'plain DataLoader loop', 'lerobot'
LEROBOT_SCRIPT = 'train_bench_lerobot.py'
NEVER = 10**9


@dataclass(frozen=True)
class Pace:
    """
    How fast a loop went.

    :ivar windows_per_s: Windows learnt from per second.
    :ivar wait_share: Share of the time spent waiting for data.
    """

    windows_per_s: float
    wait_share: float


def measure_ours(dataset, out, config, *, device, steps, cache_dir=None) -> Pace:
    """
    Train as ``dpr train`` does, and time the second half of the steps.

    :param dataset: Dataset folder.
    :param out: Checkpoint folder to make.
    :param config: ``TrainConfig``.
    :param device: Torch device.
    :param steps: Steps to time; as many go before them.
    :param cache_dir: As for ``train``.
    """
    config = replace(config, steps=2 * steps, log_every=steps, validate_every=NEVER,
                     checkpoint_every=NEVER, validation_episodes=0, rollouts=RolloutSettings())
    train(dataset, out, config, device=device, resume=False, stop_requested=lambda: False,
          cache_dir=cache_dir)
    history = read_history(run_folder_of(out))
    last = [line for line in history if 'windows_per_s' in line][-1]
    return Pace(last['windows_per_s'], last['data_wait_share'])


class PlainLoop:
    """The loop that people write: one window per item, a ``DataLoader``, the same networks."""

    def __init__(self, policy, windows, config, *, device, workers):
        """
        Start the workers.

        :param policy: ``Policy`` on the device.
        :param windows: ``TrainingWindows`` of the dataset.
        :param config: ``TrainConfig``.
        :param device: Torch device.
        :param workers: Processes that cut windows.
        """
        class Items(torch.utils.data.Dataset):
            def __len__(self):
                return len(windows)

            def __getitem__(self, row):
                return {key: array[0] for key, array in windows.gather([row]).items()}

        self._policy, self._config, self._device = policy, config, device
        self._loader = torch.utils.data.DataLoader(
            Items(), config.batch_size, shuffle=True, num_workers=workers, drop_last=True,
            pin_memory=device.type == 'cuda', persistent_workers=workers > 0)
        self._batches = iter(self._loader)
        self._optimizer = torch.optim.AdamW(policy.parameters(), lr=config.learning_rate)

    def flops_per_window(self) -> float:
        """Do one step, and return the floating-point operations for each of its windows."""
        with FlopCounterMode(display=False) as counter:
            self._step()
        return counter.get_total_flops() / self._config.batch_size

    def measure(self, steps) -> Pace:
        """
        Do some steps.

        :param steps: How many.
        """
        started_s, waited_s = time.perf_counter(), 0.0
        for _ in range(steps):
            waited_s += self._step()
        seconds = time.perf_counter() - started_s
        return Pace(steps * self._config.batch_size / seconds, waited_s / seconds)

    def _step(self):
        """Do one step and return how long it waited for data, s."""
        asked_s = time.perf_counter()
        batch = next(self._batches, None)
        if batch is None:
            self._batches = iter(self._loader)
            batch = next(self._batches)
        waited_s = time.perf_counter() - asked_s
        policy = self._policy.train()
        batch = {key: tensor.to(self._device) for key, tensor in batch.items()}
        actions = policy.normalizer.normalize(ACTION_KEY, batch[ACTION_KEY])
        noise, timesteps = draw_noise_and_levels(
            actions.shape, policy.config.num_train_timesteps, generator=None,
            device=self._device)
        with autocast(self._device, self._config.precision):
            cond = policy.encode(batch, augmentation=self._config.augmentation)
            loss = diffusion_loss(policy, actions, cond, noise=noise, timesteps=timesteps)
        self._optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), self._config.gradient_clip_norm)
        self._optimizer.step()
        loss.item()
        return waited_s


class LeRobotLoop:
    """LeRobot's ``DiffusionPolicy`` with the same architecture, in a process of its own."""

    def __init__(self, python, *, policy, dataset, device, batch_size, workers, threads,
                 precision):
        """
        Start the process.

        :param python: Interpreter that has lerobot.
        :param policy: Checkpoint folder of an untrained policy.
        :param dataset: Dataset folder.
        :param device: Torch device.
        :param batch_size: Windows per step.
        :param workers: Processes that read the dataset.
        :param threads: CPU threads of torch; 0 leaves the choice to it.
        :param precision: ``float32`` or ``bfloat16``.
        """
        script = Path(__file__).with_name(LEROBOT_SCRIPT)
        self._batch_size = batch_size
        self._process = subprocess.Popen(
            [python, str(script), '--policy', str(policy), '--dataset', str(dataset),
             '--device', str(device), '--batch-size', str(batch_size), '--workers', str(workers),
             '--threads', str(threads), '--precision', precision],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def measure(self, steps) -> Pace:
        """
        Do some steps.

        :param steps: How many.
        :raises DiffusionPolicyError: if the process ended; stderr has told why.
        """
        try:
            print(steps, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            pass
        for line in self._process.stdout:
            if line.startswith('{"seconds"'):
                told = json.loads(line)
                return Pace(steps * self._batch_size / told['seconds'],
                            told['waited_s'] / told['seconds'])
        raise DiffusionPolicyError('lerobot could not train on this dataset with this policy; '
                                   'leave it out with --lerobot-python none')

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def lerobot_python(asked):
    """
    Return an interpreter that has lerobot, or None.

    :param asked: Path of one, ``none``, or None for this one where it has lerobot.
    """
    if asked is None:
        return sys.executable if find_spec('lerobot') else None
    return None if asked == 'none' else asked
