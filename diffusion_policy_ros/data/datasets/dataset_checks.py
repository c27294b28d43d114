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

"""Is a dataset's metadata whole, and does it mean what the contract beside it says."""

from diffusion_policy_ros.checks import is_count, is_number, shown
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.streams import ACTION_KEY

REMEDY = 'The file is damaged or was edited: restore it from a copy, or convert the bags again'


def check_info(path, info) -> None:
    """
    Check that ``info.json`` has what a reader needs, each of the right kind.

    :param path: Its path, for the error.
    :param info: Its content.
    :raises DatasetError: naming the file, the entry and the remedy.
    """
    if not isinstance(info, dict):
        raise DatasetError(f'{path} holds {shown(info)} instead of an object. {REMEDY}')
    version = info.get('codebase_version')
    if version != layout.CODEBASE_VERSION:
        raise DatasetError(f'{path}: codebase_version is {shown(version)}, this package reads '
                           f'{layout.CODEBASE_VERSION!r}; convert it with LeRobot first')
    features = info.get('features')
    wrong = [
        ('features', features, isinstance(features, dict) and features),
        ('fps', info.get('fps'), is_number(info.get('fps')) and info['fps'] > 0),
        ('total_episodes', info.get('total_episodes'),
         is_count(info.get('total_episodes'), least=0)),
        ('data_path', info.get('data_path'), isinstance(info.get('data_path'), str))]
    if isinstance(features, dict):
        wrong += [(f'feature {shown(key)}', feature, _is_feature(feature))
                  for key, feature in features.items()]
        if any(isinstance(f, dict) and f.get('dtype') == 'video' for f in features.values()):
            wrong.append(('video_path', info.get('video_path'),
                          isinstance(info.get('video_path'), str)))
    for name, value, is_right in wrong:
        if not is_right:
            raise DatasetError(f'{path}: {name} is {shown(value)}. {REMEDY}')


def check_episode(row, number, first, folder) -> None:
    """
    Check one row of the episode table.

    :param row: Its columns.
    :param number: Its place in the table, from 0.
    :param first: The dataset row at which the episode before it ends.
    :param folder: The dataset, for the error.
    :raises DatasetError: naming what is wrong and the remedy.
    """
    where = f'{folder}: meta/episodes row {number}'
    if row['episode_index'] != number:
        raise DatasetError(f'{where} is episode {row["episode_index"]}; they must be in order')
    begin, end = row['dataset_from_index'], row['dataset_to_index']
    if begin != first or not is_count(end, least=0) or end <= begin:
        raise DatasetError(f'{where} has rows {begin} to {end}, the episode before it ends at '
                           f'{first}. {REMEDY}')
    for name, value in row.items():
        if name == 'tasks':
            is_right = isinstance(value, list) and all(isinstance(t, str) for t in value)
        else:
            is_right = is_number(value) and value >= 0
        if not is_right:
            raise DatasetError(f'{where}: {name} is {shown(value)}. {REMEDY}')


def check_contract(contract, info, folder) -> None:
    """
    Check that the contract in a dataset describes the dataset's rows.

    :param contract: The ``RobotContract`` from ``meta/contract.yaml``.
    :param info: Content of ``meta/info.json``.
    :param folder: The dataset.
    :raises DatasetError: naming both files and both values of each difference.
    """
    found = []
    if contract.rate_hz != info['fps']:
        found.append(f'rate_hz is {contract.rate_hz:g}, fps is {info["fps"]:g}')
    for key, meant in layout.contract_features(contract).items():
        if key not in (*contract.keys, ACTION_KEY):
            continue
        stored = info['features'].get(key)
        if stored is None:
            found.append(f'{key} is in the contract only')
            continue
        # The axes of pictures are called differently by different writers.
        for name in ('shape',) if layout.is_picture(meant) else ('shape', 'names'):
            if meant[name] != stored.get(name):
                found.append(f'{key} {name} is {meant[name]}, stored is {stored.get(name)}')
    if found:
        raise DatasetError(
            f'{folder / layout.CONTRACT_PATH} contradicts {folder / layout.INFO_PATH}: '
            f'{"; ".join(found)}. Restore the one that was changed, or convert the bags again')


def _is_feature(value):
    """Tell whether a value describes a column."""
    return isinstance(value, dict) and isinstance(value.get('dtype'), str) \
        and isinstance(value.get('shape'), list) \
        and all(is_count(size, least=0) for size in value['shape']) \
        and (len(value['shape']) == 3 if layout.is_picture(value) else len(value['shape']) > 0)
