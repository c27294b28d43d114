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

"""LeRobot and diffusers beside ``dpr bench chunk``, in a process that has them."""

import json
from pathlib import Path
import subprocess
import tempfile

from diffusion_policy_ros.errors import DiffusionPolicyError
import numpy as np
import torch

SCRIPT = 'chunk_bench_lerobot.py'
REMEDY = 'leave it out with --lerobot-python none'


class PeerProcess:
    """
    A process that loads a policy with other libraries and draws chunks when it is asked to.

    :ivar ways: Name -> library, drawn from as from an ``OwnPolicy``.
    :ivar versions: Package -> version there.
    :ivar left_out: Name of a library -> why it takes no part.
    """

    def __init__(self, python, folder, *, lerobot, checkpoint, solver, window, noise, device,
                 threads):
        """
        Start it, and wait until the policy is loaded.

        :param python: Interpreter that has lerobot.
        :param folder: Folder for the observation.
        :param lerobot: Folder that LeRobot loads; None leaves it out.
        :param checkpoint: Folder of the same policy that this package loads.
        :param solver: One of ``BENCH_SOLVERS``.
        :param window: Window of one observation.
        :param noise: Start noise of the most candidates.
        :param device: Torch device.
        :param threads: CPU threads of torch.
        :raises DiffusionPolicyError: if it does not start.
        """
        observation = Path(folder) / 'observation.npz'
        np.savez(observation, noise=noise.numpy(), **{
            key: value.numpy() for key, value in window.items()})
        self._python, self._errors = python, tempfile.TemporaryFile('w+')
        try:
            self._process = subprocess.Popen(
                [python, str(Path(__file__).with_name(SCRIPT)), '--checkpoint', str(checkpoint),
                 '--solver', solver, '--observation', str(observation), '--device', str(device),
                 '--threads', str(threads), *(['--lerobot', str(lerobot)] if lerobot else [])],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True)
        except OSError as error:
            raise DiffusionPolicyError(f'--lerobot-python {str(python)!r} cannot be started: '
                                       f'{error.strerror}; name a Python interpreter') from error
        told = self._answer()
        self.versions, self.left_out = told['versions'], told['left_out']
        self.ways = {name: _Peer(self, name) for name in told['peers']}

    def ask(self, question) -> dict:
        """
        Have something drawn.

        :param question: What ``chunk_bench_lerobot.py`` reads.
        :return: What it answers.
        :raises DiffusionPolicyError: if the process ended.
        """
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            pass  # the answer says so
        return self._answer()

    def close(self):
        """End the process."""
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self):
        """Return the next answer; what libraries print is passed over."""
        for line in self._process.stdout:
            if line.startswith('{"dpr": '):
                return json.loads(line)['dpr']
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines() or ['it said nothing']
        self.close()
        raise DiffusionPolicyError(f'--lerobot-python {str(self._python)!r} could not draw chunks '
                                   f'({lines[-1]}); '
                                   f'{REMEDY}')


class _Peer:
    """One library of that process; drawn from as from an ``OwnPolicy``."""

    def __init__(self, process, name):
        self._process, self._name = process, name

    def seconds(self, setting):
        """Time the candidates of a setting."""
        return self._ask(setting)['seconds']

    def executable(self, setting):
        """Return the rows that may be executed, float32 (candidates, rows, action_dim)."""
        return torch.tensor(self._ask(setting)['chunk'])

    def _ask(self, setting):
        """Have a chunk drawn."""
        return self._process.ask({'peer': self._name, 'evaluations': setting.evaluations,
                                  'candidates': setting.candidates})
