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

from diffusion_policy_ros.checks import is_number, shown
from diffusion_policy_ros.data.datasets.video import (
    describe_video, frame_times, rows_without_frame, TIME_TOLERANCE_S)
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, Places, WARNING
from diffusion_policy_ros.evaluation.dataset.source import RESTORE

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
                times = frame_times(file)
                self._describe(key, file)
            except DatasetError as error:
                unreadable.add(str(error))
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
        told = (self._source.features[key].get('info') or {}).get('video.fps')
        # LeRobot rounds it down.
        is_near = told is None or is_number(told) and abs(told - self._source.rate_hz) < 1
        if not is_near:
            found.append(Finding(ERROR, 'videos', f'{key}: video.fps of meta/info.json is '
                                 f'{shown(told)}, fps is {self._source.rate_hz:g}', RESTORE))
        return found

    def _by_file(self, key):
        """Group the episodes by the file that shows them."""
        groups = {}
        for episode in self._source.episodes:
            groups.setdefault(episode.videos[key][0], []).append(episode)
        return groups

    def _describe(self, key, file):
        """Remember what the first video of a camera is."""
        if key not in self.facts:
            found = describe_video(file)
            self.facts[key] = tuple(found[f'video.{name}']
                                    for name in ('codec', 'pix_fmt', 'width', 'height'))

    def _compare(self, key, episodes, times, lost):
        """Look for a frame at the time of every row."""
        for episode in episodes:
            is_lost = rows_without_frame(times, episode.videos[key][1], episode.length,
                                         self._source.rate_hz)
            if is_lost.any():
                self.broken.add((key, episode.index))
                lost.add(f'episode {episode.index} from row {int(is_lost.argmax())} on',
                         int(is_lost.sum()))
