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

"""All storage files of one bag together, and what its metadata promised of them."""

from copy import copy
from dataclasses import replace
import os

from diffusion_policy_ros.data.bags.bag_paths import storage_files
from diffusion_policy_ros.data.bags.metadata import Metadata, NAME, read_metadata
from diffusion_policy_ros.data.bags.stored import named, Scratch
from diffusion_policy_ros.data.bags.survey import check_kind, Survey
from diffusion_policy_ros.errors import BagError
import numpy as np


class BagFiles:
    """
    The files of one bag.

    They are read once, completely, as soon as anything but the metadata is asked for.

    :ivar metadata: The ``Metadata``; empty where the bag has none.
    """

    def __init__(self, path, is_folder):
        """
        Find the files.

        :param path: The bag.
        :param is_folder: Whether it is a folder; else it is one storage file.
        :raises BagError: if not one of its files is there and of a known kind.
        """
        self._path = path
        self._scratch = Scratch()
        self._surveys = None
        self._counted = self._indexed = None
        self.metadata = read_metadata(path) if is_folder else _metadata_beside(path)
        self._losses = list(self.metadata.losses)
        self._files, refused = [], []
        for file in self._listed() if is_folder else [path]:
            try:
                if not file.is_file():
                    raise BagError(f'{file.name} {_why_no_file(file)}')
                check_kind(file)
                self._files.append(file)
            except BagError as error:
                refused.append(str(error))
            except OSError as error:
                refused.append(f'{file.name} cannot be read: {error.strerror}')
        self._losses += refused or ([] if self._files else ['it has no storage file'])
        if not self._files:
            raise BagError(f'cannot read the bag {path}: {"; ".join(self._losses)}')

    def channels(self) -> list:
        """Return every ``Channel`` of every file."""
        return [channel for survey in self._survey() for channel in survey.channels.values()]

    def counts(self) -> dict:
        """Return ``{topic: (type, promised or None, found)}``."""
        if self._counted is None:
            self._counted = self._count()
        return self._counted

    def index(self, names):
        """
        List the messages of some topics in the order of writing.

        :param names: Recorded topics, which are numbered as listed.
        :return: Their arrivals, int64 ``(messages,)`` in ns, the numbers of their topics
            ``(messages,)``, and what ``fetch`` takes of each, ``(messages, 2)``.
        """
        names = list(names)
        if self._indexed is None or self._indexed[0] != names:
            self._indexed = names, self._index(names)
        return self._indexed[1]

    def _index(self, names):
        """Do what ``index`` says; each episode of a cut asks for the same again."""
        times_ns, topics, numbers = [], [], []
        for place, survey in enumerate(self._survey()):
            topic_of = {key: names.index(channel.topic)
                        for key, channel in survey.channels.items() if channel.topic in names}
            mine = np.flatnonzero(np.isin(survey.keys, list(topic_of)))
            times_ns.append(survey.times_ns[mine])
            topics.append(np.array([topic_of[key] for key in survey.keys[mine].tolist()], int))
            numbers.append(np.stack([np.full(len(mine), place), mine], axis=1))
        return np.concatenate(times_ns), np.concatenate(topics), np.concatenate(numbers)

    def fetch(self, place, number):
        """
        Read one message.

        :param place: Number of its file.
        :param number: Its number in the file.
        :return: Its ``Channel`` and its bytes.
        :raises BagError: if the file was changed meanwhile.
        """
        survey = self._survey()[place]
        try:
            return survey.channels[int(survey.keys[number])], survey.fetch(int(number))
        except Exception as error:  # it was read before
            raise BagError(f'{self._path}: a message could not be read a second time, so its file '
                           f'was changed meanwhile, or is damaged: {error}') from error

    def part(self, numbers):
        """
        Return what holds some messages only, without promises and losses.

        :param numbers: What ``index`` gives of each, ``(messages, 2)``.
        :return: Other ``BagFiles``, which can be sent to another process.
        """
        surveys, part = self._survey(), copy(self)
        part._scratch, part._losses = Scratch(), []
        part._counted = part._indexed = None
        part.metadata = replace(self.metadata, promised=None)
        part._surveys = [survey.part(numbers[numbers[:, 0] == place, 1], part._scratch)
                         for place, survey in enumerate(surveys)]
        return part

    @property
    def are_copied(self) -> bool:
        """Tell whether a file could only be read by way of a temporary one."""
        self._survey()
        return self._scratch.is_used

    def losses(self, topics) -> list:
        """
        Say what could not be read, and where counts are not as promised.

        :param topics: Topics whose counts matter.
        """
        losses = self._losses + [loss for survey in self._surveys or [] for loss in survey.losses]
        if losses and self._surveys is not None and not self._promises():
            losses.append('nothing tells how many messages the bag should hold')
        if self._surveys is not None:
            losses += [loss for topic in topics for loss in self._mismatches(topic)]
        return losses

    def excuse(self) -> str:
        """Return what is known of damages, to follow the sentence that they may explain."""
        losses = self.losses(())
        return f'. {"; ".join(losses)}' if losses else ''

    def close(self) -> None:
        """Close the files, and remove what was decompressed."""
        for survey in self._surveys or []:
            survey.close()
        self._scratch.close()

    def _listed(self):
        """Return the files by the metadata, by what is there where it does not tell."""
        try:
            there = storage_files(self._path)
        except OSError as error:
            there = []
            self._losses.append(f'{self._path} cannot be listed: {error.strerror}')
        names = self.metadata.files
        if names is None:
            return there
        listed = list(dict.fromkeys(_present(self._path / name) for name in names))
        known = {_unpacked_name(name) for name in names}
        others = [file.name for file in there if _unpacked_name(file.name) not in known]
        if others:
            is_one = len(others) == 1
            self._losses.append(
                f'{named(others)} {"is" if is_one else "are"} not listed in {NAME}, and '
                f'{"was" if is_one else "were"} not read; `ros2 bag reindex` lists '
                f'{"it" if is_one else "them"}')
        return listed

    def _survey(self):
        """Return what is in the files, read when it is first needed."""
        if self._surveys is None:
            surveys, refused = [], []
            try:
                for file in self._files:
                    try:
                        surveys.append(Survey(file, self._scratch))
                    except BagError as error:
                        refused.append(str(error))
                    except Exception as error:  # parsers of foreign bytes may raise anything
                        refused.append(f'{file.name} cannot be read: {type(error).__name__}: '
                                       f'{error}')
                if not surveys:
                    raise BagError(f'cannot read the bag {self._path}: {"; ".join(refused)}')
            except BaseException:
                for survey in surveys:
                    survey.close()
                raise
            self._losses += refused
            self._surveys = surveys
        return self._surveys

    def _count(self):
        """Add up the files, and what is promised of them."""
        kinds, found = {}, {}
        for survey in self._survey():
            for key, number in survey.counts().items():
                channel = survey.channels[key]
                kinds.setdefault(channel.topic, {})[channel.type] = None
                found[channel.topic] = found.get(channel.topic, 0) + number
        _, promised = (self._promises() or [('', None)])[0]
        for topic, (kind, _) in (self.metadata.promised or {}).items():
            kinds.setdefault(topic, {kind: None})
        return {topic: (' and '.join(own),
                        None if promised is None else promised.get(topic, 0),
                        found.get(topic, 0)) for topic, own in kinds.items()}

    def _promises(self):
        """List (who promises, ``{topic: messages}``): the metadata, then the files themselves."""
        promises = []
        if self.metadata.promised is not None:
            promises.append((NAME, {topic: count for topic, (_, count)
                                    in self.metadata.promised.items()}))
        own = [survey.promised for survey in self._survey()]
        if len(own) == len(self._files) and None not in own:
            promises.append(('its own index', {
                topic: sum(promise.get(topic, 0) for promise in own)
                for topic in {topic for promise in own for topic in promise}}))
        return promises

    def _mismatches(self, topic):
        """Say where a topic is not as promised."""
        kind, _, found = self.counts()[topic]
        told = {found}
        for source, promise in self._promises():
            promised = promise.get(topic, 0)
            if promised not in told:
                yield f'{source} promises {promised} messages on {topic}, {found} were found'
            told.add(promised)
        said = (self.metadata.promised or {}).get(topic, (kind, 0))[0]
        if said != kind:
            yield f'{NAME} says that {topic} carries {said}, the files say {kind}'


def _why_no_file(path):
    """Return why a path is no file."""
    if os.path.exists(path):
        return 'is no regular file'
    return 'is a link to nothing' if os.path.islink(path) else 'is missing'


def _unpacked_name(name):
    """Return the name of a file as it is, or would be, when it is not compressed as a whole."""
    return name.removesuffix('.zstd')


def _present(file):
    """Return a listed file as it is there: whoever packs or unpacks it may leave its old name."""
    other = file.with_name(_unpacked_name(file.name) if file.suffix == '.zstd'
                           else f'{file.name}.zstd')
    return other if os.path.isfile(other) and not os.path.isfile(file) else file


def _metadata_beside(file):
    """Return what the metadata beside a storage file says, if it is about this file alone."""
    metadata = read_metadata(file.parent)
    is_its_own = [_unpacked_name(name) for name in metadata.files or []] == [
        _unpacked_name(file.name)]
    return metadata if is_its_own else Metadata()
