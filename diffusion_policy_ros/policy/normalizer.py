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
"""Between robot units and the numbers near [-1, 1] that networks see."""

import math

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.streams import ACTION_KEY
import torch
from torch import nn

NEAR_CONSTANT = 1e-4
ROUNDING = 1e-4  # by which the largest demonstrated action may miss 1 in float32
# LeRobot's: what it divides by where a range is exactly 0, and adds to every deviation.
EPS = 1e-8
RANGES = {'MIN_MAX': ('min', 'max'), 'QUANTILES': ('q01', 'q99'), 'QUANTILE10': ('q10', 'q90')}
NEEDED = {**RANGES, 'MEAN_STD': ('mean', 'std'), 'IDENTITY': ()}
# Kept for whoever continues with the checkpoint, whatever the normalization needs.
USUAL = ('min', 'max', 'mean', 'std')


class Normalizer(nn.Module):
    """
    Shift and scale every feature.

    ``MIN_MAX`` is ``2 (x - min) / (max - min) - 1``, ``QUANTILES`` and ``QUANTILE10`` are the same
    between the quantiles of 1 and 99 and of 10 and 90 per cent, ``MEAN_STD`` is
    ``(x - mean) / (std + 1e-8)`` and ``IDENTITY`` changes nothing: LeRobot's numbers, to the last
    bit or two. They are buffers outside the state dict.

    :ivar statistics: Key -> statistic -> float32 tensor, (entries,) or (channels, 1, 1), as
        stored in a checkpoint.
    """

    def __init__(self, config, statistics):
        """
        Use statistics exactly as they are, such as a checkpoint's.

        :param config: PolicyConfig: features and their normalization.
        :param statistics: Key -> statistic name -> numbers, in robot units.
        :raises ConfigError: if a statistic is missing, malformed or not finite.
        """
        super().__init__()
        self.statistics = {}
        self._affine = {}
        for key, feature in {**config.input_features, **config.output_features}.items():
            mode = config.normalization_mapping[feature['type']]
            kept = _checked_statistics(key, feature['shape'], mode, statistics)
            self.statistics[key] = kept
            if mode != 'IDENTITY':
                *numbers, shift = _affine(mode, kept)
                index = len(self._affine)
                for name, tensor in zip(('origin', 'divisor', 'unit'), numbers):
                    self.register_buffer(f'{name}_{index}', tensor, persistent=False)
                self._affine[key] = (index, shift)

    @classmethod
    def from_dataset(cls, config, statistics):
        """
        Build the normalizer of a new policy.

        An entry that hardly moved (range or deviation below 1e-4) is shifted but not scaled, so
        that sensor noise is not blown up to full size. The stored statistics say so themselves:
        range 2, or deviation 1.

        Sampled chunks that ``clip_sample`` cuts never reach what lies outside. A policy of LeRobot
        is taken as it is; a new one must reach all that was demonstrated.

        :param config: PolicyConfig.
        :param statistics: Key -> ``min``, ``max``, ``mean``, ``std``, ... in robot units.
        :return: The normalizer.
        :raises ConfigError: if a statistic is missing, malformed or not finite, or clipping would
            cut demonstrated actions.
        """
        measured = cls(config, statistics).statistics
        normalizer = cls(config, {key: _without_tiny_widths(kept)
                                  for key, kept in measured.items()})
        _check_clipping(config, normalizer, measured[ACTION_KEY])
        return normalizer

    def normalize(self, key, x):
        """
        Return a feature in normalized units.

        :param key: Feature key.
        :param x: Float tensor in robot units whose last axes are the feature's.
        """
        if key not in self._affine:
            return x
        origin, divisor, _, shift = self._numbers(key)
        x = (x - origin) / divisor
        return x + shift if shift else x

    def unnormalize(self, key, x):
        """
        Return a feature in robot units: the inverse of ``normalize``.

        :param key: Feature key.
        :param x: Float tensor in normalized units.
        """
        if key not in self._affine:
            return x
        origin, _, unit, shift = self._numbers(key)
        return (x - shift) * unit + origin

    def _numbers(self, key):
        """Return what ``_affine`` computed for a feature, on the present device."""
        index, shift = self._affine[key]
        return *(getattr(self, f'{name}_{index}') for name in ('origin', 'divisor', 'unit')), shift


