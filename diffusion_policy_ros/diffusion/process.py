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

"""What every noise process can do, whatever its schedule."""

from diffusion_policy_ros.diffusion.level import Level
import torch


class Process:
    """
    A Gaussian process ``x_t = alpha(t) * x_0 + sigma(t) * eps`` from data to noise.

    As an SDE it is ``dx = f(t) x dt + g(t) dw`` (Song et al. 2021, arXiv:2011.13456, Eq. 5) with
    ``f = d log(alpha) / dt`` and ``g^2 = d sigma^2 / dt - 2 f sigma^2`` (Kingma et al. 2021,
    arXiv:2107.00630). Coefficients are float64.

    :ivar t_min: The least noisy time at which a denoiser is called.
    :ivar t_max: The noisiest time.
    :ivar t_clean: Time at which evenly spaced steps end; at most ``t_min``.
    :ivar is_discrete: Whether a denoiser is trained at whole times only.
    """

    t_min: float
    t_max: float
    t_clean: float
    is_discrete = False

    def marginal(self, t):
        """
        Return alpha and sigma of ``q(x_t | x_0) = N(alpha x_0, sigma^2 I)``.

        :param t: Time, number or tensor, in [t_min, t_max].
        :return: Two float64 tensors shaped like ``t``.
        """
        raise NotImplementedError

    def drift(self, t):
        """
        Return ``f(t)``: the drift of the forward SDE is ``f(t) x``.

        :param t: Time, number or tensor.
        :return: float64 tensor shaped like ``t``.
        """
        raise NotImplementedError

    def diffusion(self, t):
        """
        Return ``g(t)``, the diffusion coefficient of the forward SDE.

        :param t: Time, number or tensor.
        :return: float64 tensor shaped like ``t``.
        """
        raise NotImplementedError

    def time_at(self, lambda_t):
        """
        Return the time at which ``log(alpha / sigma)`` is ``lambda_t``.

        :param lambda_t: Number or tensor, within the process.
        :return: float64 tensor shaped like ``lambda_t``.
        """
        raise NotImplementedError

    def prior_std(self, level) -> float:
        """
        Return the deviation of the noise that sampling starts from.

        :param level: The Level to start at.
        """
        raise NotImplementedError

    def level(self, t) -> Level:
        """
        Return the noise level of a time.

        :param t: Time, number.
        """
        alpha, sigma = self.marginal(t)
        return Level(t, float(alpha), float(sigma))

    def level_at(self, lambda_t) -> Level:
        """
        Return the level of a ``log(alpha / sigma)``.

        :param lambda_t: Number within the process, or tensor (B, 1, 1), whose dtype the fields
            of the result then take.
        """
        t = self.time_at(lambda_t)
        if not isinstance(lambda_t, torch.Tensor):
            return self.level(float(t))
        return Level(*(value.to(lambda_t) for value in (t, *self.marginal(t))))

    def coefficients(self, t, like):
        """
        Return alpha and sigma of every sample of a batch.

        :param t: (B,), times.
        :param like: Tensor (B, ...) whose dtype and device the result takes.
        :return: Two tensors (B, 1, ..., 1) that broadcast over ``like``.
        """
        shape = (-1,) + (1,) * (like.dim() - 1)
        return tuple(value.to(like.device, like.dtype).view(shape) for value in self.marginal(t))

    def add_noise(self, x0, noise, t):
        """
        Draw from ``q(x_t | x_0)``: ``alpha_t * x0 + sigma_t * noise``.

        :param x0: Clean chunk, float (B, horizon, action_dim), normalized units.
        :param noise: Standard normal, shaped like ``x0``.
        :param t: (B,), times.
        :return: Noisy chunk, shaped like ``x0``.
        """
        alpha, sigma = self.coefficients(t, x0)
        return alpha * x0 + sigma * noise

    def forward_step(self, x_s, noise, s, t):
        """
        Draw from ``q(x_t | x_s)``, one step of the forward chain.

        ``N(a x_s, (sigma_t^2 - a^2 sigma_s^2) I)`` with ``a = alpha_t / alpha_s``; between
        neighbouring times of a discrete process ``a^2 = 1 - beta_t`` (Ho et al. 2020,
        arXiv:2006.11239, Eq. 2).

        :param x_s: Chunk at time s, float (B, ...).
        :param noise: Standard normal, shaped like ``x_s``.
        :param s: (B,), times; ``t_clean`` is clean data in a discrete process.
        :param t: (B,), times, noisier than ``s``.
        :return: Chunk at time t, shaped like ``x_s``.
        """
        alpha_s, sigma_s = self.coefficients(s, x_s)
        alpha_t, sigma_t = self.coefficients(t, x_s)
        ratio = alpha_t / alpha_s
        return ratio * x_s + (sigma_t ** 2 - (ratio * sigma_s) ** 2).clamp(min=0).sqrt() * noise
