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
"""The one thread in which a policy is loaded, warmed up and asked for plans."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
import gc
from pathlib import Path
import time
import warnings

from diffusion_policy_ros.errors import CheckpointError, SamplingError
from diffusion_policy_ros.machine import usable_cores

WARM_UP_PLANS = 3


@dataclass(frozen=True)
class PlanRequest:
    """
    What a plan shall start from.

    :ivar window: Dataset key to array ``(n_obs_steps, ...)``.
    :ivar tick_ns: Tick of the newest row, ns.
    :ivar epoch: Epoch of the ``RecedingHorizon`` that asks.
    :ivar age_ns: Age of the oldest of the newest samples at the tick, ns.
    :ivar sampler_changes: Options of ``diffusion.Sampler`` that differ from the checkpoint's.
    """

    window: dict
    tick_ns: int
    epoch: int
    age_ns: int
    sampler_changes: dict = field(default_factory=dict)


class InferenceWorker:
    """
    Owns a policy and the only thread that runs it.

    Thread-local state of torch (thread counts, compiled code, CUDA streams) stays in one place,
    and whoever asks for a plan never waits for it.
    """

    def __init__(self):
        """Start the thread."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix='inference')
        self._policy = None
        self._generator = None
        self._running = None

    @property
    def device(self) -> str:
        """Return the device that the loaded policy is on."""
        return str(self._policy.device)

    @property
    def busy(self) -> bool:
        """Tell whether a plan is being computed."""
        return self._running is not None and not self._running.done()

    def load(self, folder, device, num_threads):
        """
        Load a checkpoint; wait until it is there.

        :param folder: Checkpoint folder.
        :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.
        :param num_threads: CPU threads of torch; 0 leaves one core to everything else.
        :return: ``(config, contract)`` of the policy; the contract may be None.
        :raises CheckpointError: if the folder cannot be used.
        :raises ConfigError: if the device does not exist.
        """
        return self._executor.submit(self._load, folder, device, num_threads).result()

    def warm_up(self, contract, sampler_changes):
        """
        Sample from empty windows until the first-call costs are paid; wait for it.

        :param contract: ``RobotContract`` whose windows will come.
        :param sampler_changes: As in ``PlanRequest``.
        :return: Time of the last plan, ms.
        :raises ConfigError: if the contract's windows or actions, or the sampler, do not fit the
            checkpoint.
        """
        return self._executor.submit(self._warm_up, contract, sampler_changes).result()

    def seed(self, seed):
        """
        Restart the source of noise before the next plan.

        :param seed: From 0 on the same every time; below 0 another one every time.
        """
        self._executor.submit(self._seed, seed)

    def submit(self, request, on_done):
        """
        Ask for a plan.

        :param request: ``PlanRequest``.
        :param on_done: Called in the worker's thread with ``(request, rows, started_s,
            finished_s, error)``: rows float64 ``(rows, action_dim)`` from the newest observation
            on and None, or None and the exception; times of ``time.monotonic``.
        """
        self._running = self._executor.submit(self._plan, request, on_done)

    def close(self):
        """End the thread when its present work is done, and let go of the policy."""
        self._executor.shutdown(wait=True)
        self._policy = self._generator = None
        gc.unfreeze()
        gc.collect()

    def check(self, sampler_changes):
        """
        Refuse a sampler that the loaded policy cannot use.

        :param sampler_changes: As in ``PlanRequest``.
        :raises ConfigError: naming the value and the remedy.
        """
        self._policy.check_sampler(self._policy.sampler.changed(**sampler_changes))

    def _load(self, folder, device, num_threads):
        """Read the checkpoint and set torch up, in the worker's thread."""
        import torch
        from diffusion_policy_ros.policy import Policy
        if not str(folder) or not Path(folder).is_dir():
            raise CheckpointError(f'model is {str(folder)!r}, which is no folder; set the '
                                  'parameter "model" to a checkpoint folder')
        torch.set_num_threads(num_threads or max(1, usable_cores() - 1))
        self._policy = Policy.load(folder, device=device)
        if self._policy.device.type == 'cpu':
            _trace_denoiser(self._policy)
        self._generator = torch.Generator()
        return self._policy.config, self._policy.contract

    def _warm_up(self, contract, sampler_changes):
        """Run plans whose result nobody uses."""
        import torch
        from diffusion_policy_ros.policy.window_check import window_layout
        layout = window_layout(self._policy.config, contract)
        window = {key: torch.zeros(shape, dtype=dtype) for key, (shape, dtype) in layout.items()}
        for _ in range(WARM_UP_PLANS):
            start_s = time.monotonic()
            # An empty window may be unlike any that a robot sees; one that it sees, and that has
            # no plan either, is reported when it comes.
            with suppress(SamplingError):
                self._rows(PlanRequest(window, 0, 0, 0, sampler_changes))
        # What lives now lives long: the collector need not walk through all of torch again
        # while it holds up the thread that publishes commands.
        gc.collect()
        gc.freeze()
        return (time.monotonic() - start_s) * 1e3

    def _seed(self, seed):
        """Seed the generator, in the worker's thread."""
        if seed < 0:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def _plan(self, request, on_done):
        """Sample, and hand over the rows or the error."""
        start_s = time.monotonic()
        try:
            rows, error = self._rows(request), None
        except Exception as failure:
            rows, error = None, failure
        on_done(request, rows, start_s, time.monotonic(), error)

    def _rows(self, request):
        """Return the rows of a plan from the newest observation on."""
        window = {key: value[None] for key, value in request.window.items()}
        chunk = self._policy.sample(
            window, sampler=self._policy.sampler.changed(**request.sampler_changes),
            generator=self._generator)  # (1, horizon, action_dim)
        first = self._policy.config.n_obs_steps - 1
        return chunk[0, first:].double().cpu().numpy()  # (rows, action_dim)


def _trace_denoiser(policy):
    """
    Record the U-Net's operations once, so that Python takes no part in a denoiser call.

    The result stays the same bit for bit. Measured on two cores with 16 calls of a 4.5 M U-Net, a
    plan takes 60 % of the time, and the thread that publishes commands, which needs the
    interpreter too, wakes up more punctually.
    """
    import torch
    config = policy.config
    example = (torch.zeros(1, config.horizon, config.action_dim),
               torch.zeros(1), torch.zeros(1, config.global_cond_dim))
    with torch.inference_mode(), warnings.catch_warnings():
        # Newer versions of torch announce successors, which need a compiler on the robot; and
        # the trace is only valid for one window at a time, which is all that is asked for here.
        warnings.simplefilter('ignore')
        policy.diffusion.unet = torch.jit.trace(
            policy.diffusion.unet, example, check_trace=False)
