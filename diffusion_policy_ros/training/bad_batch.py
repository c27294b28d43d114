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

"""The windows of a step whose loss or gradient was not finite: kept, and looked at afterwards."""

import sys

import numpy as np
from safetensors.numpy import load_file, save_file

BAD_BATCHES = 'not_finite'  # folder in a run's


def save_bad_batch(path, windows) -> None:
    """
    Keep the windows of a step.

    :param path: File to write; its folder is made.
    :param windows: ``{name: array}``.
    """
    path.parent.mkdir(exist_ok=True)
    save_file({name: np.ascontiguousarray(array) for name, array in windows.items()}, path)


def describe(path) -> str:
    """
    Tell what is in a file of windows, a line for each array.

    :param path: File that ``save_bad_batch`` wrote.
    """
    lines = []
    for name, array in sorted(load_file(path).items()):
        line = f'{name}: {array.dtype} {array.shape}'
        if array.dtype.kind == 'f':
            spoilt = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
            finite = array[np.isfinite(array)]
            span = f'{finite.min():g} to {finite.max():g}' if finite.size else 'nothing finite'
            line += f', {span}, not finite in windows {spoilt.tolist()}'
        lines.append(line)
    return '\n'.join(lines)


if __name__ == '__main__':
    print(describe(sys.argv[1]))
