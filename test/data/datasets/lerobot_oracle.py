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
Read a dataset with LeRobot itself and compare every row; run by test_lerobot_oracle.py.

Needs only lerobot, no part of this package: ``python lerobot_oracle.py DATASET EXPECTED.npz``.
Prints JSON: rows, episodes, tasks per row, and per key the largest difference and its dtype.
"""

import json
import os
import sys

os.environ['HF_HUB_OFFLINE'] = '1'

from lerobot.datasets.lerobot_dataset import LeRobotDataset  # noqa: E402
import numpy as np  # noqa: E402


def as_stored(item, feature, depth_keys, key):
    """Turn one value back into what was written: pictures to (height, width, channels)."""
    value = item[key].numpy()
    if feature['dtype'] not in ('video', 'image'):
        return value
    value = np.moveaxis(value, 0, -1)
    return value if key in depth_keys else value * 255


def compare(folder, expected):
    """Return what LeRobot reads and how far it is from what is expected."""
    dataset = LeRobotDataset('local/test', root=folder, video_backend='pyav')
    found = {'rows': len(dataset), 'episodes': dataset.num_episodes, 'tasks': [], 'keys': {},
             'statistics': sorted(dataset.meta.stats)}
    for row in range(len(dataset)):
        item = dataset[row]
        found['tasks'].append(item['task'])
        for key, wanted in expected.items():
            value = as_stored(item, dataset.meta.features[key], dataset.meta.depth_keys, key)
            wanted = wanted[row].reshape(value.shape)
            whole = wanted.dtype.kind == 'i'  # nanoseconds are more than a float64 holds
            difference = np.abs(value - wanted if whole else
                                value.astype(np.float64) - wanted.astype(np.float64))
            entry = found['keys'].setdefault(
                key, {'largest': 0.0, 'mean': 0.0, 'dtype': str(value.dtype)})
            entry['largest'] = max(entry['largest'], float(difference.max()))
            entry['mean'] += float(difference.mean()) / len(dataset)
    return found


if __name__ == '__main__':
    with np.load(sys.argv[2]) as file:
        print(json.dumps(compare(sys.argv[1], dict(file))))
