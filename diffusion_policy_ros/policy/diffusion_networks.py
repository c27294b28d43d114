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

"""The trained parts of a policy."""

from diffusion_policy_ros.networks.dit import DiffusionTransformer
from diffusion_policy_ros.networks.fusion import FusionTransformer
from diffusion_policy_ros.networks.mlp import ConcatenationMlp
from diffusion_policy_ros.networks.rgb_encoder import RgbEncoder
from diffusion_policy_ros.networks.state_mlp import state_mlp
from diffusion_policy_ros.networks.transformer import ConditionalTransformer
from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
from torch import nn


# Where a checkpoint has the tensors of the denoiser and of the image encoder.
UNET, ENCODER = 'diffusion.unet.', 'diffusion.rgb_encoder.'


class DiffusionNetworks(nn.Module):
    """
    The trained parts of a policy, under LeRobot's names.

    The denoiser is found under its type, as LeRobot's ``unet`` is.
    """

    def __init__(self, config):
        """
        Build the networks with fresh weights.

        :param config: PolicyConfig.
        """
        super().__init__()
        if config.image_keys:
            self.rgb_encoder = _build_rgb_encoder(config)
        self.state_mlp, self.fusion = _build_joining(config)
        self._denoiser_name = config.denoiser.type
        self.replace_denoiser(_build_denoiser(config))

    @property
    def denoiser(self) -> nn.Module:
        """Return the denoiser."""
        return getattr(self, self._denoiser_name)

    @property
    def encoders(self) -> list:
        """Return the image encoders: one of each camera, one that all share, or none."""
        if not hasattr(self, 'rgb_encoder'):
            return []
        is_list = isinstance(self.rgb_encoder, nn.ModuleList)
        return list(self.rgb_encoder) if is_list else [self.rgb_encoder]

    def replace_encoders(self, encoders):
        """
        Put other modules in the encoders' places, such as faster forms of them.

        :param encoders: As many as ``encoders``, called alike.
        """
        if isinstance(getattr(self, 'rgb_encoder', None), nn.ModuleList):
            self.rgb_encoder = nn.ModuleList(encoders)
        elif encoders:
            self.rgb_encoder, = encoders

    def replace_denoiser(self, denoiser):
        """
        Put another module in the denoiser's place, such as a faster form of it.

        :param denoiser: Module that is called alike.
        """
        setattr(self, self._denoiser_name, denoiser)


def _build_rgb_encoder(config):
    """Return the image encoder that all cameras share, or a list of one for each."""
    settings, separate = config.observation_encoder, config.use_separate_rgb_encoder_per_camera
    encoders = [RgbEncoder(
        config.vision_backbone, config.encoded_shape, config.spatial_softmax_num_keypoints,
        use_group_norm=config.use_group_norm, pooling=settings.pooling, vit_sizes={
            'patch': settings.vit_patch, 'dim': settings.vit_dim, 'layers': settings.vit_layers,
            'heads': settings.vit_heads})
        for _ in (config.image_keys if separate else config.image_keys[:1])]
    return nn.ModuleList(encoders) if separate else encoders[0]


def _build_joining(config):
    """Return the MLP of a row's vectors and the Transformer that fuses rows; None where unused."""
    settings, entries = config.observation_encoder, config.vector_dim
    mlp = fusion = None
    if settings.state_dims:
        mlp, entries = state_mlp(entries, settings.state_dims), settings.state_dims[-1]
    if settings.fusion == 'transformer':
        fusion = FusionTransformer(
            config.n_obs_steps, entries, len(config.image_keys),
            config.image_feature_dim // max(len(config.image_keys), 1), dim=settings.fusion_dim,
            layers=settings.fusion_layers, heads=settings.fusion_heads)
    return mlp, fusion


def _build_denoiser(config):
    """Return the denoiser of a configuration, with fresh weights."""
    settings, shape = config.denoiser, (config.action_dim, config.global_cond_dim)
    if settings.type == 'unet':
        return ConditionalUnet1d(
            *shape, down_dims=config.down_dims, kernel_size=config.kernel_size,
            n_groups=config.n_groups, step_embed_dim=config.diffusion_step_embed_dim,
            use_film_scale=config.use_film_scale_modulation)
    sizes = {'dim': settings.dim, 'layers': settings.layers, 'dropout': settings.dropout}
    if settings.type == 'mlp':
        return ConcatenationMlp(*shape, config.horizon, **sizes)
    if settings.type == 'dit':
        return DiffusionTransformer(*shape, config.horizon, heads=settings.heads, **sizes)
    return ConditionalTransformer(*shape, config.horizon, config.n_obs_steps,
                                  heads=settings.heads, causal=settings.causal, **sizes)
