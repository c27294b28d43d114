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

"""Does every row have its frame: videos counted packet by packet, without decoding."""

from contextlib import suppress

import av
from diffusion_policy_ros.data.datasets.video import TIME_TOLERANCE_S
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, Places, WARNING
import numpy as np

REMEDY = 'restore the video from a copy, or convert the bags again'


class VideoCheck:
    """
    Count the frames of all videos.

    :ivar facts: ``{camera: (codec, pixel format, width, height)}`` of the first file.
    :ivar broken: Set of (camera, episode number) that have no frame for some row.
    """

    def __init__(self, source):
        """
        Begin with no video.

        :param source: ``LeRobotSource``.
        """
        self._source = source
        self.facts, self.broken = {}, set()

    def look(self, key, progress) -> list:
        """
        Look at all videos of a camera.

        :param key: The camera.
        :param progress: Called with the number of rows looked at.
        :return: Findings.
        """
        lost, extra, unreadable = Places(), Places(), Places()
        for file, episodes in self._by_file(key).items():
            try:
                times = self._frame_times(key, file)
            except (av.FFmpegError, IndexError, OSError) as error:
                unreadable.add(f'{file.relative_to(self._source.folder)} ({error})')
                self.broken |= {(key, episode.index) for episode in episodes}
                times = None
            if times is not None:
                self._compare(key, episodes, times, lost)
                more = len(times) - sum(episode.length for episode in episodes)
                if more > 0:
                    extra.add(f'{more} in {file.relative_to(self._source.folder)}', more)
            progress(sum(episode.length for episode in episodes))
        return self._findings(key, lost, extra, unreadable)

    def _findings(self, key, lost, extra, unreadable):
        """Put into words what was counted."""
        found = []
        if unreadable:
            found.append(Finding(ERROR, 'videos', f'{key}: {unreadable.count} files cannot be '
                                 f'read: {unreadable}', REMEDY))
        if lost:
            found.append(Finding(ERROR, 'videos', f'{key}: {lost.count} rows have no frame within '
                                 f'{TIME_TOLERANCE_S:g} s of their time: {lost}', REMEDY))
        if extra:
            found.append(Finding(WARNING, 'videos', f'{key}: {extra.count} frames belong to no '
                                 f'row: {extra}', 'nothing reads them; they take room'))
        wanted, facts = self._source.features[key]['shape'], self.facts.get(key)
        if facts and list(facts[2:]) != [wanted[1], wanted[0]]:
            found.append(Finding(ERROR, 'videos', f'{key}: pictures are {facts[2]}x{facts[3]}, '
                                 f'info.json says {wanted[1]}x{wanted[0]}', REMEDY))
        return found

    def _by_file(self, key):
        """Group the episodes by the file that shows them."""
        groups = {}
        for episode in self._source.episodes:
            groups.setdefault(episode.videos[key][0], []).append(episode)
        return groups

    def _frame_times(self, key, file):
        """Return when the frames of a file are shown, in order, s."""
        if not file.is_file():
            raise FileNotFoundError('it does not exist')
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            self.facts.setdefault(key, (
                stream.codec_context.codec.canonical_name, stream.pix_fmt, stream.width,
                stream.height))
            stamps = []
            with suppress(av.FFmpegError):  # a file cut off ends here; its frames are missing
                stamps += [p.pts for p in container.demux(stream) if p.pts is not None and p.size]
            return np.sort(np.array(stamps, dtype=np.float64)) * float(stream.time_base)

    def _compare(self, key, episodes, times, lost):
        """Look for a frame at the time of every row."""
        for episode in episodes:
            wanted = episode.videos[key][1] + np.arange(episode.length) / self._source.rate_hz
            after = np.searchsorted(times, wanted)
            near = np.full(episode.length, np.inf)
            for index in (after - 1, after):
                is_there = (index >= 0) & (index < len(times))
                apart = np.abs(times[index[is_there]] - wanted[is_there])
                near[is_there] = np.minimum(near[is_there], apart)
            # The times in the metadata are sums of floats.
            is_lost = near > TIME_TOLERANCE_S + 1e-9
            if is_lost.any():
                self.broken.add((key, episode.index))
                lost.add(f'episode {episode.index} from row {int(is_lost.argmax())} on',
                         int(is_lost.sum()))
