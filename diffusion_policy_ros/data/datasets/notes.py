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

"""What zarr and HDF5 files have no place for: rate, robot, contract, tasks, meaning of arrays."""

from dataclasses import dataclass, field
import json
from typing import Optional

from diffusion_policy_ros.checks import is_number, shown
from diffusion_policy_ros.contract import parse_contract, RobotContract
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.errors import ContractError, DatasetError
import numpy as np

# The attribute that holds them, as JSON text.
ATTRIBUTE = 'diffusion_policy_ros'


@dataclass(frozen=True)
class Notes:
    """
    Notes beside the arrays of a file.

    :ivar rate_hz: Rows per second, Hz; None where nobody said.
    :ivar robot_type: Name of the robot.
    :ivar contract: The ``RobotContract`` or None.
    :ivar tasks: Task sentence of each episode; empty where nobody said.
    :ivar features: ``{name of the array: [key, feature]}`` of arrays that are more than numbers.
    """

    rate_hz: Optional[float] = None
    robot_type: str = 'unknown'
    contract: Optional[RobotContract] = None
    tasks: tuple = ()
    features: dict = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the attribute; empty where there is nothing to note."""
        found = {'rate_hz': self.rate_hz, 'tasks': list(self.tasks), 'features': self.features}
        if self.robot_type != 'unknown':
            found['robot_type'] = self.robot_type
        if self.contract is not None:
            found['contract'] = self.contract.to_yaml()
        found = {name: value for name, value in found.items() if value}
        return json.dumps(found) if found else ''


def parse_notes(text, where) -> Notes:
    """
    Read the attribute back.

    :param text: What ``to_json`` gave; empty or None gives notes without content.
    :param where: The file, for the error.
    :raises DatasetError: if it is no such text.
    """
    try:
        raw = json.loads(text) if text else {}
        rate_hz = raw.get('rate_hz')
        if rate_hz is not None and not (is_number(rate_hz) and rate_hz > 0):
            raise ValueError(f'rate_hz is {shown(rate_hz)}')
        features = {name: (key, _checked(key, feature)) for name, (key, feature)
                    in raw.get('features', {}).items()}
        contract = parse_contract(raw['contract'], f'{where}') if 'contract' in raw else None
        return Notes(rate_hz=rate_hz, robot_type=raw.get('robot_type', 'unknown'),
                     contract=contract, tasks=tuple(raw.get('tasks', ())), features=features)
    except (ValueError, TypeError, AttributeError, KeyError, ContractError) as error:
        raise DatasetError(f'{where}: the attribute {ATTRIBUTE!r} is damaged: {error}. Restore '
                           'the file from a copy, or remove the attribute') from error


def _checked(key, feature):
    """Return a copy of what describes an array, or refuse what does not."""
    if not isinstance(key, str) or not layout.is_feature(feature):
        raise ValueError(f'feature {shown(key)} is {shown(feature)}')
    layout.array_dtype(feature)  # which knows the kinds of numbers
    return dict(feature)


def short_name(key) -> str:
    """
    Return the name that a key has in zarr and HDF5 files: one that torch takes for a module.

    :param key: Dataset key, such as ``observation.images.wrist``, which becomes ``images_wrist``.
    """
    return key.removeprefix('observation.').replace('.', '_')


def array_feature(dtype, shape) -> dict:
    """
    Describe an array of which only its numbers are known.

    :param dtype: Its numpy dtype.
    :param shape: Shape of one row.
    """
    return {'dtype': np.dtype(dtype).newbyteorder('=').name, 'shape': list(shape), 'names': None}


def noted_feature(notes, name, key, dtype, shape, where):
    """
    Return the key and the feature of an array.

    :param notes: The ``Notes`` of its file.
    :param name: Its name there.
    :param key: Its key where the notes do not name one.
    :param dtype: Its numpy dtype.
    :param shape: Shape of one row.
    :param where: The file, for the error.
    :raises DatasetError: if it holds no numbers, none at all, or other ones than the notes say.
    """
    if np.dtype(dtype).kind not in 'biuf':
        raise DatasetError(f'{where}: array {name!r} holds {dtype} instead of numbers; remove it '
                           'from the file')
    if 0 in shape:
        raise DatasetError(f'{where}: array {name!r} has rows of shape {list(shape)}, without a '
                           'number in them; remove it from the file')
    plain = array_feature(dtype, shape)
    if name not in notes.features:
        return key, plain
    key, feature = notes.features[name]
    if layout.array_dtype(feature) != plain['dtype'] or feature['shape'] != plain['shape']:
        raise DatasetError(f'{where}: array {name!r} is {plain["dtype"]} {plain["shape"]}, its '
                           f'attribute {ATTRIBUTE!r} says {feature["dtype"]} {feature["shape"]}')
    return key, feature


def features_to_note(names, features, key_of) -> dict:
    """
    Return the ``features`` of the notes that a writer leaves, if they are more than numbers.

    :param names: ``{key: name of its array}``.
    :param features: ``{key: feature}``.
    :param key_of: Function that gives the key of an array without notes.
    """
    is_plain = all(
        key_of(names[key]) == key
        and feature == array_feature(layout.array_dtype(feature), feature['shape'])
        for key, feature in features.items())
    # All or none, as their order is noted too.
    return {} if is_plain else {names[key]: [key, feature] for key, feature in features.items()}
