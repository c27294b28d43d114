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
"""What a solver and its denoiser calls are worth: episodes solved, beside the time of a chunk."""

from dataclasses import dataclass, replace

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.diffusion.solvers import load_solver
from diffusion_policy_ros.evaluation.paired import compare
from diffusion_policy_ros.evaluation.solver_bench import sampler_name, samplers_to_measure


@dataclass(frozen=True)
class SuccessRow:
    """
    One sampler on all episodes.

    :ivar sampler: The Sampler.
    :ivar time_ms: Median time of one chunk, its encoding left out, ms.
    :ivar time_ratio: The same relative to DDIM with as many denoiser calls, measured in turn.
    :ivar evaluation: The ``Evaluation``.
    :ivar comparison: ``Comparison`` with the first row, episode by episode; None of that row.
    """

    sampler: Sampler
    time_ms: float
    time_ratio: float
    evaluation: object
    comparison: object = None

    @property
    def evaluations(self) -> int:
        """Return the denoiser calls of a chunk."""
        return self.sampler.evaluations

    @property
    def name(self) -> str:
        """Return the solver and, where there is a choice, its order."""
        return sampler_name(self.sampler)


def samplers_to_compare(policy, solvers, budgets) -> list:
    """
    List the samplers of a bench: first DDPM at every level of the training, then the others.

    Of solvers with several orders the first is left out: it is DDIM, or DDPM.

    :param policy: The policy; spacing, guidance and temperature are those of its own sampler.
    :param solvers: Names of ``choices.SOLVERS``, none of them adaptive.
    :param budgets: Denoiser calls that a chunk may cost.
    :return: List of different Samplers.
    """
    reference = replace(policy.sampler, solver='ddpm', order=None, eta=0.0, then=None,
                        num_inference_steps=policy.config.num_train_timesteps,
                        spacing='trailing', start_timestep=None)
    found = samplers_to_measure(policy, solvers, budgets, (policy.sampler.spacing,))
    return [reference, *(sampler for sampler in found if sampler != reference and
                         (sampler.order > 1 or len(load_solver(sampler.solver).orders) == 1))]


class SuccessBench:
    """Runs the same seeded episodes under one sampler after another."""

    def __init__(self, run, timer, first=None):
        """
        Prepare; nothing is measured yet.

        :param run: ``(sampler, progress)`` to an ``Evaluation`` of all episodes; ``progress`` is
            called with the number of newly finished ones.
        :param timer: ``ChunkTimer``.
        :param first: The first ``SuccessRow`` of a bench that was stopped.
        """
        self._run, self._timer, self._first = run, timer, first

    def measure(self, sampler, progress=lambda count: None) -> SuccessRow:
        """
        Run all episodes under one sampler; the first one is what the others are compared with.

        :param sampler: Sampler that the policy accepts.
        :param progress: Called with the number of newly finished episodes.
        """
        time_ms, ratio = self._timer.measure(sampler, sampler.evaluations)
        row = SuccessRow(sampler, time_ms, ratio, self._run(sampler, progress))
        if self._first is None:
            self._first = row
            return row
        return compared(row, self._first)


def compared(row, first) -> SuccessRow:
    """
    Return a row with its comparison.

    :param row: ``SuccessRow``.
    :param first: The row to compare it with, of the same episodes.
    """
    names = [f'{one.name}, {one.evaluations}' for one in (row, first)]
    return replace(row, comparison=compare(names, row.evaluation.episodes,
                                           first.evaluation.episodes))
