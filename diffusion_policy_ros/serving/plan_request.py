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
"""What the loop asks of the inference thread, and what comes back."""

from dataclasses import dataclass, field

from diffusion_policy_ros.control.telemetry import Latency
from diffusion_policy_ros.policy.action_chunk import Promise
import numpy as np


@dataclass(frozen=True, eq=False)
class PlanRequest:
    """
    What a plan shall start from.

    :ivar window: Dataset key to array ``(n_obs_steps, ...)``.
    :ivar samples: What the rows of the window are made of, as ``WindowBuilder.look`` tells.
    :ivar tick_ns: Tick of the newest row, ns.
    :ivar epoch: Epoch of the ``RecedingHorizon`` that asks.
    :ivar promise: ``Promise`` that the plan shall agree with.
    :ivar seed: Seed of the plan's noise, from 0.
    :ivar settings: ``PlanSettings``: how to make it.
    :ivar looked_ns: ROS time at which the window was looked at, ns.
    :ivar asked_s: When the plan was asked for, s of ``time.monotonic``.
    :ivar decode_s: Time that decoding and aligning took, s.
    """

    window: dict
    samples: tuple
    tick_ns: int
    epoch: int
    promise: Promise
    seed: int
    settings: 'PlanSettings'
    looked_ns: int = 0
    asked_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True)
class PlanSettings:
    """
    How a plan is made; the names are those of the parameters.

    :ivar sampler_changes: Options of ``diffusion.Sampler`` that differ from the checkpoint's.
    :ivar join: One of ``choices.JOINS``.
    :ivar num_candidates: Chunks to sample, of which one is followed.
    :ivar warm_start_level: See ``policy.planner.PlanOptions``.
    :ivar deadline_ms: Time for the whole plan, ms; 0 for as long as it takes.
    :ivar likelihood_steps: Steps that tell how likely the plan is, after it is made; 0 for none.
    """

    sampler_changes: dict = field(default_factory=dict)
    join: str = 'none'
    num_candidates: int = 1
    warm_start_level: float = 0.6
    deadline_ms: float = 0.0
    likelihood_steps: int = 0


@dataclass(frozen=True, eq=False)
class FinishedPlan:
    """
    A plan, or why there is none.

    :ivar request: The ``PlanRequest``.
    :ivar error: The exception that came instead of a plan, or None.
    :ivar rows: Float64 ``(rows, action_dim)`` in robot units, from the newest observation on.
    :ivar candidates: All that were sampled, float64 ``(K, rows, action_dim)``.
    :ivar spread: How far they are apart, see ``policy.planner.Plans``.
    :ivar evaluations: Denoiser calls.
    :ivar is_complete: Whether there was time for all of them.
    :ivar is_late: Whether it was sampled after its deadline.
    :ivar num_inference_steps: Steps that were to be taken, as many as the deadline allowed.
    :ivar log_likelihood: How likely the policy finds the plan, nats per entry, see
        ``policy.latent_space.confidence``; None where nobody asked.
    :ivar encoded_s: When the observations were encoded, s of ``time.monotonic``.
    :ivar finished_s: When the plan was finished, its likelihood included.
    """

    request: PlanRequest
    error: Exception = None
    rows: np.ndarray = None
    candidates: np.ndarray = None
    spread: float = 0.0
    evaluations: int = 0
    is_complete: bool = True
    is_late: bool = False
    num_inference_steps: int = 0
    log_likelihood: float = None
    encoded_s: float = 0.0
    finished_s: float = 0.0

    def latency(self, sent_s) -> Latency:
        """
        Return where the time went.

        :param sent_s: When the first command of the plan was sent, s of ``time.monotonic``.
        """
        request = self.request
        oldest = min(request.samples[-1].values(), key=lambda sample: sample.stamp_ns)
        decode_ms = request.decode_s * 1e3
        return Latency(
            capture_ms=(oldest.receive_ns - oldest.stamp_ns) / 1e6,
            receive_ms=(request.looked_ns - oldest.receive_ns) / 1e6 - decode_ms,
            decode_ms=decode_ms,
            encode_ms=(self.encoded_s - request.asked_s) * 1e3,
            sample_ms=(self.finished_s - self.encoded_s) * 1e3,
            publish_ms=(sent_s - self.finished_s) * 1e3)
