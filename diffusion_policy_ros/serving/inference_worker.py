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

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
import math
from pathlib import Path
import time

from diffusion_policy_ros.control.budget import EvaluationBudget
from diffusion_policy_ros.errors import CheckpointError, SamplingError
from diffusion_policy_ros.machine import usable_cores
from diffusion_policy_ros.policy.action_chunk import Promise
from diffusion_policy_ros.serving.plan_request import FinishedPlan, PlanRequest
import numpy as np

WARM_UP_PLANS = 3


class InferenceWorker:
    """
    Owns a policy and the only thread that runs it.

    Thread-local state of torch (thread counts, compiled code, CUDA streams) stays in one place,
    and whoever asks for a plan never waits for it.

    :ivar digest: SHA-256 of the loaded weights.
    :ivar num_threads: CPU threads that compute it.
    """

    def __init__(self):
        """Start the thread."""
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix='inference')
        self.digest, self.num_threads = '', 0
        self._precision, self._backend = 'float32', 'auto'
        self._policy = self._encoder = None
        self._differentiable = None  # the policy as it is stored, which tells likelihoods
        self._running = None
        self._budget = EvaluationBudget()

    @property
    def facts(self) -> dict:
        """Return ``weights``, ``device``, ``precision`` and ``backend`` as in ``PlanRecord``."""
        return {'weights': self.digest, 'device': str(self._policy.device),
                'precision': self._precision, 'backend': self._backend}

    @property
    def busy(self) -> bool:
        """Tell whether a plan is being computed."""
        return self._running is not None and not self._running.done()

    def load(self, folder, device, num_threads, precision='float32', backend='auto'):
        """
        Load a checkpoint; wait until it is there.

        :param folder: Checkpoint folder.
        :param device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.
        :param num_threads: CPU threads of torch, or of the runtime that the backend is; 0 leaves
            one core to everything else.
        :param precision: As for ``served_policy``.
        :param backend: As for ``served_policy``.
        :return: ``(config, contract)`` of the policy; the contract may be None.
        :raises CheckpointError: if the folder cannot be used.
        :raises ConfigError: if the device does not exist, or as ``served_policy``.
        """
        return self._executor.submit(
            self._load, folder, device, num_threads, precision, backend).result()

    def warm_up(self, contract, settings):
        """
        Sample from empty windows until the first-call costs are paid; wait for it.

        :param contract: ``RobotContract`` whose windows will come.
        :param settings: ``PlanSettings``.
        :return: Time of the last plan, ms.
        :raises ConfigError: if the contract's windows or actions, or the sampler, do not fit the
            checkpoint.
        """
        return self._executor.submit(self._warm_up, contract, settings).result()

    def submit(self, request, on_done, on_idle=lambda: None):
        """
        Ask for a plan.

        :param request: ``PlanRequest``.
        :param on_done: Called in the worker's thread with the ``FinishedPlan``.
        :param on_idle: Called after that, without arguments, when the worker can be asked again.
        """
        self._running = self._executor.submit(self._plan, request, on_done)
        self._running.add_done_callback(lambda running: on_idle())

    def wait(self):
        """Wait until no plan is being computed."""
        if self._running is not None:
            wait([self._running])

    def close(self):
        """End the thread when its present work is done, and let go of the policy."""
        self._executor.shutdown(wait=True)
        self._policy = self._encoder = self._differentiable = None

    def check(self, settings):
        """
        Refuse settings that the loaded policy cannot use.

        :param settings: ``PlanSettings``.
        :raises ConfigError: naming the value and the remedy.
        """
        self._options(settings).check(self._policy)

    def _load(self, folder, device, num_threads, precision, backend):
        """Read the checkpoint and set torch up, in the worker's thread."""
        import torch
        from diffusion_policy_ros.policy import Policy
        from diffusion_policy_ros.policy.checkpoint import weights_digest
        from diffusion_policy_ros.policy.export.backend import served_policy
        from diffusion_policy_ros.policy.row_encoder import RowEncoder
        if not str(folder) or not Path(folder).is_dir():
            raise CheckpointError(f'model is {str(folder)!r}, which is no folder; set the '
                                  'parameter "model" to a checkpoint folder')
        self.num_threads = num_threads or max(1, usable_cores() - 1)
        torch.set_num_threads(self.num_threads)
        self._differentiable = Policy.load(folder, device=device)
        self.digest = weights_digest(folder)
        self._policy = served_policy(self._differentiable, folder, precision=precision,
                                     backend=backend)
        self._encoder = RowEncoder(self._policy)
        self._precision, self._backend = precision, backend
        return self._policy.config, self._policy.contract

    def _warm_up(self, contract, settings):
        """Run plans whose result nobody uses."""
        import torch
        from diffusion_policy_ros.policy.window_check import window_layout
        config = self._policy.config
        layout = window_layout(config, contract)
        self.check(settings)
        window = {key: torch.zeros(shape, dtype=dtype)
                  for key, (shape, dtype) in layout.items()}
        nothing = Promise(np.full((config.horizon, config.action_dim), np.nan),
                          config.n_obs_steps - 1)
        for _ in range(WARM_UP_PLANS):
            self._budget, start_s = EvaluationBudget(), time.monotonic()
            # An empty window may be unlike any that a robot sees; one that it sees, and that has
            # no plan either, is reported when it comes.
            with suppress(SamplingError):
                self._sample(PlanRequest(window, (), 0, 0, nothing, 0, settings, asked_s=start_s))
            plan_ms = (time.monotonic() - start_s) * 1e3
        return plan_ms

    def _options(self, settings):
        """Return the options of the planner for settings."""
        from diffusion_policy_ros.policy.planner import PlanOptions
        return PlanOptions(self._policy.sampler.changed(**settings.sampler_changes),
                           settings.join, settings.num_candidates, settings.warm_start_level)

    def _plan(self, request, on_done):
        """Sample, and hand over the plan or the error."""
        try:
            plan = self._sample(request)
        except BaseException as failure:  # whatever it is: nobody else hears of it
            plan = FinishedPlan(request, failure)
        on_done(plan)

    def _sample(self, request):
        """Make a plan within its budget, and learn what it cost."""
        import torch
        from diffusion_policy_ros.policy.planner import make_plans
        settings, start_s = request.settings, time.monotonic()
        options, is_late, deadline_s = self._options(settings), None, math.inf
        if settings.deadline_ms:
            budget_s = settings.deadline_ms / 1e3
            deadline_s = request.asked_s + budget_s
            options = options.within(self._budget.evaluations(budget_s), request.promise,
                                     self._policy.process)
            is_late = self._lateness(deadline_s)
        cond = self._encoder.encode(request.window, self._pictures(request))
        self._finish_on_device()
        encoded_s = time.monotonic()
        generator = torch.Generator().manual_seed(request.seed)
        plans = make_plans(self._policy, cond, [request.promise], [generator], options,
                           is_late=is_late)
        first = self._policy.config.n_obs_steps - 1
        candidates = plans.candidates[0, :, first:].double().cpu().numpy()
        sampled_s = time.monotonic()
        self._budget.add(encoded_s - start_s, sampled_s - encoded_s, plans.evaluations)
        log_likelihood = self._log_likelihood(cond, plans.chunks, settings, generator)
        return FinishedPlan(
            request, None, plans.chunks[0, first:].double().cpu().numpy(), candidates,
            float(plans.spread[0]), plans.evaluations, plans.is_complete, sampled_s > deadline_s,
            options.sampler.num_inference_steps, log_likelihood, encoded_s, time.monotonic())

    def _pictures(self, request):
        """Return the arrays that the pictures of each row of a window were made of."""
        keys = self._policy.config.image_keys
        return [[sample.value for stream, sample in row.items() if stream.key in keys]
                for row in request.samples]

    def _log_likelihood(self, cond, chunks, settings, generator):
        """Return how likely the policy finds its plan, None where nobody asked."""
        from diffusion_policy_ros.policy.latent_space import confidence
        if not settings.likelihood_steps:
            return None
        return float(confidence(self._differentiable, cond, chunks,
                                steps=settings.likelihood_steps, generator=generator)[0])

    def _lateness(self, deadline_s):
        """Return a function that tells whether one more evaluation would come too late."""
        def is_late():
            self._finish_on_device()
            return time.monotonic() + self._budget.each_s > deadline_s

        return is_late

    def _finish_on_device(self):
        """Wait for a GPU, whose work is only queued when a call returns."""
        import torch
        if self._policy.device.type == 'cuda':
            torch.cuda.synchronize(self._policy.device)
