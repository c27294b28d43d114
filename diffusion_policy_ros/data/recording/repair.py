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

Every whole message is copied into a fresh bag, with the contract and the task that lay beside
the damaged one. Only when that is complete does it take the place of the damaged one, which goes
to the folder ``unrepaired``. A repair that is itself killed is done again at the next start.
"""

from pathlib import Path
import shutil
import threading
import time

from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.durable import BagLock
from diffusion_policy_ros.data.bags.episode_files import (
    all_episodes, NOTE, read_note, remove_note, REPAIRING, set_aside, State, state_of, UNREPAIRED)
from diffusion_policy_ros.data.bags.mcap_file import McapFile
from diffusion_policy_ros.data.bags.stored import Damage
from diffusion_policy_ros.data.recording.bag_copy import BagCopy
from diffusion_policy_ros.on_disk import sync

# Where nothing can be locked, what was changed so lately may be in the hands of another recorder.
FRESH_S = 10.0


def repair_all(folder):
    """
    Repair every unfinished episode of an output folder; one that is begun later is left alone.

    :param folder: The output folder; it need not exist.
    :return: Iterator of one sentence for each that was found: what was saved and where, or why
        not.
    :raises OSError: if the folder cannot be searched.
    """
    return _repair_each(folder, [
        (act, path) for act, place in ((_end_repair, Path(folder) / REPAIRING), (repair, folder))
        for path in all_episodes(place)])


def _repair_each(folder, found):
    """Yield the sentences of ``repair_all``."""
    for act, path in found:
        try:
            sentence = act(path)
        except Exception as error:  # the others are looked at, whatever is wrong with this one
            sentence = (f'{path} was not closed, and could not be repaired: '
                        f'{str(error) or type(error).__name__}')
        if sentence:
            yield sentence
    try:
        (Path(folder) / REPAIRING).rmdir()
    except OSError:
        pass  # it is not there, or not empty


def repair(path) -> str:
    """
    Replace an unfinished episode by a whole one that holds all its whole messages.

    :param path: Folder of the episode.
    :return: What was saved, one sentence; empty where there is nothing to repair.
    :raises BagError: if nothing can be read or written, or the disk has no room for a copy; the
        damaged bag is then where it was.
    """
    path = Path(path)
    if not _is_in_question(path):
        return ''
    try:
        lock = BagLock(path)
    except BlockingIOError:
        return f'{path} is being recorded by another program; it was left alone'
    try:
        if not _is_in_question(path):
            return ''  # since then: who recorded it has closed it, or another has repaired it
        # One that has no note yet is perhaps just being made: its maker locks it next.
        is_safe = lock.is_held and (path / NOTE).exists()
        if not is_safe and _is_fresh(path):
            return (f'{path} was not closed, and was changed less than {FRESH_S:.0f} s ago, '
                    'perhaps by another recorder; it was left alone until the next start')
        if state_of(path) is State.FINISHED and _is_sound(path):
            remove_note(path)
            return ''
        return _replace(path)
    finally:
        lock.release()


def _is_in_question(path):
    """Tell whether an episode may be without its end; one with its note may be so on the disk."""
    state = state_of(path)
    return state is not State.FOREIGN and (
        state is not State.FINISHED or (path / NOTE).exists())


def _is_fresh(path):
    """Tell whether something in a folder was changed just now."""
    latest_s = max(place.stat().st_mtime for place in [path, *path.iterdir()])
    return time.time() - latest_s < FRESH_S


def _is_sound(path):
    """Tell whether the files of a bag can be read from their beginning to their end."""
    for name in path.glob('*.mcap'):
        file = McapFile(name)
        try:
            if any(isinstance(item, Damage) for item in file.scan()):
                return False
        finally:
            file.close()
    return True


def _replace(path):
    """Build a whole bag and put it in the place of the damaged one; say what was saved."""
    built = path.parent / REPAIRING / path.name
    shutil.rmtree(built, ignore_errors=True)
    with EpisodeBag(built, None, fields=read_note(path)) as bag:
        copy = BagCopy(path, bag)
        bag.set_field('repaired', f'{copy.count} messages of a bag that was not closed; '
                      f'{copy.missing()}')
    if not copy.count:
        shutil.rmtree(built)
        return (f'{path} was not closed and holds no whole message; it was moved to '
                f'{set_aside(path, UNREPAIRED)}')
    lock = BagLock(built)  # nobody else may end this
    try:
        kept = set_aside(path, UNREPAIRED)
        built.rename(path)
        sync(path.parent)
    finally:
        lock.release()
    return (f'{path} was not closed: {copy.count} whole messages up to {copy.last_ns / 1e9:.3f} s '
            f'were saved; {copy.missing()}. The damaged original is kept in {kept}')


def _end_repair(built):
    """Do the last step of a repair before which a program was killed, or clear what is left."""
    place = built.parent.parent / built.name
    if place.exists() and state_of(place) is not State.FINISHED:
        return ''  # it is repaired anew
    try:
        lock = BagLock(built)
    except BlockingIOError:
        return ''  # another program is just doing so
    try:
        if not built.exists():
            return ''
        if not place.exists() and not _is_in_question(built):
            built.rename(place)
            return ''
        shutil.rmtree(built)
        return (f'{built} was removed: it is half a copy of an episode that was moved or repaired '
                'meanwhile')
    finally:
        lock.release()


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
        try:
            said = repair_all(folder)
        except OSError as error:
            said = [f'{folder} could not be searched for unfinished episodes: {error}']
        # A daemon: what it is killed in the middle of is done at the next start.
        self._thread = threading.Thread(target=self._run, args=(said,), daemon=True)
        self._thread.start()

    def _run(self, said):
        """Repair, and keep what there is to tell."""
        try:
            for sentence in said:
                self.sentences.append(sentence)
        finally:
            self.is_done = True
