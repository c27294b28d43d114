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

"""The U-Net of ``unet1d`` for inference on a CPU: as fast as its weights can be read."""

from functools import lru_cache, partial

from diffusion_policy_ros.networks.packed_layers import output_sizes, packed_linear
from diffusion_policy_ros.networks.traced import traced
import torch
from torch import nn
from torch.nn import functional

# More than the levels of a training; an adaptive solver asks for others every time.
TIMESTEPS_KEPT = 256


class PackedUnet1d(nn.Module):
    """
    A ``ConditionalUnet1d`` whose work is done once where that is enough.

    Weights are laid out once. What conditions the blocks is a linear function of the activated
    condition, so its time half is computed once per timestep, and its observation half once per
    chunk (``conditioned``). Results differ from those of the U-Net by rounding alone.
    """

    def __init__(self, unet, example, dtype=torch.float32):
        """
        Take over a U-Net, which is of no use afterwards.

        :param unet: ``ConditionalUnet1d`` in eval mode, on the CPU.
        :param example: Noisy chunk, timestep and condition to trace with; any batch works later.
        :param dtype: Type of the weights and their products: float32 or bfloat16.
        """
        super().__init__()
        self._time_encoder, self._activation = unet.diffusion_step_encoder, unet.cond_activation
        projections = [block.cond_encoder[1] for block in unet.blocks]
        self._sizes = [projection.out_features for projection in projections]
        weight = torch.cat([projection.weight.detach() for projection in projections])
        bias = torch.cat([projection.bias.detach() for projection in projections])
        time_dim = self._time_encoder[-1].out_features
        self._time_half = packed_linear(weight[:, :time_dim], bias, rows=1)
        self._observed_half = packed_linear(weight[:, time_dim:], None, rows=1)
        self._half_of_timestep = lru_cache(TIMESTEPS_KEPT)(self._embedded)
        _pack(unet, output_sizes(unet, example), dtype)
        x_t, t, global_cond = example
        films = self._films(self._of_time(t), self._of_observation(global_cond))
        self._unet = traced(unet, (x_t, films), 'denoise')

    def forward(self, x_t, t, global_cond):
        """Predict, as ``ConditionalUnet1d.forward``."""
        return self.conditioned(global_cond)(x_t, t)

    def conditioned(self, global_cond):
        """
        Return the prediction under one condition as a function of noisy chunk and timestep.

        :param global_cond: float32 (B, global_cond_dim).
        :return: Function of ``x_t`` and ``t``, as ``forward``.
        """
        return partial(self._predict, self._of_observation(global_cond))

    def _predict(self, observed, x_t, t):
        """Predict under the observation half of the condition."""
        return self._unet.denoise(x_t, self._films(self._of_time(t), observed))

    def _of_observation(self, global_cond):
        """Return what the observation adds to the scales and shifts of all blocks."""
        return self._observed_half(self._activation(global_cond))

    def _of_time(self, t):
        """Return what the time adds; a sampler asks for the same few timesteps again and again."""
        if len(t) > 1:
            return self._time_half(self._activation(self._time_encoder(t)))
        return self._half_of_timestep(float(t))

    def _embedded(self, timestep):
        """Return what one timestep adds."""
        return self._time_half(self._activation(self._time_encoder(torch.tensor([timestep]))))

    def _films(self, time, observed):
        """Return the scales and shifts of each block, float32 (B, channels or 2 * channels)."""
        return (time + observed).split(self._sizes, dim=1)


class RowConv1d(nn.Module):
    """
    A convolution over rows as one matrix product.

    A chunk has so few rows that reading the weights is all the work; torch's convolution lays
    them out anew in every call. Channels are neighbours in memory, rows follow each other.
    """

    def __init__(self, weight, bias, rows, *, stride=1, padding=0, dtype=torch.float32):
        """
        Pack the weights.

        :param weight: float32 (out_channels, in_channels, width).
        :param bias: float32 (out_channels,).
        :param rows: Rows that come out, as a rule.
        :param stride: Rows from one window to the next.
        :param padding: Rows of zeros before and after.
        :param dtype: As for ``PackedLinear``.
        """
        super().__init__()
        self.width, self.stride, self.padding = weight.shape[-1], stride, padding
        self.linear = packed_linear(weight.transpose(1, 2).flatten(1), bias, rows, dtype)

    def forward(self, x):
        """Map (B, in_channels, rows) to (B, out_channels, rows')."""
        rows = x.transpose(1, 2)
        if self.width > 1:
            rows = functional.pad(rows, (0, 0, self.padding, self.padding))
            rows = rows.unfold(1, self.width, self.stride).transpose(2, 3).flatten(2)
        return self.linear(rows).transpose(1, 2)


class RowUpsample(nn.Module):
    """
    The transposed convolution of a U-Net (width 4, stride 2, padding 1) as one matrix product.

    ``y[2r] = w1 x[r] + w3 x[r-1]`` and ``y[2r+1] = w2 x[r] + w0 x[r+1]``: both from a window of
    three rows.
    """

    def __init__(self, weight, bias, rows, dtype=torch.float32):
        """
        Pack the weights.

        :param weight: float32 (in_channels, out_channels, 4).
        :param bias: float32 (out_channels,).
        :param rows: Rows that come in, as a rule.
        :param dtype: As for ``PackedLinear``.
        """
        super().__init__()
        w0, w1, w2, w3 = weight.permute(2, 1, 0)  # each (out_channels, in_channels)
        windows = torch.cat([torch.stack([w3, w1, torch.zeros_like(w1)], dim=-1),
                             torch.stack([torch.zeros_like(w2), w2, w0], dim=-1)])
        self.conv = RowConv1d(windows, bias.repeat(2), rows, padding=1, dtype=dtype)

    def forward(self, x):
        """Map (B, in_channels, rows) to (B, out_channels, 2 * rows)."""
        both = self.conv(x).transpose(1, 2)  # (B, rows, 2 * out_channels)
        return both.unflatten(2, (2, -1)).flatten(1, 2).transpose(1, 2)


class RowGroupNorm(nn.Module):
    """GroupNorm that leaves channels neighbours in memory."""

    def __init__(self, norm):
        """
        Take over a norm.

        :param norm: nn.GroupNorm.
        """
        super().__init__()
        self.norm = norm

    def forward(self, x):
        """Map (B, channels, rows) to the same shape."""
        return self.norm(x.unsqueeze(-1)).squeeze(-1)


def _pack(unet, sizes, dtype):
    """Replace the layers of a U-Net, whose parts put out so much, by packed ones."""
    for module in list(unet.modules()):
        for name, layer in list(module.named_children()):
            if isinstance(layer, nn.Conv1d):
                setattr(module, name, RowConv1d(
                    layer.weight, layer.bias, sizes[layer] // layer.out_channels,
                    stride=layer.stride[0], padding=layer.padding[0], dtype=dtype))
            elif isinstance(layer, nn.ConvTranspose1d):
                rows = sizes[layer] // (2 * layer.out_channels)
                setattr(module, name, RowUpsample(layer.weight, layer.bias, rows, dtype))
            elif isinstance(layer, nn.GroupNorm):
                setattr(module, name, RowGroupNorm(layer))
