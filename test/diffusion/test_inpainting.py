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

"""Chunks that agree with promised ones, on Gaussian data whose answer is known exactly."""

import math

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.diffusion import (
    DiscreteVp, inference_levels, Inpainted, KarrasVe, promise_weights, sample_chunk, Sampler)
from hypothesis import given, strategies as st
import pytest
import torch

ROWS, FROZEN, END, CHUNKS = 16, 3, 10, 400
VP, VE = DiscreteVp(), KarrasVe()
EVERY_PROCESS = pytest.mark.parametrize('process', (VP, VE), ids=('vp', 've'))
EVERY_SOLVER = pytest.mark.parametrize('solver', SOLVERS)
FEW_STEPS = pytest.mark.parametrize('sampler', (Sampler('ddim', 8), Sampler('dpm_solver++', 16)),
                                    ids=lambda sampler: sampler.solver)


class SmoothData:
    """Chunks of one entry, N(0, C), whose rows are correlated over a length of 3 rows."""

    def __init__(self):
        place = torch.arange(ROWS, dtype=torch.float64)
        self.covariance = (-((place[:, None] - place) / 3) ** 2 / 2).exp()
        variances, self._axes = torch.linalg.eigh(self.covariance)
        self._variances = variances.clamp(min=0)[:, None]  # (16, 1)

    def draw(self, seed):
        """Return clean chunks, float64 (400, 16, 1)."""
        return self._axes @ (self._variances.sqrt() * noise_of(seed))

    def denoise(self, x, level):
        """Return ``E[x_0 | x_t]``."""
        noisy = level.alpha ** 2 * self._variances + level.sigma ** 2
        return self._axes @ (level.alpha * self._variances / noisy * (self._axes.T @ x))

    def expected(self, prefix):
        """Return the mean of the rows that follow known ones."""
        known = prefix.shape[1]
        gain = torch.linalg.solve(self.covariance[:known, :known], self.covariance[:known, known:])
        return gain.T @ prefix


@pytest.fixture(scope='module')
def data():
    """Return smooth Gaussian chunks."""
    return SmoothData()


def noise_of(seed, dtype=torch.float64):
    return torch.randn(CHUNKS, ROWS, 1, dtype=torch.float64,
                       generator=torch.Generator().manual_seed(seed)).to(dtype)


def weights_of(frozen, end):
    """Return weights that fit float64 chunks."""
    return promise_weights(frozen, end, ROWS).double()[:, None]


def sample(denoiser, sampler, process=VP, dtype=torch.float64):
    """Sample from the same noise every time."""
    return sample_chunk(denoiser, noise_of(1, dtype), process, sampler,
                        generator=torch.Generator().manual_seed(2))


def rms(x):
    return float(x.square().mean().sqrt())


def test_weights_are_those_of_the_paper():
    table = [1, 1, 1, .712, .488, .316, .189, .099, .041, .010, 0, 0, 0, 0, 0, 0]
    weights = promise_weights(FROZEN, END, ROWS)
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx(table, abs=5e-4)
    shares = [(END - row) / (END - FROZEN + 1) for row in range(FROZEN, END)]
    assert weights[FROZEN:END].tolist() == pytest.approx(
        [c * (math.exp(c) - 1) / (math.e - 1) for c in shares], abs=1e-7)


@pytest.mark.parametrize('frozen, end, wanted', [
    (5, 3, [1, 1, 1, 0, 0, 0]), (2, 2, [1, 1, 0, 0, 0, 0]), (0, 0, [0] * 6), (4, 0, [0] * 6),
    (6, 6, [1] * 6), (9, 9, [1] * 6)])
def test_nothing_soft_is_left_where_no_row_but_frozen_ones_is_promised(frozen, end, wanted):
    assert promise_weights(frozen, end, 6).tolist() == wanted


@given(frozen=st.integers(0, 20), end=st.integers(0, 20), rows=st.integers(1, 16))
def test_weights_are_1_for_frozen_rows_then_fall_to_0_where_the_promise_ends(frozen, end, rows):
    weights = promise_weights(frozen, end, rows).tolist()
    frozen, end = min(frozen, end, rows), min(end, rows)
    assert weights[:frozen] == [1] * frozen
    soft = weights[frozen:end]
    assert all(0 < weight < 1 for weight in soft) and soft == sorted(soft, reverse=True)
    assert len(set(soft)) == len(soft)
    assert weights[end:] == [0] * (rows - end)


@EVERY_SOLVER
@EVERY_PROCESS
@pytest.mark.parametrize('dtype', (torch.float32, torch.float64), ids=str)
def test_with_nothing_known_the_chunk_is_bit_for_bit_the_free_one(solver, process, dtype, bent):
    sampler = Sampler(solver, 6)
    known = torch.full((CHUNKS, ROWS, 1), 0.7, dtype=dtype)
    nothing = torch.zeros(ROWS, 1, dtype=dtype)
    held = sample(Inpainted(bent, known, nothing), sampler, process, dtype)
    assert torch.equal(held, sample(bent, sampler, process, dtype))


