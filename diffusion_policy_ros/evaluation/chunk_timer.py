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
"""How long one chunk takes, beside one of DDIM with as many denoiser calls."""

from dataclasses import replace
import time

from diffusion_policy_ros.diffusion import has_levels, solve
import numpy as np
import torch

# A chunk is timed in turn with DDIM's, this many times, the more the shorter it is.
TIMED_PAIRS, TIMED_CALLS = (3, 7), 50


class ChunkTimer:
    """Times samplers on one observation; its encoding is left out."""

    def __init__(self, policy, global_cond, noise, generator):
        """
        Hold on to what chunks are made from.

        :param policy: The policy.
        :param global_cond: From ``policy.encode``, float32 (1, global_cond_dim).
        :param noise: Start noise, float32 (1, horizon, action_dim).
        :param generator: torch.Generator for stochastic samplers.
        """
        self._policy, self._cond, self._noise = policy, global_cond, noise
        self._generator = generator

    @torch.inference_mode()
    def measure(self, sampler, calls) -> tuple:
        """
        Time one sampler.

        :param sampler: Sampler that the policy accepts.
        :param calls: Denoiser calls that it makes.
        :return: Median time of a chunk, ms, and the median of its ratio to DDIM's, made in turn.
        """
        ddim = replace(sampler, solver='ddim', order=None, num_inference_steps=calls)
        if not has_levels(self._policy.process, ddim):
            ddim = replace(ddim, spacing='lambda')
        self._seconds(replace(ddim, num_inference_steps=2))  # only warms up
        pairs = [(self._seconds(sampler), self._seconds(ddim))
                 for _ in range(int(np.clip(TIMED_CALLS // calls, *TIMED_PAIRS)))]
        return (float(np.median([own for own, _ in pairs]) * 1e3),
                float(np.median([own / other for own, other in pairs])))

    def _seconds(self, sampler):
        """Time one chunk."""
        self._wait()
        start = time.perf_counter()
        solve(self._policy.denoiser(self._cond, sampler), self._noise, self._policy.process,
              sampler, generator=self._generator)
        self._wait()
        return time.perf_counter() - start

    def _wait(self):
        """Let a GPU finish."""
        if self._cond.is_cuda:
            torch.cuda.synchronize(self._cond.device)