def unit_image_statistics(channels):
    """
    Return statistics that map pixel values in [0, 1] to [-1, 1] under every normalization.

    :param channels: Channels of the image.
    :return: Statistic name -> float32 (channels, 1, 1).
    """
    values = {'mean': 0.5, 'std': 0.5}
    for low, high in RANGES.values():
        values.update({low: 0.0, high: 1.0})
    return {name: torch.full((channels, 1, 1), value) for name, value in values.items()}


def _checked_statistics(key, shape, mode, statistics):
    """Return a key's statistics as float32 tensors, with those that its mode needs."""
    given = statistics.get(key, {})
    missing = [name for name in NEEDED[mode] if name not in given]
    if missing:
        raise ConfigError(f'statistics of {key!r} lack {", ".join(missing)}, which {mode} needs; '
                          f'there are: {", ".join(given) or "none"}')
    wanted = shape if len(shape) == 1 else (shape[0], 1, 1)
    kept = {}
    for name in dict.fromkeys((*USUAL, *NEEDED[mode])):
        if name in given:
            kept[name] = _as_statistic(f'statistics of {key!r}: {name}', given[name], wanted)
    for low, high in RANGES.values():
        if low in kept and high in kept and (kept[low] > kept[high]).any():
            raise ConfigError(f'statistics of {key!r}: {low} exceeds {high}')
    if 'std' in kept and (kept['std'] < 0).any():
        raise ConfigError(f'statistics of {key!r}: std is below 0')
    return kept


def _as_statistic(where, values, shape):
    """Return numbers as a float32 tensor of a shape, refusing others and non-finite ones."""
    tensor = torch.as_tensor(values, dtype=torch.float32).cpu().clone()
    if tensor.numel() != torch.Size(shape).numel():
        raise ConfigError(f'{where} has shape {tuple(tensor.shape)}; wanted {tuple(shape)}')
    if not torch.isfinite(tensor).all():
        raise ConfigError(f'{where} is not finite: {tensor.flatten().tolist()}')
    return tensor.reshape(shape)


def _affine(mode, kept):
    """
    Return origin, divisor, unit and shift of an affine map and of its inverse.

    ``normalized = (x - origin) / divisor + shift``, and back again ``x = (normalized - shift) *
    unit + origin``.
    """
    if mode == 'MEAN_STD':
        return kept['mean'].clone(), kept['std'] + EPS, kept['std'].clone(), 0.0
    low, high = (kept[name] for name in RANGES[mode])
    unit = torch.where(high == low, EPS, high - low) / 2
    return low.clone(), unit, unit.clone(), -1.0


def _check_clipping(config, normalizer, measured):
    """Refuse to cut actions that were demonstrated, where their range is known."""
    limit = config.clip_sample_range
    if not config.clip_sample or not {'min', 'max'} <= measured.keys():
        return
    reach = torch.maximum(*(normalizer.normalize(ACTION_KEY, measured[name]).abs()
                            for name in ('min', 'max')))
    if (reach > limit * (1 + ROUNDING)).any():
        most, mode = float(reach.max()), config.normalization_mapping['ACTION']
        raise ConfigError(
            f'clip_sample would cut demonstrated actions: under {mode}, entry '
            f'{int(reach.argmax())} of them reaches {most:.2f} in normalized units, and '
            f'clip_sample_range is {limit:g}; set policy.clip_sample_range='
            f'{math.ceil(100 * most) / 100:g} or policy.clip_sample=false, or normalize ACTION by '
            'MIN_MAX')


def _without_tiny_widths(kept):
    """Widen the statistics of near-constant entries so that they are only shifted."""
    widened = dict(kept)
    for low_name, high_name in RANGES.values():
        if low_name in kept and high_name in kept:
            low, high = kept[low_name].double(), kept[high_name].double()
            tiny, center = high - low < NEAR_CONSTANT, (low + high) / 2
            widened[low_name] = torch.where(tiny, center - 1, low).float()
            widened[high_name] = torch.where(tiny, center + 1, high).float()
    if 'std' in kept:
        widened['std'] = torch.where(kept['std'] < NEAR_CONSTANT, 1.0, kept['std'])
    return widened
