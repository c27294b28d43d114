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

"""What the cameras of a dataset show: thumbnails, frozen and black pictures."""

import cv2
from diffusion_policy_ros.data.datasets.statistics import thinned
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, Places, WARNING
import numpy as np

# Two pictures this alike, in mean and in the worst of some pixels, show the same.
SAME_MEAN, SAME_MOST = 0.5, 12
# So long a picture may stay while the robot moves; driven by hand, robots stand often enough.
FROZEN_S = 1.0
# Of the range of a joint over the dataset, what counts as movement.
MOVEMENT = 0.05
BLACK = 12
MM_PER_LEVEL = 20.0  # of depth, as it is shown
THUMBNAIL_WIDTH = 128
JPEG_QUALITY = 80
MOMENTS = ('first', 'middle', 'last')


class PictureCheck:
    """
    Look at pictures.

    :ivar thumbnails: ``{(episode number, camera): [JPEG bytes of the first, middle, last row]}``.
    :ivar episode_means: ``{(episode number, camera): mean per channel, in [0, 1]}``,
        of episodes whose every picture was decoded.
    """

    def __init__(self, source, shown, *, every_picture):
        """
        Begin with no picture.

        :param source: What ``open_source`` returned.
        :param shown: Numbers of the episodes to keep thumbnails of.
        :param every_picture: Whether to decode all pictures, or only those for thumbnails.
        """
        self._source, self._shown = source, set(shown)
        self._every = every_picture or not source.is_seekable
        self.thumbnails, self.episode_means = {}, {}
        self._frozen, self._black, self._broken = {}, {}, {}

    def look(self, rows, key, state_range) -> None:
        """
        Look at the pictures of one episode.

        :param rows: ``StoredRows``.
        :param key: The camera.
        :param state_range: Range of each entry of the state over the dataset, ``(D,)``; None
            without a state.
        """
        episode, feature = rows.episode, self._source.features[key]
        moments = dict.fromkeys((0, (episode.length - 1) // 2, episode.length - 1))
        try:
            if self._every:
                self._look_at_all(rows, key, state_range, moments)
            elif episode.index in self._shown:
                for row in moments:
                    moments[row] = _thumbnail(
                        viewable(self._source.picture(episode, key, row), feature))
        except DatasetError as error:
            self._broken.setdefault(key, Places()).add(f'episode {episode.index} ({error})')
        if episode.index in self._shown:
            self.thumbnails[episode.index, key] = [jpeg for jpeg in moments.values() if jpeg]

    @property
    def means(self) -> dict:
        """Return ``{camera: mean per channel, in [0, 1]}`` where every picture was decoded."""
        groups = {}
        for (number, key), mean in self.episode_means.items():
            groups.setdefault(key, []).append((mean, self._source.episodes[number].length))
        return {key: np.average([mean for mean, _ in group], axis=0,
                                weights=[count for _, count in group])
                for key, group in groups.items() if len(group) == len(self._source.episodes)}

    def findings(self) -> list:
        """Return what was found."""
        found = [Finding(ERROR, 'pictures', f'{key}: {places.count} episodes cannot be decoded: '
                         f'{places}', 'restore the video, or convert the bags again')
                 for key, places in self._broken.items()]
        found += [Finding(WARNING, 'frozen', f'{key} shows the same picture for '
                          f'{FROZEN_S:g} s and longer while the robot moves: {places}',
                          'a camera driver that hung; take the episode out with `dpr edit`, and '
                          'set frozen_after in the contract')
                  for key, places in self._frozen.items()]
        return found + [Finding(WARNING, 'black', f'{key} is black in {places.count} rows: '
                                f'{places}', 'is the lens covered, or the exposure wrong?')
                        for key, places in self._black.items()]

    def _look_at_all(self, rows, key, state_range, moments):
        """Decode an episode and compare each picture with those before."""
        episode, state = rows.episode, rows.columns.get(self._source.state_key)
        kept, since, row, total = None, 0, -1, 0.0
        black, feature = [], self._source.features[key]
        for row, raw in enumerate(self._source.pictures(episode, key)):
            picture, grid = viewable(raw, feature), thinned(raw)
            if row in moments and episode.index in self._shown:
                moments[row] = _thumbnail(picture)
            small = thinned(picture)
            total += small.mean(axis=(0, 1))
            if small.max() <= BLACK:
                black.append(row)
            if kept is None or not _is_same(grid, kept):
                self._end_run(key, episode, since, row, state, state_range)
                kept, since = grid, row
        self._end_run(key, episode, since, row + 1, state, state_range)
        if row >= 0:
            self.episode_means[episode.index, key] = total / (row + 1) / 255
        if black:
            self._black.setdefault(key, Places()).add(
                f'episode {episode.index} from row {black[0]} on', len(black))

    def _end_run(self, key, episode, since, end, state, state_range):
        """Note that rows ``since`` to ``end`` show one picture, if it should have changed."""
        if end - since < FROZEN_S * self._source.rate_hz or state is None or state_range is None \
                or len(state) < end:
            return
        moved = np.ptp(state[since:end], axis=0) > MOVEMENT * state_range
        if (moved & (state_range > 0)).any():
            self._frozen.setdefault(key, Places()).add(
                f'episode {episode.index} rows {since} to {end - 1}')


def _is_same(one, other):
    """Tell whether two pictures show the same, but for what a codec makes of 8 bits."""
    if one.dtype != np.uint8:
        return np.array_equal(one, other, equal_nan=one.dtype.kind == 'f')
    apart = np.abs(one.astype(np.int16) - other)
    return apart.mean() < SAME_MEAN and apart.max() <= SAME_MOST


def _thumbnail(picture) -> bytes:
    """Return a small JPEG of a picture."""
    width = min(THUMBNAIL_WIDTH, picture.shape[1])
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    small = cv2.cvtColor(small, cv2.COLOR_GRAY2RGB) if small.ndim == 2 else small
    done, jpeg = cv2.imencode('.jpg', small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return jpeg.tobytes() if done else b''


def viewable(picture, feature):
    """
    Return a picture of any kind as uint8.

    :param picture: ``(height, width, channels)``; depth becomes 8 bits per 5.1 m, floats up to 1
        and up to 255 both their colour.
    :param feature: How the dataset describes it.
    """
    if picture.dtype == np.uint8:
        return picture
    values = np.nan_to_num(picture.astype(np.float32))
    unit = (feature.get('info') or {}).get('depth_unit')
    if unit:
        values = values * ({'mm': 1.0, 'm': 1000.0}[unit] / MM_PER_LEVEL)
    elif values.max(initial=0.0) <= 1.0:
        values = values * 255.0
    return np.clip(values, 0, 255).astype(np.uint8)
