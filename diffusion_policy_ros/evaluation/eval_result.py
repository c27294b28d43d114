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

from diffusion_policy_ros.checks import is_count, is_number, shown, told
from diffusion_policy_ros.errors import ConfigError, DatasetError
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
from diffusion_policy_ros.json_text import parse_json
from diffusion_policy_ros.settings import flattened

RESULT = 'eval.json'
# What is in such a file besides how the run was set.
NO_SETTINGS = ('model', 'model_sha256', 'sim', 'first_seed', 'episodes', 'mean_score',
               'mean_score_95', 'success_rate', 'success_rate_95', 'seconds', 'results', 'curves',
               'live', 'comparison')
# Field of an episode: whether a value of it can be true, and which can.
FIELDS = {
    'seed': (partial(is_count, least=0), 'a whole number, at least 0'),
    'score': (lambda value: is_number(value) and 0 <= value <= 1, 'a number from 0 to 1'),
    'success': (lambda value: isinstance(value, bool), 'true or false'),
    'steps': (partial(is_count, least=0), 'a whole number, at least 0')}


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

    A folder that holds neither is one: a run that was stopped leaves it empty.

    :param path: A file, or a folder.
    """
    is_checkpoint = os.path.isfile(Path(path) / 'config.json')
    return os.path.isfile(path) or os.path.isdir(path) and not is_checkpoint


def load_result(path) -> StoredResult:
    """
    Read a result.

    :param path: JSON file of ``dpr eval --out``, or the folder that holds one.
    :raises DatasetError: naming the file and what is wrong with it.
    """
    path = Path(path)
    file = path / RESULT if os.path.isdir(path) else path
    if not os.path.exists(file):
        raise DatasetError(_missing(path))
    try:
        figures = read_figures(file)
        episodes = read_episodes(figures.pop('results', None))
        _check_figures(figures, len(episodes))
    except ConfigError as error:
        raise DatasetError(f'{file} is no result of dpr eval: {error}; name the file or the '
                           'folder of an earlier --out') from error
    return StoredResult(str(path), figures, episodes)


def read_figures(file) -> dict:
    """
    Read a JSON file that holds figures by name.

    :param file: pathlib.Path.
    :raises ConfigError: saying what is wrong, without the name of the file.
    """
    try:
        figures = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(told(error)) from error
    if not isinstance(figures, dict):
        raise ConfigError(f'it holds {shown(figures)}; it must map names to values')
    return figures


def _check_figures(figures, count):
    """Refuse what cannot be said of so many episodes."""
    sim, episodes = figures.get('sim', ''), figures.get('episodes', count)
    if not isinstance(sim, str):
        raise ConfigError(f'sim is {shown(sim)}; it must be the name of a simulation')
    if not is_count(episodes) or episodes != count:
        raise ConfigError(f'episodes is {shown(episodes)}, but results holds {count}; the file '
                          'was cut or edited')


def _missing(path):
    """Say what is not there."""
    if os.path.isdir(path):
        return (f'{path} holds no {RESULT}, which dpr eval writes at its end: that run was '
                'stopped, or it is another folder; run it again, or name another --out')
    return f'{path} does not exist; name the file or the folder of an earlier --out'


def differing_settings(first, second) -> str:
    """
    Say in which settings two evaluations differ, besides the model and the seeds.

    :param first: What was written down of one, or is going to be.
    :param second: The same of the other.
    :return: ``name value against value`` of each, with ``not told`` for what only one of them
        holds, such as a file of an earlier version; empty where there is no difference.
    """
    first, second = (flattened(json.loads(json.dumps({
        name: value for name, value in settings.items() if name not in NO_SETTINGS})))
        for settings in (first, second))
    return ', '.join(f'{name} {_told(first, name)} against {_told(second, name)}'
                     for name in {**first, **second}
                     if name not in first or name not in second or first[name] != second[name])


def _told(settings, name):
    """Write the value of a setting, where there is one."""
    return shown(settings[name]) if name in settings else 'not told'


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


def read_episodes(entries) -> tuple:
    """
    Read episodes, as ``dataclasses.asdict`` writes them.

    :param entries: List of mappings from JSON, or whatever else was found there.
    :return: ``EpisodeResult`` objects of different seeds, at least one.
    :raises ConfigError: naming what cannot be true, and what can.
    """
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f'results is {shown(entries)}; it must be a list of episodes')
    episodes = tuple(_read_episode(*entry) for entry in enumerate(entries))
    seen = set()
    for number, episode in enumerate(episodes):
        if episode.seed in seen:
            raise ConfigError(f'results[{number}].seed is {episode.seed}, as in an episode before '
                              'it; each seed may be there once')
        seen.add(episode.seed)
    return episodes


def _read_episode(number, entry):
    """Read one episode."""
    where = f'results[{number}]'
    if not isinstance(entry, dict) or not FIELDS.keys() <= entry.keys():
        raise ConfigError(f'{where} is {shown(entry)}; it must hold {", ".join(FIELDS)}')
    for name, (is_possible, wanted) in FIELDS.items():
        if not is_possible(entry[name]):
            raise ConfigError(f'{where}.{name} is {shown(entry[name])}; it must be {wanted}')
    return EpisodeResult(**{name: entry[name] for name in FIELDS})
