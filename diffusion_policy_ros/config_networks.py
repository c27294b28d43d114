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

"""The networks that a policy can have besides LeRobot's own: denoisers and ways to observe."""

from dataclasses import dataclass

from diffusion_policy_ros.checks import check_choice, is_count, is_number, shown
from diffusion_policy_ros.choices import DENOISERS, FUSIONS, POOLINGS
from diffusion_policy_ros.errors import ConfigError

LARGEST_WIDTH = 16_384
LARGEST_LAYERS = 1000


@dataclass(frozen=True)
class DenoiserConfig:
    """
    The network that predicts the noise of a chunk.

    The observation reaches a ``unet`` by FiLM, a ``transformer`` by cross-attention, a ``dit`` by
    adaptive layer norms, and an ``mlp`` by concatenation. The U-Net's sizes are fields of the
    policy itself, under LeRobot's names; those below are of the other three.

    :ivar type: ``unet``, ``transformer``, ``dit`` or ``mlp``.
    :ivar dim: Entries of a token; an ``mlp`` has four times as many per layer. A multiple of
        ``2 * heads``, at least 4.
    :ivar layers: Layers, or blocks.
    :ivar heads: Heads of every attention.
    :ivar dropout: Share of activations that training drops, in [0, 1).
    :ivar causal: Rows of a ``transformer`` attend only to what is not after them.
    """

    type: str = 'unet'
    dim: int = 256
    layers: int = 8
    heads: int = 4
    dropout: float = 0.0
    causal: bool = True

    def __post_init__(self):
        """Check every field."""
        check_choice('denoiser.type', self.type, DENOISERS, ConfigError)
        check_choice('denoiser.causal', self.causal, (True, False), ConfigError)
        _check_counts(self, 'denoiser', {'dim': LARGEST_WIDTH, 'layers': LARGEST_LAYERS,
                                         'heads': LARGEST_WIDTH})
        _check_heads('denoiser.dim', self.dim, 'heads', self.heads)
        if not is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise ConfigError(f'denoiser.dropout is {shown(self.dropout)}; it must be a number '
                              'from 0 to below 1')


@dataclass(frozen=True)
class EncoderConfig:
    """
    How images and vectors become the condition of the denoiser.

    :ivar pooling: From a convolutional backbone's feature map to features: ``spatial_softmax``
        or ``average``.
    :ivar vit_patch: Height and width of a ViT's patches, px; divides those of the images.
    :ivar vit_dim: Entries of a ViT's tokens, a multiple of ``2 * vit_heads``.
    :ivar vit_layers: Layers of a ViT.
    :ivar vit_heads: Heads of a ViT.
    :ivar state_dims: Widths of the layers that the joined vectors of a row pass; none leaves
        them as they are.
    :ivar fusion: How a row's features come together: ``concatenate``, or ``transformer``, which
        attends over all cameras, vectors and observed rows.
    :ivar fusion_dim: Entries of the fusing Transformer's tokens, a multiple of
        ``2 * fusion_heads``.
    :ivar fusion_layers: Its layers.
    :ivar fusion_heads: Its heads.
    """

    pooling: str = 'spatial_softmax'
    vit_patch: int = 8
    vit_dim: int = 192
    vit_layers: int = 4
    vit_heads: int = 3
    state_dims: tuple = ()
    fusion: str = 'concatenate'
    fusion_dim: int = 256
    fusion_layers: int = 2
    fusion_heads: int = 4

    def __post_init__(self):
        """Make the widths a tuple, then check every field."""
        if isinstance(self.state_dims, list):
            object.__setattr__(self, 'state_dims', tuple(self.state_dims))
        check_choice('observation_encoder.pooling', self.pooling, POOLINGS, ConfigError)
        check_choice('observation_encoder.fusion', self.fusion, FUSIONS, ConfigError)
        _check_counts(self, 'observation_encoder', {
            'vit_patch': LARGEST_WIDTH, 'vit_dim': LARGEST_WIDTH, 'vit_layers': LARGEST_LAYERS,
            'vit_heads': LARGEST_WIDTH, 'fusion_dim': LARGEST_WIDTH,
            'fusion_layers': LARGEST_LAYERS, 'fusion_heads': LARGEST_WIDTH})
        _check_heads('observation_encoder.vit_dim', self.vit_dim, 'vit_heads', self.vit_heads)
        _check_heads('observation_encoder.fusion_dim', self.fusion_dim, 'fusion_heads',
                     self.fusion_heads)
        if not isinstance(self.state_dims, tuple) or not all(
                is_count(width, most=LARGEST_WIDTH) for width in self.state_dims):
            raise ConfigError(f'observation_encoder.state_dims is {shown(self.state_dims)}; it '
                              f'must be a list of whole numbers from 1 to {LARGEST_WIDTH}')


def _check_counts(group, where, largest):
    """Refuse what is no whole number in its range."""
    for name, most in largest.items():
        if not is_count(getattr(group, name), most=most):
            raise ConfigError(f'{where}.{name} is {shown(getattr(group, name))}; it must be a '
                              f'whole number from 1 to {most}')


def _check_heads(name, dim, heads_name, heads):
    """Refuse tokens that cannot be shared out among the heads."""
    if dim % (2 * heads) or dim < 4:
        raise ConfigError(f'{name} is {dim}; it must be a multiple of 2 x {heads_name} ({heads}), '
                          'at least 4')