@EVERY_SOLVER
@EVERY_PROCESS
@pytest.mark.parametrize('dtype', (torch.float32, torch.float64), ids=str)
def test_with_all_known_the_chunk_is_the_known_one(solver, process, dtype, bent):
    known = noise_of(3, dtype)
    everything = torch.ones(ROWS, 1, dtype=dtype)
    held = sample(Inpainted(bent, known, everything), Sampler(solver, 6), process, dtype)
    torch.testing.assert_close(held, known, rtol=0, atol=4 * torch.finfo(dtype).eps)


@EVERY_SOLVER
def test_frozen_rows_come_out_as_promised_and_the_entries_that_are_not_known_stay_free(
        solver, bent):
    sampler, known = Sampler(solver, 6), torch.full((CHUNKS, ROWS, 1), 0.7, dtype=torch.float64)
    weights = weights_of(FROZEN, END).expand(CHUNKS, ROWS, 1).clone()
    weights[1::2] = 0.0
    held, free = sample(Inpainted(bent, known, weights), sampler), sample(bent, sampler)
    assert rms(held[::2, :FROZEN] - 0.7) < 1e-12
    assert torch.equal(held[1::2], free[1::2])


@EVERY_SOLVER
def test_a_promise_that_says_what_the_denoiser_says_anyway_changes_nothing(solver, data):
    known, sampler = data.draw(4), Sampler(solver, 6)
    held = sample(Inpainted(lambda x, level: known, known, weights_of(FROZEN, END)), sampler)
    assert torch.equal(held, known)


@pytest.mark.parametrize('solver', [name for name in SOLVERS if not Sampler(name).is_stochastic])
def test_the_chunk_of_the_same_noise_is_nearly_kept_as_a_promise(solver, data):
    # Not exactly: the first predictions of a chunk are not yet that chunk.
    sampler, weights = Sampler(solver, 10), weights_of(FROZEN, END)
    own = sample(data.denoise, sampler)
    kept = sample(Inpainted(data.denoise, own, weights), sampler)
    pulled = sample(Inpainted(data.denoise, data.draw(4), weights), sampler)
    assert rms(kept - own) < rms(pulled - own) / 10
    one_step = sampler.changed(num_inference_steps=1)
    own = sample(data.denoise, one_step)
    if solver != 'adaptive':
        assert torch.equal(sample(Inpainted(data.denoise, own, weights), one_step), own)


@pytest.mark.parametrize('steps', (1, 4, 30))
def test_hard_weights_are_replacement_with_fixed_noise(steps, data):
    known, sampler = data.draw(4), Sampler('ddim', steps)
    levels = inference_levels(VP, sampler)
    x, top = noise_of(1), levels[0]
    fixed = (x - top.alpha * known) / top.sigma
    for start, end in zip(levels, levels[1:]):
        x0_hat = data.denoise(x, start)
        eps_hat = (x - start.alpha * x0_hat) / start.sigma
        x = end.alpha * x0_hat + end.sigma * eps_hat
        x[:, :FROZEN] = (end.alpha * known + end.sigma * fixed)[:, :FROZEN]
    held = sample(Inpainted(data.denoise, known, weights_of(FROZEN, FROZEN)), sampler)
    torch.testing.assert_close(held, x, rtol=0, atol=1e-9)


@pytest.fixture(scope='module')
def joined(data):
    """Return a function from weights and sampler to promised rows followed by a new chunk."""
    promised = data.draw(4)

    def join(sampler, weights):
        chunk = sample(Inpainted(data.denoise, promised, weights), sampler)
        return torch.cat([promised[:, :FROZEN], chunk[:, FROZEN:]], dim=1)

    return join


@FEW_STEPS
def test_soft_weights_continue_a_promise_as_the_data_would_and_hard_ones_do_not(
        sampler, data, joined):
    misses = [rms(chunk[:, FROZEN] - data.expected(chunk[:, :FROZEN])[:, 0]) for chunk in (
        joined(sampler, weights_of(0, 0)), joined(sampler, weights_of(FROZEN, FROZEN)),
        joined(sampler, weights_of(FROZEN, END)))]
    free, hard, soft = misses
    # The data themselves miss by 0.08.
    assert free > 1 and 0.4 < hard < 0.9 and soft < 0.2


@FEW_STEPS
def test_soft_weights_bend_a_join_no_more_than_the_data_bend_and_hard_ones_do(
        sampler, data, joined):
    def bend(chunk, row=FROZEN - 1):
        """Return the second difference around the last frozen row."""
        return rms(chunk[:, row - 1] - 2 * chunk[:, row] + chunk[:, row + 1])

    natural = bend(data.draw(5))
    free, hard, soft = (bend(joined(sampler, weights)) for weights in (
        weights_of(0, 0), weights_of(FROZEN, FROZEN), weights_of(FROZEN, END)))
    assert soft < 1.3 * natural and hard > 3 * natural and free > 5 * natural
