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

"""What ``dpr eval`` leaves behind, and reading it back for a comparison."""

from dataclasses import dataclass
import json
import os
from pathlib import Path

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.rollout import EpisodeResult

RESULT = 'eval.json'
FIELDS = {'seed': int, 'score': (int, float), 'success': bool, 'steps': int}


@dataclass(frozen=True)
class StoredResult:
    """
    Results of an earlier evaluation.

    :ivar name: What it is called in a comparison: its folder, else its file.
    :ivar settings: Everything else that was written down.
    :ivar episodes: One ``EpisodeResult`` per episode.
    """

    name: str
    settings: dict
    episodes: tuple


def is_result(path) -> bool:
    """
    Tell whether a path is a result of ``dpr eval`` rather than a checkpoint.

    :param path: A file, or a folder.
    """
    is_checkpoint = os.path.isfile(Path(path) / 'config.json')
    return os.path.isfile(path) or os.path.isfile(Path(path) / RESULT) and not is_checkpoint


def load_result(path) -> StoredResult:
    """
    Read a result.

    :param path: JSON file of ``dpr eval --out``, or the folder that holds one.
    :raises DatasetError: naming the file and what is wrong with it.
    """
    path = Path(path)
    file = path / RESULT if path.is_dir() else path
    try:
        figures = json.loads(file.read_text(encoding='utf-8'))
        episodes = tuple(_episode(entry) for entry in figures.pop('results'))
        if not episodes:
            raise ValueError('no episode in it')
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f'{file} is no result of dpr eval ({type(error).__name__}: {error}); '
                           'name the file or the folder of an earlier --out') from error
    return StoredResult(str(path), figures, episodes)


def check_same(stored, sim) -> None:
    """
    Refuse results of different tasks.

    :param stored: ``StoredResult``.
    :param sim: Name of the simulation that the other is of.
    :raises DatasetError: naming both.
    """
    its = stored.settings.get('sim', sim)
    if its != sim:
        raise DatasetError(f'{stored.name} is of the simulation {its}, not of {sim}; compare what '
                           'ran in the same one')


def check_seeds(stored, sim, seeds) -> None:
    """
    Refuse a stored result that cannot be compared episode by episode.

    :param stored: ``StoredResult``.
    :param sim: Name of the simulation that is to run.
    :param seeds: Seeds that are to run.
    :raises DatasetError: naming what differs.
    """
    check_same(stored, sim)
    known = {episode.seed for episode in stored.episodes}
    missing = [seed for seed in seeds if seed not in known]
    if missing:
        raise DatasetError(
            f'{stored.name} holds the seeds {min(known)} to {max(known)}, but not '
            f'{missing[0]}, which is to run; choose --seed and --episodes within them')


def _episode(entry):
    """Read one episode."""
    for name, kind in FIELDS.items():
        if not isinstance(entry[name], kind):
            raise ValueError(f'{name} is {entry[name]!r}')
    return EpisodeResult(**{name: entry[name] for name in FIELDS})
