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

"""The adaptive solver is as exact as it is asked to be, says so, and gives up with a reason."""

from diffusion_policy_ros.diffusion import (
    ContinuousVp, DiscreteVp, GeometricVe, inference_levels, integrate, KarrasVe, sample_chunk,
    Sampler)
from diffusion_policy_ros.errors import SamplingError
import pytest
import torch

TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4)
EVERY_PROCESS = pytest.mark.parametrize(
    'process', (DiscreteVp(), ContinuousVp(), KarrasVe()), ids=lambda p: type(p).__name__)


def solve(data, process, tolerance, x=None):
    """Return a Solution between two noisy levels, its error and where it began."""
    levels = (process.level_at(-4.0), process.level_at(3.0))
    if x is None:
        x = torch.linspace(-2, 2, 40, dtype=torch.float64).view(8, 5, 1)
    start = (levels[0].alpha ** 2 + levels[0].sigma ** 2) ** 0.5 * x
    sampler = Sampler('adaptive', rtol=tolerance, atol=tolerance / 5, max_evaluations=2000)
    solution = integrate(data.denoise, start, levels, process, sampler)
    return solution, float((solution.x - data.flow(start, *levels)).abs().max())


@EVERY_PROCESS
@pytest.mark.parametrize('data', ('line_gaussian', 'line_mixture'))
def test_error_falls_with_the_tolerance_that_every_accepted_step_keeps(process, data, request):
    data = request.getfixturevalue(data)
    solutions, errors = zip(*(solve(data, process, tolerance) for tolerance in TOLERANCES))
    efforts = [solution.evaluations for solution in solutions]
    assert list(errors) == sorted(errors, reverse=True) and errors[-1] < errors[0] / 100
    assert efforts == sorted(efforts)
    # Chunks of a variance-exploding process begin at 100, where rtol allows for much.
    assert all(error < 10 * tolerance for error, tolerance in zip(errors, TOLERANCES))
    for solution in solutions:
        assert solution.error.shape == (8, 1, 1)
        assert ((solution.error > 0) & (solution.error <= 1)).all()


def test_a_clean_chunk_is_exact_too(line_gaussian):
    process = DiscreteVp()
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64).view(3, 3, 1)
    x = sample_chunk(line_gaussian.denoise, noise, process, Sampler('adaptive', rtol=1e-4))
    torch.testing.assert_close(x, 0.3 + 0.4 * noise, rtol=0, atol=0.01)


def test_steps_of_a_chunk_are_its_own(line_mixture):
    # Near 0 between the modes the field bends; far outside it hardly does.
    x = torch.tensor([-0.2, 0.0, 4.0], dtype=torch.float64).view(3, 1, 1)
    together = solve(line_mixture, DiscreteVp(), 1e-3, x)[0]
    alone = [solve(line_mixture, DiscreteVp(), 1e-3, part)[0] for part in x.split(1)]
    for field in ('x', 'error'):
        torch.testing.assert_close(
            torch.cat([getattr(solution, field) for solution in alone]),
            getattr(together, field), rtol=1e-9, atol=1e-12)
    assert together.evaluations == max(solution.evaluations for solution in alone)
    assert len({solution.evaluations for solution in alone}) > 1


def test_a_spent_budget_is_an_error_that_says_how_far_it_came(line_mixture):
    sampler = Sampler('adaptive', rtol=1e-4, max_evaluations=20)
    with pytest.raises(SamplingError, match=r'max_evaluations = 20 denoiser calls for rtol 0\.0001'
                                            r'.* it came to lambda -\d\.\d+ of'):
        sample_chunk(line_mixture.denoise, torch.randn(2, 3, 1), DiscreteVp(), sampler)


@pytest.mark.parametrize('tolerance', TOLERANCES)
def test_the_budget_is_never_exceeded(tolerance, line_mixture):
    process, noise = DiscreteVp(), torch.linspace(-2, 2, 9).view(3, 3, 1)
    sampler = Sampler('adaptive', rtol=tolerance, max_evaluations=2000)
    spent = integrate(line_mixture.denoise, noise, inference_levels(process, sampler), process,
                      sampler).evaluations
    exactly = sampler.changed(max_evaluations=spent)
    assert integrate(line_mixture.denoise, noise, inference_levels(process, exactly), process,
                     exactly).evaluations == spent
    with pytest.raises(SamplingError, match=f'max_evaluations = {spent - 1}'):
        sample_chunk(line_mixture.denoise, noise, process,
                     sampler.changed(max_evaluations=spent - 1))


def test_chunks_that_have_arrived_do_not_fail_the_others():
    """In so wide a process a step over the whole range overflows float32."""
    process = GeometricVe(1e-20, 1e20)
    noise = torch.randn(8, 4, 2, generator=torch.Generator().manual_seed(0))
    sampler = Sampler('adaptive', max_evaluations=5000)
    together = sample_chunk(lambda x, level: torch.tanh(x), noise, process, sampler)
    assert torch.isfinite(together).all()
