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

"""What a network predicts, and the clean chunk that follows from it; no solver knows of this."""

from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.choices import PREDICTION_TYPES
from diffusion_policy_ros.errors import ConfigError


def ask_both(denoiser, x_t, level):
    """
    Ask a denoiser for the clean chunk, and for what that was before it was clipped.

    :param denoiser: Callable ``(x_t, level) -> x0_hat``; one that clips has a method ``both``
        that returns the two, of any other they are the same.
    :param x_t: Noisy chunk, float (B, horizon, action_dim), normalized units.
    :param level: Level.
    :return: ``(x0_hat, unclipped)``, each shaped like ``x_t``.
    """
    if hasattr(denoiser, 'both'):
        return denoiser.both(x_t, level)
    x0_hat = denoiser(x_t, level)
    return x0_hat, x0_hat


def clean_from_prediction(output, x_t, alpha, sigma, prediction_type):
    """
    Return the clean chunk that a network's output stands for.

    ``epsilon``: ``x0 = (x_t - sigma eps) / alpha``. ``sample``: x0 itself. ``v_prediction``
    (``v = alpha eps - sigma x0``, Salimans and Ho 2022, arXiv:2202.00512, appendix D):
    ``x0 = (alpha x_t - sigma v) / (alpha^2 + sigma^2)``. ``score`` (the gradient of
    ``log p_t``, which is ``-eps / sigma``): ``x0 = (x_t + sigma^2 score) / alpha``.

    :param output: Network output, float (B, horizon, action_dim).
    :param x_t: Noisy chunk, shaped like ``output``.
    :param alpha: alpha_t, number or broadcastable tensor, above 0.
    :param sigma: sigma_t, likewise, at least 0.
    :param prediction_type: One of ``PREDICTION_TYPES``.
    :return: x0_hat, shaped like ``output``.
    :raises ConfigError: if the type is unknown.
    """
    check_choice('prediction_type', prediction_type, PREDICTION_TYPES, ConfigError)
    if prediction_type == 'epsilon':
        return (x_t - sigma * output) / alpha
    if prediction_type == 'sample':
        return output
    if prediction_type == 'score':
        return (x_t + sigma ** 2 * output) / alpha
    return (alpha * x_t - sigma * output) / (alpha ** 2 + sigma ** 2)


def prediction_target(x0, noise, alpha, sigma, prediction_type):
    """
    Return what the network should have predicted.

    :param x0: Clean chunk, float (B, horizon, action_dim).
    :param noise: The noise that was added, shaped like ``x0``.
    :param alpha: alpha_t, number or broadcastable tensor.
    :param sigma: sigma_t, likewise; above 0 for ``score``.
    :param prediction_type: One of ``PREDICTION_TYPES``.
    :return: Target, shaped like ``x0``.
    :raises ConfigError: if the type is unknown.
    """
    check_choice('prediction_type', prediction_type, PREDICTION_TYPES, ConfigError)
    if prediction_type == 'epsilon':
        return noise
    if prediction_type == 'sample':
        return x0
    if prediction_type == 'score':
        return -noise / sigma
    return alpha * noise - sigma * x0


def noise_from_clean(x_t, x0_hat, level):
    """
    Return the noise that a predicted clean chunk leaves, ``(x_t - alpha x0_hat) / sigma``.

    :param x_t: Noisy chunk, float (B, horizon, action_dim).
    :param x0_hat: Predicted clean chunk, shaped like ``x_t``.
    :param level: Level of ``x_t``; its sigma is above 0.
    :return: eps_hat, shaped like ``x_t``.
    """
    return (x_t - level.alpha * x0_hat) / level.sigma
