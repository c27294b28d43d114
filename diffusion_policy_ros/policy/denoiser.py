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

"""What a sampler sees of a policy: a function from noisy chunks to clean ones."""

from diffusion_policy_ros.diffusion import clean_from_prediction
from diffusion_policy_ros.errors import ConfigError
import torch


def check_guidance(config, guidance_scale):
    """
    Refuse guidance of a policy that never missed an observation in training.

    :param config: PolicyConfig.
    :param guidance_scale: Weight of the observation.
    :raises ConfigError: if it is not 1, and ``conditioning_dropout`` is 0.
    """
    if guidance_scale != 1 and not config.conditioning_dropout:
        raise ConfigError(f'guidance_scale is {guidance_scale}, but this policy was trained '
                          'without conditioning_dropout, so only 1 has a meaning; train with '
                          'policy.conditioning_dropout=0.1')


class Denoiser:
    """
    Predicts clean chunks under one condition, clipped where the configuration says so.

    With a guidance scale w other than 1 the network is asked twice, with and without the
    observation: ``x0_hat = free + w (conditioned - free)`` (Ho and Salimans 2022,
    arXiv:2207.12598, Eq. 6, whose w is 1 less). The same weights hold for every prediction type,
    because x0_hat is affine in all of them and they add up to 1.
    """

    def __init__(self, policy, global_cond, guidance_scale=1.0):
        """
        Hold on to the condition.

        :param policy: The ``Policy``.
        :param global_cond: From ``Policy.encode``, float32 (B, global_cond_dim).
        :param guidance_scale: Weight of the observation; 1 is the policy as trained.
        :raises ConfigError: if the policy cannot be guided.
        """
        check_guidance(policy.config, guidance_scale)
        self._config = policy.config
        self._conditioned, self._free = unclipped_denoiser(policy, global_cond), None
        if guidance_scale != 1:
            self._free = unclipped_denoiser(policy, torch.zeros_like(global_cond))
        self._scale = guidance_scale

    def __call__(self, x_t, level):
        """
        Predict.

        :param x_t: Noisy chunk, float32 (B, horizon, action_dim), normalized units.
        :param level: Level; fields may be tensors (B, 1, 1).
        :return: x0_hat, shaped like ``x_t``.
        """
        return self.both(x_t, level)[0]

    def both(self, x_t, level):
        """
        Predict, for a solver that takes the noise direction from what was not clipped.

        :param x_t: As for a call.
        :param level: As for a call.
        :return: x0_hat and what it was before it was clipped, each shaped like ``x_t``.
        """
        x0_hat = self._conditioned(x_t, level)
        if self._free is not None:
            free = self._free(x_t, level)
            x0_hat = free + self._scale * (x0_hat - free)
        config = self._config
        if not config.clip_sample:
            return x0_hat, x0_hat
        # Clipping must not turn an overflow into a plausible action at the edge of the range.
        limit = config.clip_sample_range
        return torch.where(x0_hat.isfinite(), x0_hat.clamp(-limit, limit), torch.nan), x0_hat


def unclipped_denoiser(policy, global_cond):
    """
    Return what a policy predicts under one condition, as a function to clean chunks.

    :param policy: The ``Policy``.
    :param global_cond: From ``Policy.encode``, float32 (B, global_cond_dim).
    :return: ``(x_t, level) -> x0_hat``, shaped like ``x_t``, float32 (B, horizon, action_dim) in
        normalized units, not clipped. The level's fields may be tensors (B, 1, 1).
    """
    network, prediction_type = policy.diffusion.denoiser, policy.config.prediction_type
    if hasattr(network, 'conditioned'):  # it computes as much as it can for the whole chunk
        predict = network.conditioned(global_cond)
    else:
        def predict(x_t, t):
            return policy.denoise(x_t, t, global_cond)

    def denoise(x_t, level):
        if isinstance(level.timestep, torch.Tensor):
            t = level.timestep.flatten()
        else:
            t = torch.full((1,), float(level.timestep), device=x_t.device)
        return clean_from_prediction(predict(x_t, t), x_t, level.alpha, level.sigma,
                                     prediction_type)

    return denoise
