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

import os
import shlex

from diffusion_policy_ros.checks import first_of, is_count, is_number, shown
from diffusion_policy_ros.contract import RECORDED
from diffusion_policy_ros.data.bags.bag_paths import find_bags, is_storage_name
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.errors import BagError, DatasetError
from diffusion_policy_ros.streams import ACTION_KEY

REMEDY = 'The file is damaged or was edited: restore it from a copy, or convert the bags again'


def check_there(folder) -> None:
    """
    Say of what is no LeRobotDataset what it is, and what makes it one.

    :param folder: ``Path`` that should be the folder of one.
    :raises DatasetError: if it has no ``meta/info.json``.
    """
    if os.path.lexists(folder / layout.INFO_PATH):
        return
    wanted = 'the folder of a LeRobotDataset v3.0 is needed, as dpr convert writes it'
    if not os.path.exists(folder):
        raise DatasetError(f'{folder} does not exist; {wanted}')
    convert = f'convert it first: dpr convert {shlex.quote(str(folder))}'
    if folder.name.endswith(('.zarr', '.zarr.zip', '.hdf5', '.h5')):
        raise DatasetError(f'{folder} is a zarr buffer or HDF5 file; {wanted}; {convert} '
                           '--contract YAML --out DATASET')
    if _holds_bags(folder):
        raise DatasetError(f'{folder} holds bags; {wanted}; {convert} --out DATASET')
    raise DatasetError(f'{folder} holds no {layout.INFO_PATH}; {wanted}')


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
        wrong += [(f'feature {shown(key)}', feature,
                   layout.is_feature(feature) and len(feature['shape']) > 0)
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
    if row['length'] != end - begin:
        raise DatasetError(f'{where} has rows {begin} to {end}, its length is '
                           f'{shown(row["length"])}. {REMEDY}')
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
    found = misfits(contract, info['features'], info['fps'])
    if found:
        raise DatasetError(
            f'{folder / layout.CONTRACT_PATH} contradicts {folder / layout.INFO_PATH}: '
            f'{first_of(found)}. Restore the one that was changed, or convert the bags again; a '
            'dataset of others gets a contract with dpr convert --contract, not by hand')


def disagreements(own, features, rate_hz, contract) -> list:
    """
    List what would make the rows of a dataset wrong under a contract.

    :param own: The ``RobotContract`` inside the dataset, None where there is none.
    :param features: Its columns, ``{key: {dtype, shape, names}}``.
    :param rate_hz: Its rows per second, Hz.
    :param contract: The ``RobotContract`` that is asked for.
    :return: One sentence per difference; empty when the contract describes the rows.
    """
    if own is not None:
        return own.disagreements(contract, mine='recorded', theirs='--contract', kinds=RECORDED)
    return misfits(contract, features, rate_hz)


def misfits(contract, features, rate_hz) -> list:
    """
    List what differs between a contract and the columns of a dataset, one sentence each.

    :param contract: ``RobotContract``.
    :param features: ``{key: {dtype, shape, names}}``.
    :param rate_hz: Rows per second of the dataset, Hz.
    """
    found = [] if contract.rate_hz == rate_hz else [
        f'rate_hz: the dataset has {rate_hz:g}, the contract {contract.rate_hz:g}']
    for key, meant in layout.contract_features(contract).items():
        stored = features.get(key)
        if key not in (*contract.keys, ACTION_KEY):
            continue
        if stored is None:
            found.append(f'{key} is in the contract only')
        elif list(stored['shape']) != meant['shape']:
            found.append(f'{key}: the dataset has shape {list(stored["shape"])}, the contract '
                         f'{meant["shape"]}')
        elif not layout.is_picture(meant):  # whose axes are called differently by other writers
            names = layout.entry_names(key, stored)
            if list(names) != meant['names']:
                found.append(f'{key}: the dataset names {", ".join(names)}, the contract '
                             f'{", ".join(meant["names"])}')
    return found


def _holds_bags(path):
    """Tell whether a path is a bag or a folder of bags."""
    if path.is_file():
        return is_storage_name(path.name)
    try:
        return bool(find_bags(path))
    except BagError:
        return False
