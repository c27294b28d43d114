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
"""The denoiser: a one-dimensional U-Net over the rows of a chunk, conditioned by FiLM."""

from diffusion_policy_ros.config_checks import FINAL_GROUPS
from diffusion_policy_ros.networks.time_embedding import time_network
import torch
from torch import nn


class ConvBlock(nn.Module):
    """Convolution over rows, GroupNorm, Mish."""

    def __init__(self, in_channels, out_channels, kernel_size, n_groups):
        """
        Build the block.

        :param in_channels: Channels of the input.
        :param out_channels: Channels of the output, a multiple of ``n_groups``.
        :param kernel_size: Odd width, rows.
        :param n_groups: Groups of the GroupNorm.
        """
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(in_channels, out_channels, kernel_size, padding=kernel_size // 2),
            nn.GroupNorm(n_groups, out_channels), nn.Mish(inplace=True))

    def forward(self, x):
        """Map (B, in_channels, rows) to (B, out_channels, rows)."""
        return self.block(x)


class FilmResidualBlock(nn.Module):
    """
    Two convolution blocks with a feature-wise scale and shift between them, and a residual.

    ``h * scale + bias`` per channel (Perez et al. 2018, arXiv:1709.07871, Eq. 2).
    """

    def __init__(self, in_channels, out_channels, cond_dim, *, kernel_size, n_groups,
                 use_film_scale):
        """
        Build the block.

        :param in_channels: Channels of the input.
        :param out_channels: Channels of the output.
        :param cond_dim: Entries of the condition.
        :param kernel_size: Odd width of the convolutions, rows.
        :param n_groups: Groups of the GroupNorms.
        :param use_film_scale: Scale and shift; otherwise only shift.
        """
        super().__init__()
        self.use_film_scale = use_film_scale
        self.conv1 = ConvBlock(in_channels, out_channels, kernel_size, n_groups)
        # Place 0 would be the Mish that ConditionalUnet1d applies once for all of its blocks.
        self.cond_encoder = nn.Sequential(
            nn.Identity(), nn.Linear(cond_dim, out_channels * (2 if use_film_scale else 1)))
        self.conv2 = ConvBlock(out_channels, out_channels, kernel_size, n_groups)
        self.residual_conv = (nn.Identity() if in_channels == out_channels
                              else nn.Conv1d(in_channels, out_channels, 1))

    def forward(self, x, film):
        """
        Map (B, in_channels, rows) to (B, out_channels, rows).

        :param x: float (B, in_channels, rows).
        :param film: What ``cond_encoder`` makes of the activated condition: shifts, float
            (B, out_channels), or scales and shifts, (B, 2 * out_channels).
        """
        film = film.unsqueeze(-1)
        h = self.conv1(x)
        if self.use_film_scale:
            scale, bias = film.chunk(2, dim=1)
            h = torch.addcmul(bias, scale, h)
        else:
            h = h + film
        return self.conv2(h) + self.residual_conv(x)


class ConditionalUnet1d(nn.Module):
    """
    Denoiser of Diffusion Policy (Chi et al. 2023, arXiv:2303.04137, section 3.1).

    Down and up through ``len(down_dims)`` resolutions of the chunk, each with two residual
    blocks; the timestep and the observations condition every block. Tensor names are LeRobot's.
    """

    def __init__(self, action_dim, global_cond_dim, *, down_dims=(512, 1024, 2048), kernel_size=5,
                 n_groups=8, step_embed_dim=128, use_film_scale=True):
        """
        Build the network.

        :param action_dim: Entries of one action.
        :param global_cond_dim: Entries of the observation condition.
        :param down_dims: Channels of the levels.
        :param kernel_size: Odd width of the convolutions, rows.
        :param n_groups: Groups of the GroupNorms, a divisor of every level's channels.
        :param step_embed_dim: Entries of the time embedding, even, at least 4.
        :param use_film_scale: FiLM scales and shifts; otherwise it only shifts.
        """
        super().__init__()
        cond_dim = step_embed_dim + global_cond_dim

        def block(in_channels, out_channels):
            return FilmResidualBlock(in_channels, out_channels, cond_dim, kernel_size=kernel_size,
                                     n_groups=n_groups, use_film_scale=use_film_scale)

        self.diffusion_step_encoder = time_network(step_embed_dim)
        dims = (action_dim,) + tuple(down_dims)
        top = dims[-1]
        self.down_modules = nn.ModuleList([
            nn.ModuleList([block(dims[i], dims[i + 1]), block(dims[i + 1], dims[i + 1])] + (
                [nn.Conv1d(dims[i + 1], dims[i + 1], 3, 2, 1)] if i < len(dims) - 2 else []))
            for i in range(len(dims) - 1)])
        self.mid_modules = nn.ModuleList([block(top, top), block(top, top)])
        self.up_modules = nn.ModuleList([
            nn.ModuleList([block(2 * dims[i + 1], dims[i]), block(dims[i], dims[i]),
                           nn.ConvTranspose1d(dims[i], dims[i], 4, 2, 1)])
            for i in range(len(dims) - 2, 0, -1)])
        self.final_conv = nn.Sequential(
            ConvBlock(dims[1], dims[1], kernel_size, FINAL_GROUPS),
            nn.Conv1d(dims[1], action_dim, 1))
        self.cond_activation = nn.Mish()

    def forward(self, x_t, t, global_cond):
        """
        Predict what the training target was, from a noisy chunk.

        :param x_t: Noisy chunk, float32 (B, horizon, action_dim), normalized units.
        :param t: Timesteps, int64 (B,), or (1,) for the whole batch.
        :param global_cond: Observation condition, float32 (B, global_cond_dim).
        :return: float32 (B, horizon, action_dim).
        """
        embedding = self.diffusion_step_encoder(t).expand(x_t.shape[0], -1)
        cond = self.cond_activation(torch.cat([embedding, global_cond], dim=-1))  # (B, cond_dim)
        return self.denoise(x_t, [block.cond_encoder(cond) for block in self.blocks])

    @property
    def blocks(self) -> list:
        """Return the residual blocks, in the order in which they are passed."""
        return [block for stage in (*self.down_modules, self.mid_modules, *self.up_modules)
                for block in stage if isinstance(block, FilmResidualBlock)]

    def denoise(self, x_t, films):
        """
        Predict, from a noisy chunk and what the condition makes of each block.

        :param x_t: As for ``forward``.
        :param films: For each of ``blocks``, as for ``FilmResidualBlock.forward``.
        :return: As for ``forward``.
        """
        x, films = x_t.transpose(1, 2), iter(films)  # (B, action_dim, horizon)
        skips = []
        for first, second, *downsample in self.down_modules:
            x = second(first(x, next(films)), next(films))
            skips.append(x)
            x = downsample[0](x) if downsample else x
        for block in self.mid_modules:
            x = block(x, next(films))
        for first, second, upsample in self.up_modules:
            x = torch.cat([x, skips.pop()], dim=1)  # (B, 2 * channels, rows)
            x = upsample(second(first(x, next(films)), next(films)))
        return self.final_conv(x).transpose(1, 2)
