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
from functools import partial
import json
import os
from pathlib import Path

from diffusion_policy_ros.checks import is_count, is_number, shown
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.rollout import EpisodeResult

RESULT = 'eval.json'
# Field of an episode: whether a value of it can be true.
FIELDS = {'seed': partial(is_count, least=0), 'success': lambda value: isinstance(value, bool),
          'score': lambda value: is_number(value) and 0 <= value <= 1,
          'steps': partial(is_count, least=0)}


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
        episodes = tuple(read_episode(entry) for entry in figures.pop('results'))
        if len({episode.seed for episode in episodes}) < max(len(episodes), 1):
            raise ValueError('a seed is in it twice' if episodes else 'no episode in it')
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
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
    if sim is not None and its != sim:
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


def read_episode(entry) -> EpisodeResult:
    """
    Read one episode, as ``dataclasses.asdict`` writes it.

    :param entry: Mapping from JSON, or whatever else was found there.
    :raises ValueError: if a value cannot be true; LookupError or TypeError where there is none.
    """
    for name, is_possible in FIELDS.items():
        if not is_possible(entry[name]):
            raise ValueError(f'{name} is {shown(entry[name])}')
    return EpisodeResult(**{name: entry[name] for name in FIELDS})
