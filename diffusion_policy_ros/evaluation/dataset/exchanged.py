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

"""Are the pictures of an episode those of which its mean in the episode table was taken."""

from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, NOTE, Places
import numpy as np

# How far means of pictures, in [0, 1], may be apart before anything is said. The worst patterns
# (pure colours, pixel by pixel) move by less than 0.015 with the default codec, by 0.07 with av1
# and by 0.15 with crf 51; counted by every fourth pixel of a fine one, a mean was off by 0.2.
FAR = 0.05
# Exchanged videos are told from that where each fits the other episode's mean so much better, and
# where the writer counted every picture also below.
FAR_COUNTED, FIT = 0.015, 0.1


class ExchangeCheck:
    """The pictures of one camera."""

    def __init__(self, key):
        """
        Begin with no episode.

        :param key: The camera.
        """
        self._key = key
        self._numbers, self._told, self._seen, self._far = [], [], [], []

    def add(self, episode, told, seen, is_counted) -> None:
        """
        Take an episode in.

        :param episode: Its number.
        :param told: Mean of its pictures per channel that the table holds, in [0, 1].
        :param seen: Mean of its pictures per channel, decoded.
        :param is_counted: Whether the table's mean is of every picture.
        """
        self._numbers.append(episode)
        self._told.append(told)
        self._seen.append(seen)
        self._far.append(FAR_COUNTED if is_counted else FAR)

    def findings(self) -> list:
        """Return what was found."""
        told, seen = np.array(self._told), np.array(self._seen)
        twins = self._twins(told, seen)
        exchanged, apart = Places(), Places()
        for place in np.flatnonzero(np.abs(told - seen).max(axis=1) > FAR):
            if place not in twins:
                apart.add(f'episode {self._numbers[place]} ({_shown(told[place])}, its pictures '
                          f'have {_shown(seen[place])})')
        for place, twin in twins.items():
            exchanged.add(f'episode {self._numbers[place]} shows those of {self._numbers[twin]} '
                          f'({_shown(told[place])}, its pictures have {_shown(seen[place])})')
        found = []
        if exchanged:
            found.append(Finding(
                ERROR, 'pictures', f'{self._key}: {exchanged.count} episodes show pictures whose '
                f'mean is in meta/episodes of another one: {exchanged}',
                'were their videos exchanged? Look at the report; restore them from a copy'))
        if apart:
            found.append(Finding(
                NOTE, 'pictures', f'{self._key}: {apart.count} episodes show other pictures than '
                f'their mean in meta/episodes says: {apart}', 'a codec, or a writer that counts '
                'only some pixels, can do that; so can a video that was written anew'))
        return found

    def _twins(self, told, seen):
        """Return ``{place: the place whose video it has}`` of episodes exchanged two by two."""
        seen = seen - np.median(seen - told, axis=0)  # what codec and writer do to all alike
        own = np.abs(told - seen).max(axis=1)
        off = np.flatnonzero(own > self._far)
        found = {}
        for place in off:
            fits = [np.abs(one[place] - other[off]).max(axis=1) <= FIT * own[place]
                    for one, other in ((told, seen), (seen, told))]
            both = off[fits[0] & fits[1]]
            if len(both):
                found[int(place)] = int(both[0])
        return found


def _shown(mean):
    """Return a mean in words."""
    return np.round(mean, 3).tolist()
