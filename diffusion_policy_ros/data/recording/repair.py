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


"""
Make whole bags of what a killed recorder, or a power loss, left in the output folder.

The whole messages are copied into a fresh bag, with the contract and the task that lay beside
the damaged one. Only when that is complete does it take the place of the damaged one, which goes
to the folder ``unrepaired``. A repair that is itself killed is done again at the next start.
"""

import os
from pathlib import Path
import shutil
import threading

from diffusion_policy_ros.data.bags import durable
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import (
    all_episodes, REPAIRING, set_aside, UNREPAIRED)
from diffusion_policy_ros.data.bags.mcap_file import MAGIC
from diffusion_policy_ros.data.recording.salvage import salvaged
from diffusion_policy_ros.errors import BagError, DiffusionPolicyError


def unfinished_bags(folder) -> list:
    """
    Return the episodes of an output folder that were not closed, in the order of their numbers.

    :param folder: The output folder; it need not exist.
    """
    return [path for path in all_episodes(folder) if _is_bag(path) and not is_closed(path)]


def is_closed(path) -> bool:
    """
    Tell whether a bag has its metadata, and a file with an end.

    :param path: Folder of the bag.
    """
    path = Path(path)
    files = list(path.glob('*.mcap'))
    return (path / 'metadata.yaml').is_file() and bool(files) and all(map(_has_end, files))


def repair_all(folder):
    """
    Repair every unfinished episode of an output folder.

    :param folder: The output folder; it need not exist.
    :return: Iterator of one sentence for each that was found: what was saved and where, or why
        not.
    """
    _end_what_was_begun(folder)
    for path in unfinished_bags(folder):
        try:
            sentence = repair(path)
            if sentence:
                yield sentence
        except (DiffusionPolicyError, OSError) as error:
            yield f'{path} was not closed, and could not be repaired: {error}'
    _remove_if_empty(Path(folder) / REPAIRING)


def repair(path) -> str:
    """
    Replace an unfinished episode by a whole one that holds all its whole messages.

    :param path: Folder of the episode.
    :return: What was saved, one sentence; empty where it has been closed meanwhile.
    :raises BagError: if nothing can be read or written; the damaged bag is then where it was, or
        in ``unrepaired`` where it holds no message at all.
    """
    path = Path(path)
    try:
        lock = durable.FolderLock(path)
    except BlockingIOError:
        return f'{path} is being recorded by another program; it was left alone'
    try:
        if is_closed(path):
            return ''  # since somebody saw that it was not: by who recorded it, or repaired it
        built = path.parent / REPAIRING / path.name
        shutil.rmtree(built, ignore_errors=True)
        count, last_ns = _rebuild(path, built)
        if not count:
            shutil.rmtree(built)
            return (f'{path} was not closed and holds no whole message; it was moved to '
                    f'{set_aside(path, UNREPAIRED)}')
        kept = set_aside(path, UNREPAIRED)
        built.rename(path)
        durable.sync(path.parent)
    finally:
        lock.release()
    return (f'{path} was not closed: {count} whole messages up to {last_ns / 1e9:.3f} s were '
            f'saved; what came in the last second before the end may be missing. The damaged '
            f'original is kept in {kept}')


def _rebuild(path, built):
    """Copy the whole messages into a fresh bag; return their number and the time of the last."""
    fields = durable.read_note(path)
    count, last_ns = 0, 0
    with EpisodeBag(built, None, fields=fields) as bag:
        for file in _files_with_anything(path):
            for topic, message_type, definition, data, receive_ns in salvaged(file):
                bag.write(topic, message_type, data, receive_ns, definition)
                count, last_ns = count + 1, max(last_ns, receive_ns)
        bag.set_field('repaired', f'{count} messages of a bag that was not closed; what came in '
                      'the last second before the end may be missing')
    return count, last_ns


def _end_what_was_begun(folder):
    """Do the last step of a repair, or of closing a bag, before which a program was killed."""
    for built in all_episodes(Path(folder) / REPAIRING):
        place = Path(folder) / built.name
        if not place.exists() and is_closed(built) and not (built / durable.NOTE).exists():
            built.rename(place)
    for path in all_episodes(folder):
        if (path / durable.NOTE).exists() and is_closed(path) and not _is_locked(path):
            durable.remove_note(path)


def _is_locked(path):
    """Tell whether another program is writing into a folder."""
    try:
        durable.FolderLock(path).release()
    except BlockingIOError:
        return True
    return False


def _is_bag(path):
    """Tell whether a folder holds messages."""
    return any(path.glob('*.mcap'))


def _files_with_anything(path):
    """Return the files of a bag into which the recorder came to write."""
    return [file for file in sorted(path.glob('*.mcap')) if file.stat().st_size >= len(MAGIC)]


def _has_end(file):
    """Tell whether an mcap file ends as it must."""
    if file.stat().st_size < 2 * len(MAGIC):
        return False
    with open(file, 'rb') as stream:
        stream.seek(-len(MAGIC), os.SEEK_END)
        return stream.read() == MAGIC


def _remove_if_empty(folder):
    """Remove the folder in which repairs are made, when nothing is left in it."""
    try:
        folder.rmdir()
    except OSError:
        pass


class RepairWorker:
    """
    Repairs an output folder in a thread of its own, begun at once.

    :ivar sentences: One for each unfinished episode that was found, so far.
    :ivar is_done: Whether all is done.
    """

    def __init__(self, folder):
        """
        Begin.

        :param folder: The output folder; it need not exist.
        """
        self.sentences, self.is_done = [], False
        # A daemon: what it is killed in the middle of is done at the next start.
        self._thread = threading.Thread(target=self._run, args=(folder,), daemon=True)
        self._thread.start()

    def _run(self, folder):
        """Repair, and keep what there is to tell."""
        try:
            self.sentences.extend(repair_all(folder))
        except (BagError, OSError) as error:
            self.sentences.append(f'{folder} could not be searched for unfinished episodes: '
                                  f'{error}')
        finally:
            self.is_done = True
