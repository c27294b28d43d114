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

"""Noise of sensors, added where a sensor adds it: before the messages."""

from dataclasses import dataclass

from diffusion_policy_ros.errors import ConfigError
import numpy as np


@dataclass(frozen=True)
class ObservationNoise:
    """
    Normally distributed noise of what a robot shows.

    :ivar vectors: Standard deviation in vectors, as a share of each entry's range in the training
        data, in [0, 1].
    :ivar images: Standard deviation in pictures, in 8-bit units, in [0, 128].
    """

    vectors: float = 0.0
    images: float = 0.0

    def __bool__(self):
        """Tell whether there is any."""
        return bool(self.vectors or self.images)


def ranges(policy) -> dict:
    """
    Return the range of every entry of a policy's vectors in its training data.

    :param policy: ``Policy``.
    :return: Dataset key to float64 (entries,), robot units; 0 for an entry that never moved.
    :raises ConfigError: if the checkpoint does not tell.
    """
    found = {}
    for key in policy.config.vector_keys:
        known = policy.normalizer.statistics[key]
        if 'min' not in known or 'max' not in known:
            raise ConfigError(f'the checkpoint holds no min and max of {key}, so that its range '
                              'is not known; leave --noise-vectors out')
        low, high = (known[name].double().numpy() for name in ('min', 'max'))
        is_constant = _is_widened(low, high) & (known['std'].numpy() == 1.0) \
            if 'std' in known else False
        found[key] = np.where(is_constant, 0.0, high - low)
    return found


def _is_widened(low, high):
    """Tell which ranges are 2, as Normalizer.from_dataset gave them to what hardly moved."""
    # Both ends were rounded to float32, so that the range is 2 only nearly.
    rounding = 4 * np.finfo(np.float32).eps * np.maximum(np.maximum(abs(low), abs(high)), 1)
    return abs(high - low - 2) <= rounding


class NoisySensors:
    """
    Turns observations into messages, with noise.

    The noise depends on the seed of the episode and on the time only: two policies, or two
    settings, see the same noise at the same tick.
    """

    def __init__(self, as_messages, noise, entry_ranges, seed):
        """
        Prepare.

        :param as_messages: ``(contract, observation, stamp_ns)`` to ``(topic, message)`` pairs.
        :param noise: ``ObservationNoise``.
        :param entry_ranges: From ``ranges``; keys that are not in it stay as they are.
        :param seed: Seed of the episode.
        """
        self._as_messages, self._noise = as_messages, noise
        self._ranges, self._seed = entry_ranges, seed

    def __call__(self, contract, observation, stamp_ns):
        """
        Yield an observation as messages.

        :param contract: The robot's contract.
        :param observation: Dataset key to array: uint8 pictures, float vectors.
        :param stamp_ns: Stamp for the headers, ns.
        """
        random = np.random.default_rng((self._seed, stamp_ns))
        noisy = {key: self._disturbed(key, observation[key], random)
                 for key in sorted(observation)}
        return self._as_messages(contract, noisy, stamp_ns)

    def _disturbed(self, key, value, random):
        """Return an array with noise; what is drawn does not depend on how strong it is."""
        drawn = random.standard_normal(value.shape)
        if value.dtype == np.uint8:
            return np.clip(np.round(value + self._noise.images * drawn), 0, 255).astype(np.uint8)
        if key not in self._ranges:
            return value
        return (value + self._noise.vectors * self._ranges[key] * drawn).astype(value.dtype)
