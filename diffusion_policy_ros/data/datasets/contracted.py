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

"""A dataset of others under a robot contract that is checked to fit it."""

from diffusion_policy_ros.checks import first_of, suggestion
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.datasets.dataset_checks import misfits
from diffusion_policy_ros.data.datasets.episode_rows import whole_pixels
from diffusion_policy_ros.errors import DatasetError, DecodeError
from diffusion_policy_ros.observation.pixels import to_picture
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np

COLOURS = {3: 'rgb8', 1: 'mono8'}


class ContractedSource:
    """
    The columns of a dataset that a contract names, as the contract says; a ``FrameSource``.

    :ivar path: Path of the dataset.
    :ivar contract: The ``RobotContract``.
    :ivar left_out: Columns of the dataset that the contract does not name.
    :ivar by_order: Keys whose entries are taken for the contract's by their order alone.
    """

    def __init__(self, source, contract, *, renames=None, is_by_order=False):
        """
        Check that a contract fits a dataset: keys, shapes, names where they are known, rate.

        :param source: A ``FrameSource`` without a contract.
        :param contract: The ``RobotContract``.
        :param renames: ``{column of the dataset: key of the contract}`` where they differ.
        :param is_by_order: Whether entries that the dataset names otherwise are the contract's,
            in its order.
        :raises DatasetError: naming every difference and the remedy.
        """
        self.path = getattr(source, 'folder', None) or source.path
        if source.contract is not None:
            raise DatasetError(f'{self.path} holds a contract already, which goes along; leave '
                               '--contract out')
        if source.rate_hz is None:
            raise DatasetError(f'{self.path} does not say how many rows per second it has; give '
                               'it with --rate HZ')
        self._source, self.contract = source, contract
        wanted = layout.contract_features(contract)
        self.row_features = {key: wanted[key] for key in (*contract.keys, ACTION_KEY)}
        columns = _columns_by_key(source.row_features, renames or {}, wanted, self.path)
        self._columns = {key: columns[key] for key in self.row_features if key in columns}
        self.left_out = tuple(name for key, name in columns.items() if key not in wanted)
        self.by_order = tuple(
            key for key, name in self._columns.items()
            if not layout.is_picture(wanted[key])
            and _is_by_order(key, source.row_features[name], wanted[key], is_by_order))
        self._check(source, is_by_order)
        self.rate_hz, self.robot_type = source.rate_hz, contract.robot
        self.episode_ends = source.episode_ends

    def read_episodes(self, keys=None):
        """Read everything in order, few rows at a time; see ``FrameSource``."""
        wanted = self.row_features if keys is None else keys
        columns = [self._columns[key] for key in wanted]
        for task, rows in self._source.read_episodes(columns):
            yield task, ({key: self._value(key, row) for key in wanted} for row in rows)

    def _check(self, source, is_by_order):
        """Refuse a contract that does not describe the rows."""
        features, wrong = {}, []
        for key, name in self._columns.items():
            try:
                features[key] = self._feature(key, name, source.row_features[name])
            except DecodeError as error:
                features[key] = self.row_features[key]
                wrong.append(str(error))
        wrong += misfits(self.contract, features, source.rate_hz)
        if not wrong:
            return
        remedy = ('change the contract, or say with --rename COLUMN=KEY which column is which '
                  'key')
        if not is_by_order and any(': the dataset names ' in sentence for sentence in wrong):
            remedy += ('; where only the names of entries differ, and their order is that of the '
                       'contract, --by-order takes them')
        held = ', '.join(f'{name} {feature["shape"]}'
                         for name, feature in source.row_features.items())
        raise DatasetError(f'the contract does not fit {self.path}: {first_of(wrong)}. The '
                           f'dataset has: {held}. Remedy: {remedy}')

    def _feature(self, key, name, stored):
        """Describe a column as it is once it is made what the contract says."""
        if layout.is_picture(self.row_features[key]) and len(stored['shape']) == 3:
            self._picture(key, np.zeros(stored['shape'], layout.array_dtype(stored)))
            return self.row_features[key]
        if not layout.is_picture(stored) and layout.array_dtype(stored).kind not in 'biuf':
            raise DecodeError(f'{name} holds {stored["dtype"]} instead of numbers')
        names = self.row_features[key]['names'] if key in self.by_order else \
            list(layout.entry_names(key, stored))
        return {**stored, 'shape': list(stored['shape']) or [1], 'names': names}

    def _value(self, key, row):
        """Return one value of a row as the contract says."""
        value = row[self._columns[key]]
        if layout.is_picture(self.row_features[key]):
            return self._picture(key, value)
        return np.asarray(value, np.float32).reshape(self.row_features[key]['shape'])

    def _picture(self, key, value):
        """Bring a picture to the contract's size and encoding, as the live node does."""
        spec, where = self.contract.streams_of(key)[0].image, self._columns[key]
        channels, is_depth = value.shape[2], spec.encoding in layout.DEPTH_UNITS
        if value.dtype == np.uint16 and channels == 1:
            return to_picture(value, '16UC1', spec, where)
        if value.dtype.kind == 'f' and channels == 1 and is_depth:
            return to_picture(value.astype(np.float32), '32FC1', spec, where)
        if channels not in COLOURS:
            raise DecodeError(f'{where} has rows of shape {list(value.shape)}; pictures are '
                              '[height, width, 3 or 1]')
        return to_picture(whole_pixels(where, value, np.uint8), COLOURS[channels], spec, where)


def _columns_by_key(features, renames, wanted, path):
    """Return ``{key: column of the dataset}``."""
    columns = {}
    for name in renames:
        if name not in features:
            raise DatasetError(f'--rename {name}={renames[name]}: {path} has no such column; '
                               f'{suggestion(name, features)}')
        if renames[name] not in wanted:
            raise DatasetError(f'--rename {name}={renames[name]}: the contract has no such key; '
                               f'{suggestion(renames[name], wanted)}')
    taken = set(renames.values())
    for name in features:
        key = renames.get(name, name)
        if name not in renames and key in taken:
            key = f'{name} (not renamed)'  # another column was given its name
        if key in columns:
            raise DatasetError(f'--rename: {columns[key]} and {name} would both be {key}')
        columns[key] = name
    return columns


def _is_by_order(key, stored, wanted, is_asked):
    """Tell whether the entries of a column are known by their order alone."""
    names = layout.entry_names(key, stored)
    if names == layout.entry_names(key, {**stored, 'names': None}):
        return True  # nobody named them
    return is_asked and sorted(names) != sorted(wanted['names'])
