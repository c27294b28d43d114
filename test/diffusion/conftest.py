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

"""Data whose denoiser, flow and moments are known exactly: mixtures of Gaussians."""

import pytest
import torch

torch.set_num_threads(1)


class Mixture:
    """
    A mixture of Gaussians in D dimensions, of which every row of a chunk is a draw of its own.

    :ivar weights: float64 (K,), adding up to 1.
    :ivar means: float64 (K, D).
    :ivar covariances: float64 (K, D, D).
    """

    def __init__(self, weights, means, covariances):
        self.weights, self.means, self.covariances = (
            torch.tensor(values, dtype=torch.float64) for values in (weights, means, covariances))
        self._variances, self._axes = torch.linalg.eigh(self.covariances)

    @property
    def mean(self):
        """Return the mean of all data, float64 (D,)."""
        return self.weights @ self.means

    @property
    def covariance(self):
        """Return the covariance of all data, float64 (D, D)."""
        offsets = self.means - self.mean
        return torch.einsum('k,kij->ij', self.weights,
                            self.covariances + offsets[:, :, None] * offsets[:, None, :])

    def draw(self, count, horizon, generator):
        """Draw clean chunks, float64 (count, horizon, D)."""
        which = torch.multinomial(self.weights, count * horizon, replacement=True,
                                  generator=generator)
        noise = torch.randn(count * horizon, self.means.shape[1], dtype=torch.float64,
                            generator=generator) * self._variances[which].sqrt()
        x = self.means[which] + (self._axes[which] @ noise.unsqueeze(-1)).squeeze(-1)
        return x.view(count, horizon, -1)

    def denoise(self, x, level):
        """
        Return ``E[x_0 | x_t]``.

        :param x: (B, horizon, D), of any floating dtype.
        :param level: Level, whose fields are numbers or tensors (B, 1, 1).
        """
        alpha, sigma = level.alpha, level.sigma
        likelihoods, cleans = [], []
        for weight, mean, variances, axes in zip(
                *(values.to(x) for values in (self.weights, self.means, self._variances,
                                              self._axes))):
            noisy = alpha ** 2 * variances + sigma ** 2
            offset = (x - alpha * mean) @ axes
            likelihoods.append(weight.log() - (offset ** 2 / noisy + noisy.log()).sum(-1) / 2)
            cleans.append(mean + (alpha * variances / noisy * offset) @ axes.T)
        shares = torch.softmax(torch.stack(likelihoods), dim=0)
        return sum(share.unsqueeze(-1) * clean for share, clean in zip(shares, cleans))

    def flow(self, x, start, end):
        """
        Return where the probability-flow ODE takes a chunk, in float64.

        One Gaussian is stretched along its axes. In one dimension the flow keeps the order of
        points, so that it maps quantiles: ``F_end^-1(F_start(x))``, found by bisection.
        """
        if len(self.weights) == 1:
            before, after = (level.alpha ** 2 * self._variances[0] + level.sigma ** 2
                             for level in (start, end))
            scale = self._axes[0] * (after / before).sqrt() @ self._axes[0].T
            return end.alpha * self.means[0] + (x - start.alpha * self.means[0]) @ scale
        quantile = self.share_below(x, start)
        low, high = torch.full_like(x, -1e3), torch.full_like(x, 1e3)
        for _ in range(64):
            middle = (low + high) / 2
            below = self.share_below(middle, end) < quantile
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def share_below(self, x, level):
        """Return the distribution function of one-dimensional data at a level."""
        deviations = (level.alpha ** 2 * self._variances + level.sigma ** 2).sqrt()
        return (torch.special.ndtr((x - level.alpha * self.means[:, 0]) / deviations[:, 0])
                @ self.weights).unsqueeze(-1)


@pytest.fixture(scope='session')
def line_gaussian():
    """Return Gaussian data in one dimension."""
    return Mixture([1.0], [[0.3]], [[[0.4 ** 2]]])


@pytest.fixture(scope='session')
def line_mixture():
    """Return data with two modes, of 30 and of 70 percent, in one dimension."""
    return Mixture([0.3, 0.7], [[-0.6], [0.5]], [[[0.15 ** 2]], [[0.2 ** 2]]])


@pytest.fixture(scope='session')
def plane_gaussian():
    """Return correlated Gaussian data in two dimensions."""
    return Mixture([1.0], [[0.3, -0.2]], [[[0.20, 0.12], [0.12, 0.10]]])


@pytest.fixture(scope='session')
def plane_mixture():
    """Return data with two modes, of 30 and of 70 percent, in two dimensions."""
    return Mixture([0.3, 0.7], [[-0.6, 0.4], [0.5, -0.3]],
                   [[[0.02, 0.01], [0.01, 0.02]], [[0.03, -0.02], [-0.02, 0.03]]])


@pytest.fixture(scope='session')
def bent():
    """Return a denoiser that is smooth in chunk and level and stays within [-1, 1]."""
    return lambda x, level: torch.tanh(x + level.alpha * torch.cos(3 * x) / 2 - 0.3)
