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

"""What every solver keeps to, one test per promise over every registered solver."""

import ast
from dataclasses import replace
from itertools import count
from pathlib import Path

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.diffusion import (
    DiscreteVp, inference_levels, integrate, KarrasVe, sample_chunk, Sampler, sampling, solvers)
from diffusion_policy_ros.diffusion.solvers import load_solver
from diffusion_policy_ros.errors import ConfigError, SamplingError
import pytest
import torch

SAMPLERS = [Sampler(name, 6, order=order) for name in SOLVERS
            for order in load_solver(name).orders] + [
    Sampler('ddim', 6, eta=0.5), Sampler('predictor_corrector', 6, corrector_steps=3),
    Sampler('dpm_solver++', 6, spacing='lambda', then='euler_maruyama', switch_lambda=-1.0)]
PROCESSES = [DiscreteVp(), KarrasVe()]
DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.gpu)]


def name_of(sampler):
    return f'{sampler.solver}-{sampler.order}-{sampler.eta:g}-{sampler.then}'


EVERY_SAMPLER = pytest.mark.parametrize('sampler', SAMPLERS, ids=name_of)
EVERY_PROCESS = pytest.mark.parametrize('process', PROCESSES, ids=lambda p: type(p).__name__)


def make_noise(dtype=torch.float64, seed=0):
    return torch.randn(3, 8, 2, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sample(denoiser, noise, process, sampler, seed=5):
    return sample_chunk(denoiser, noise, process, sampler,
                        generator=torch.Generator().manual_seed(seed))


class Draws:
    """Noise on the way that is known beforehand, for some chunks of a batch."""

    def __init__(self, rows):
        self._rows, self._generator, self.count = rows, torch.Generator().manual_seed(9), 0

    def __call__(self, shape, *, dtype, **_):
        self.count += 1
        noise = torch.randn(3, *shape[1:], generator=self._generator, dtype=dtype)
        return noise[self._rows]


@EVERY_SAMPLER
@EVERY_PROCESS
@pytest.mark.parametrize('dtype', (torch.float32, torch.float64), ids=str)
@pytest.mark.parametrize('device', DEVICES)
def test_chunk_has_shape_dtype_and_device_of_the_noise(sampler, process, dtype, device, bent):
    noise = make_noise(dtype).to(device)
    chunk = sample(bent, noise, process, sampler)
    assert (chunk.shape, chunk.dtype, chunk.device) == (noise.shape, noise.dtype, noise.device)
    assert torch.isfinite(chunk).all()


@EVERY_SAMPLER
@EVERY_PROCESS
def test_a_seed_means_one_chunk(sampler, process, bent):
    chunk = sample(bent, make_noise(), process, sampler)
    assert torch.equal(chunk, sample(bent, make_noise(), process, sampler))
    assert not torch.equal(chunk, sample(bent, make_noise(seed=1), process, sampler))
    other = sample(bent, make_noise(), process, sampler, seed=6)
    assert torch.equal(chunk, other) != sampler.is_stochastic


@EVERY_SAMPLER
@EVERY_PROCESS
def test_fresh_noise_is_drawn_exactly_where_the_sampler_says_so(
        sampler, process, bent, monkeypatch):
    draws = Draws(slice(None))
    monkeypatch.setattr(sampling, 'draw_noise', draws)
    sample_chunk(bent, make_noise(), process, sampler)
    assert (draws.count > 0) == sampler.is_stochastic


@EVERY_SAMPLER
@EVERY_PROCESS
def test_a_chunk_does_not_depend_on_its_neighbours(sampler, process, bent, monkeypatch):
    noise = make_noise() * torch.tensor([0.1, 1.0, 3.0]).view(3, 1, 1)
    monkeypatch.setattr(sampling, 'draw_noise', Draws(slice(None)))
    together = sample_chunk(bent, noise, process, sampler)
    for row in range(3):
        rows = slice(row, row + 1)
        monkeypatch.setattr(sampling, 'draw_noise', Draws(rows))
        alone = sample_chunk(bent, noise[rows], process, sampler)
        torch.testing.assert_close(alone, together[rows], rtol=1e-12, atol=1e-12)


@EVERY_SAMPLER
@EVERY_PROCESS
def test_nothing_that_is_handed_over_is_changed(sampler, process, bent):
    handed = []

    def denoiser(x, level):
        x0_hat = bent(x, level)
        handed.extend((tensor, tensor.clone()) for tensor in (x, x0_hat))
        return x0_hat

    noise = make_noise()
    levels = inference_levels(process, sampler)
    integrate(denoiser, noise, levels, process, sampler)
    assert torch.equal(noise, make_noise())
    assert all(torch.equal(now, then) for now, then in handed)


@EVERY_SAMPLER
def test_one_step_gives_the_prediction_at_the_first_level(sampler, bent):
    process = KarrasVe()
    sampler = replace(sampler, num_inference_steps=1, then=None, switch_lambda=0.0)
    chunk = sample(bent, make_noise(), process, sampler)
    if load_solver(sampler.solver).is_adaptive:
        assert torch.isfinite(chunk).all()
        return
    first = inference_levels(process, sampler)[0]
    assert torch.equal(chunk, bent(process.prior_std(first) * make_noise(), first))


@EVERY_SAMPLER
@pytest.mark.parametrize('poison', (float('nan'), float('inf')))
def test_noise_that_is_not_finite_is_refused(sampler, poison, bent):
    noise = make_noise()
    noise[1, 2, 0] = poison
    with pytest.raises(SamplingError, match='the start of sampling is not finite'):
        sample(bent, noise, DiscreteVp(), sampler)


@EVERY_SAMPLER
@EVERY_PROCESS
@pytest.mark.parametrize('poisoned', ('first', 'last'))
def test_nan_from_the_denoiser_is_an_error(sampler, process, poisoned, bent):
    levels, calls = inference_levels(process, sampler), []
    start = process.prior_std(levels[0]) * make_noise()

    def counted(x, level):
        calls.append(level)
        return bent(x, level)

    integrate(counted, start, levels, process, sampler)
    total, number = len(calls), count(0)
    chosen = {'first': 0, 'last': total - 1}[poisoned]

    def denoiser(x, level):
        x0_hat = bent(x, level)
        if next(number) == chosen:
            x0_hat[1, 2, 0] = float('nan')
        return x0_hat

    # Fresh noise differs between the runs, but not how often a solver calls.
    with pytest.raises(SamplingError, match='not finite'):
        integrate(denoiser, start, levels, process, sampler)


@EVERY_SAMPLER
@EVERY_PROCESS
@pytest.mark.parametrize('steps', (3, 7))
def test_evaluations_are_those_that_the_sampler_tells(sampler, process, steps, bent):
    sampler, calls = sampler.changed(num_inference_steps=steps), []

    def denoiser(x, level):
        calls.append(level)
        return bent(x, level)

    levels = inference_levels(process, sampler)
    solution = integrate(denoiser, make_noise(), levels, process, sampler)
    assert solution.evaluations == len(calls)
    if load_solver(sampler.solver).is_adaptive or sampler.then:
        assert solution.evaluations <= sampler.evaluations
    else:
        assert solution.evaluations == sampler.evaluations


def test_an_unknown_solver_is_refused_with_the_names_of_all():
    with pytest.raises(ConfigError, match="solver is 'unknown'") as caught:
        load_solver('unknown')
    assert all(name in str(caught.value) for name in SOLVERS)


@pytest.mark.parametrize('path', sorted(Path(solvers.__file__).parent.glob('*.py')),
                         ids=lambda path: path.name)
def test_a_solver_file_has_at_most_200_lines(path):
    assert len(path.read_text('utf-8').splitlines()) <= 200


def test_no_function_of_the_loop_has_over_40_lines():
    tree = ast.parse(Path(sampling.__file__).read_text('utf-8'))
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in ast.walk(tree)
               if isinstance(node, ast.FunctionDef)}
    assert 'integrate' in lengths
    assert all(length <= 40 for length in lengths.values()), lengths
