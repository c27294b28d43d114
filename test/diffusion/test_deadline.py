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

"""Sampling that is told to end: it hands over the newest clean prediction, and says so."""

from itertools import count

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.diffusion import (
    DiscreteVp, inference_levels, integrate, KarrasVe, refine, Sampler, solve)
from diffusion_policy_ros.errors import SamplingError
import pytest
import torch

VP, VE = DiscreteVp(), KarrasVe()
NOISE = torch.randn(3, 8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SAMPLERS = [*(Sampler(name, 5) for name in SOLVERS), Sampler('ddim', 5, eta=0.5),
            Sampler('heun', 5, then='ddpm', switch_lambda=-1.0)]
EVERY_SAMPLER = pytest.mark.parametrize('sampler', SAMPLERS,
                                        ids=lambda s: f'{s.solver}-{s.eta:g}-{s.then}')
EVERY_PROCESS = pytest.mark.parametrize('process', (VP, VE), ids=('vp', 've'))


class Deadline:
    """Is late from the time on when so many evaluations were granted."""

    def __init__(self, granted):
        self.granted, self.asked = granted, 0

    def __call__(self):
        self.asked += 1
        return self.asked >= self.granted


class Remembering:
    """A denoiser that remembers what it predicted."""

    def __init__(self, denoiser):
        self._denoiser, self.predicted = denoiser, []

    def __call__(self, x, level):
        self.predicted.append(self._denoiser(x, level))
        return self.predicted[-1]


def run(denoiser, sampler, process=VP, is_late=None):
    """Sample from the same noise every time."""
    return solve(denoiser, NOISE, process, sampler, is_late=is_late,
                 generator=torch.Generator().manual_seed(1))


@EVERY_SAMPLER
@EVERY_PROCESS
def test_a_late_result_is_the_last_clean_chunk_that_was_predicted(sampler, process, bent):
    whole = Remembering(bent)
    total = run(whole, sampler, process).evaluations
    for granted in (1, 2, 3, total // 2, total - 1):
        denoiser, deadline = Remembering(bent), Deadline(granted)
        solution = run(denoiser, sampler, process, deadline)
        assert not solution.is_complete
        assert solution.evaluations == len(denoiser.predicted) == deadline.asked == granted
        assert torch.equal(solution.x, denoiser.predicted[-1])
        # Up to there nothing differs from the run that had time.
        assert torch.equal(solution.x, whole.predicted[granted - 1])


@EVERY_SAMPLER
@EVERY_PROCESS
def test_never_being_late_changes_nothing(sampler, process, bent):
    free, deadline = run(bent, sampler, process), Deadline(float('inf'))
    watched = run(bent, sampler, process, deadline)
    assert torch.equal(watched.x, free.x)
    assert watched.is_complete and free.is_complete
    assert watched.evaluations == free.evaluations == deadline.asked + 1
    assert (watched.error is None) == (free.error is None)


@EVERY_SAMPLER
def test_the_first_evaluation_happens_however_late_it_is(sampler, bent):
    solution = run(bent, sampler, is_late=lambda: True)
    levels = inference_levels(VP, sampler)
    assert solution.evaluations == 1 and not solution.is_complete
    assert torch.equal(solution.x, bent(NOISE, levels[0]))


def test_what_needs_no_more_evaluation_is_never_late(bent):
    solution = run(bent, Sampler('ddim', 1), is_late=lambda: True)
    assert solution.is_complete and solution.evaluations == 1


def test_refining_ends_early_too_and_tells_what_it_cost(bent):
    sampler, chunk = Sampler('ddim', 4, start_timestep=30), torch.full_like(NOISE, 0.2)
    denoiser = Remembering(bent)
    whole = refine(denoiser, chunk, NOISE, VP, sampler)
    assert (whole.evaluations, whole.is_complete) == (4, True)
    early = refine(bent, chunk, NOISE, VP, sampler, is_late=Deadline(2))
    assert (early.evaluations, early.is_complete) == (2, False)
    assert torch.equal(early.x, denoiser.predicted[1])


@EVERY_SAMPLER
def test_a_late_result_that_is_not_finite_is_refused(sampler, bent):
    number = count(1)

    def denoiser(x, level):
        return bent(x, level) * (float('nan') if next(number) == 2 else 1.0)

    # The adaptive solver notices by itself, and before.
    with pytest.raises(SamplingError, match='not finite'):
        integrate(denoiser, NOISE, inference_levels(VP, sampler), VP, sampler,
                  is_late=Deadline(2))


@pytest.mark.parametrize('solver', ('ddim', 'dpm_solver++', 'dpm_solver++_singlestep',
                                    'dpm_solver', 'unipc', 'euler', 'heun', 'rk4'))
def test_the_more_evaluations_are_granted_the_nearer_the_result_is(solver, plane_gaussian):
    denoise, sampler = plane_gaussian.denoise, Sampler(solver, 12, spacing='lambda')
    first, last = inference_levels(VP, sampler)[0], VP.level(0)
    exact = denoise(plane_gaussian.flow(NOISE, first, last), last)
    total = run(denoise, sampler).evaluations
    errors = [float((run(denoise, sampler, is_late=Deadline(granted)).x - exact).abs().mean())
              for granted in range(1, total + 1)]
    # At the end heun is off by its own steps and not by what is missing.
    assert all(later < 1.005 * earlier for earlier, later in zip(errors, errors[1:])
               if later > errors[0] / 10), errors
    assert errors[total // 2] < errors[0] * 0.8 and errors[-1] < errors[0] / 5


def test_a_chunk_that_the_adaptive_solver_has_finished_stays_finished_when_others_are_late():
    def denoise(x, level):  # data N(0.3, 0.4^2)
        gain = level.alpha * 0.16 / (level.alpha ** 2 * 0.16 + level.sigma ** 2)
        return 0.3 + gain * (x - level.alpha * 0.3)

    noise = torch.randn(6, 8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise[0] *= 5
    sampler, process = Sampler('adaptive'), DiscreteVp()
    whole = solve(denoise, noise, process, sampler)
    for granted in range(whole.evaluations - 4, whole.evaluations):
        answers = iter([False] * (granted - 1) + [True])
        late = solve(denoise, noise, process, sampler, is_late=lambda: next(answers))
        assert float((late.x - whole.x).abs().max()) < 0.1
