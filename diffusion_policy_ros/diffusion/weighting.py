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

"""What an error of the network costs in the variational bound, noise level by noise level."""

from diffusion_policy_ros.diffusion.prediction import clean_from_prediction
import torch


def bound_weight(process, t, prediction_type):
    """
    Return the weight of the network's squared error in the variational bound.

    In a discrete process the bound's term at timestep t is the KL divergence of the model's
    ``p(x_{t-1} | x_t)`` from ``q(x_{t-1} | x_t, x_0)``, two Gaussians of one covariance. It is
    ``(SNR(t - 1) - SNR(t)) / 2 |x_0 - x0_hat|^2`` with ``SNR = alpha^2 / sigma^2``. In continuous
    time it becomes the rate ``-dSNR/dt / 2``, which is ``SNR g^2 / (2 sigma^2)`` (Kingma et al.
    2021, arXiv:2107.00630, sections 4 and 5; in terms of epsilon, Ho et al. 2020,
    arXiv:2006.11239, Eq. 12). The error of a prediction is a known multiple of the error in x_0,
    so that the weight of the one gives that of the other.

    Timestep 0 has no such term: below it lie the data, where SNR is infinite, and the bound's
    reconstruction term ``-log p(x_0 | x_t)`` is as large as the decoder is precise, of which
    actions say nothing. Its error in x_0 weighs as at timestep 1, which stands for a Gaussian
    decoder of variance ``1 / (SNR(0) - SNR(1))``, the finest step that the bound does take.

    :param process: Process.
    :param t: Times, number or tensor; whole ones in a discrete process.
    :param prediction_type: One of ``PREDICTION_TYPES``: whose error is weighed.
    :return: float64 tensor shaped like ``t``: nats per squared error, and per unit of time in a
        continuous process.
    :raises ConfigError: if the type is unknown.
    """
    alpha, sigma = process.marginal(t)
    # The clean chunk is linear in the prediction: without x_t, what is left is the slope.
    clean_error = clean_from_prediction(
        torch.ones_like(alpha), torch.zeros_like(alpha), alpha, sigma, prediction_type)
    return _clean_weight(process, t) * clean_error ** 2


def variational_weights(process, prediction_type):
    """
    Return the weights that turn the simple training loss into the variational bound.

    They are scaled to a mean of 1, which keeps the meaning of a learning rate. With ``epsilon``
    and ``squaredcos_cap_v2``, whose last beta is 0.999, the last of 100 levels takes 98 % of them
    all; ``v_prediction`` spreads them.

    :param process: DiscreteVp.
    :param prediction_type: One of ``PREDICTION_TYPES``.
    :return: float64 (num_train_timesteps,).
    :raises ConfigError: if the type is unknown.
    """
    weights = bound_weight(process, torch.arange(process.num_train_timesteps), prediction_type)
    return weights / weights.mean()


def _clean_weight(process, t):
    """Return the weight of the squared error in x_0."""
    if not process.is_discrete:
        _, sigma = process.marginal(t)
        return _snr(process, t) * (process.diffusion(t) / sigma) ** 2 / 2
    t = torch.as_tensor(t).clamp(min=1)
    return (_snr(process, t - 1) - _snr(process, t)) / 2


def _snr(process, t):
    """Return the signal-to-noise ratio of a time."""
    alpha, sigma = process.marginal(t)
    return (alpha / sigma) ** 2
