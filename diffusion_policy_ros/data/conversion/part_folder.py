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

"""The folder of a conversion under way: what is finished in it is used when it is run again."""

from contextlib import suppress
from dataclasses import asdict
import fcntl
import hashlib
import json
import os
from pathlib import Path
import shutil

from diffusion_policy_ros.data.conversion.summary import PieceReport
from diffusion_policy_ros.data.files import write_json, writing
from diffusion_policy_ros.data.new_folder import check_new, in_the_way, unfinished_path
from diffusion_policy_ros.errors import DatasetError

MANIFEST = 'manifest.json'
PIECES = 'pieces'
LOCK = 'lock'


class PartFolder:
    """
    ``<out>.part``: one finished dataset per bag, and a manifest that tells of what.

    Use it as a context manager: one conversion at a time works in it.

    :ivar path: The folder.
    """

    def __init__(self, out, manifest):
        """
        Create the folder, or go on with the one that the same conversion left behind.

        :param out: Folder of the dataset, which must not exist.
        :param manifest: What identifies the conversion, as JSON holds it: inputs and settings.
        :raises DatasetError: if the dataset exists, if what is there is of another conversion or
            still under way, or if the disk cannot be written.
        """
        self.path = unfinished_path(out)
        stored = self._stored(out)
        if stored is not None and stored != manifest:
            raise DatasetError(
                f'{self.path} is left of a conversion with other {_difference(stored, manifest)}. '
                'Run that one again to finish it, remove the folder to convert anew, or choose '
                'another --out')
        with writing(self.path):
            (self.path / PIECES).mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / LOCK, 'w', encoding='utf-8')
            self._take_lock()
            if stored is None:
                write_json(self.path / MANIFEST, manifest, is_durable=True)

    def finished(self, key):
        """
        Return the report of a piece that an earlier run finished, None where it did not.

        :param key: Number of the bag and of its part, from 0.
        """
        try:
            report = PieceReport(**json.loads(self._report_path(key).read_text('utf-8')))
        except (OSError, ValueError, TypeError):
            return None
        whole = all(_size(self.piece(report) / name) == size
                    for name, size in report.files.items())
        return report if whole else None

    def new_piece(self, key) -> Path:
        """
        Return the folder to convert a bag into; each attempt adds a word to its name.

        :param key: Number of the bag and of its part, from 0.
        """
        return self.path / PIECES / _name(key)

    def piece(self, report) -> Path:
        """
        Return the folder of a finished piece.

        :param report: Its ``PieceReport``.
        """
        return self.path / PIECES / report.folder

    def keep(self, key, report) -> None:
        """
        Note that a piece is finished, so that no later run converts it again.

        One that failed is tried again: a disk that did not answer may do so then.

        :param key: Number of the bag and of its part, from 0.
        :param report: Its ``PieceReport``.
        :raises DatasetError: if the piece is not there, or the disk cannot be written.
        """
        for name, size in report.files.items():
            if _size(self.piece(report) / name) != size:
                raise DatasetError(f'{self.piece(report) / name} is not here, though it was '
                                   'written; the machines of a cluster must share the folder of '
                                   '--out under one path')
        if not report.skipped:
            with writing(self.path):
                write_json(self._report_path(key), asdict(report), is_durable=True)

    def tidy(self, reports) -> None:
        """
        Remove what is left of pieces that were not finished.

        :param reports: The ``PieceReport`` of all finished ones.
        """
        known = {report.folder for report in reports}
        for path in (self.path / PIECES).iterdir():
            if path.is_dir() and path.name not in known:
                shutil.rmtree(path, ignore_errors=True)
        for path in self.path.iterdir():
            if path.is_dir() and path.name != PIECES:
                shutil.rmtree(path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self):
        """Return the folder."""
        return self

    def __exit__(self, *error):
        """Let others work in it; where nothing is finished, nothing is left behind."""
        if self.path.is_dir() and not list((self.path / PIECES).glob('*.json')):
            self.remove()
        self._lock.close()

    def _stored(self, out):
        """Return the manifest of what is there, None where nothing is."""
        if in_the_way(out) != self.path:
            check_new(out, DatasetError)
            return None
        try:
            return json.loads((self.path / MANIFEST).read_text('utf-8'))
        except (OSError, ValueError):
            if _is_empty_part(self.path):
                return None
            check_new(out, DatasetError)

    def _take_lock(self):
        """Refuse to work beside another process; it ends with that process."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise DatasetError(f'{self.path} is being written by another conversion; wait for it, '
                               'or choose another --out') from error
        except OSError:
            pass  # a network disk without locks

    def _report_path(self, key):
        """Return where the report of a piece is kept."""
        return self.path / PIECES / f'{_name(key)}.json'


def _name(key):
    """Name the piece of a part of a bag."""
    return '{:06d}-{:02d}'.format(*key)


def identity_of(path) -> dict:
    """
    Return what tells whether a bag is still the same: path, bytes and newest change.

    :param path: The bag.
    """
    path = Path(path)
    files = [path] if path.is_file() else [p for p in path.rglob('*') if p.is_file()]
    states = []
    with suppress(OSError):  # a broken bag is told of when it is read
        states = [file.stat() for file in files]
    return {'path': os.path.abspath(path), 'bytes': sum(s.st_size for s in states),
            'changed_ns': max((s.st_mtime_ns for s in states), default=0)}


def fingerprint(text) -> str:
    """
    Return a short word that differs for different texts.

    :param text: Any text.
    """
    return hashlib.sha256(text.encode('utf-8')).hexdigest()[:16]


def _difference(stored, manifest):
    """Say in what a conversion differs from the one that is asked for."""
    settings = {**stored.get('settings', {}), **manifest['settings']}
    for name in settings:
        before, now = (m.get('settings', {}).get(name) for m in (stored, manifest))
        if before != now:
            return f'settings ({name}: {before} then, {now} now)'
    return 'bags, or bags that have changed since'


def _is_empty_part(path):
    """Tell whether a folder was begun by a conversion that was killed at once."""
    names = {p.name for p in path.iterdir()} if path.is_dir() else {''}
    return names <= {PIECES, LOCK, f'{MANIFEST}.tmp'} and not any(path.glob(f'{PIECES}/*'))


def _size(path):
    """Return the size of a file in bytes, None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None
