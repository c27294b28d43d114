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

"""What validation looks at: evenly chosen rows, a batch at a time."""

import numpy as np


def evenly_chosen(rows, most):
    """
    Choose some of the rows, evenly spread, the first and the last among them.

    :param rows: int64 array.
    :param most: How many at most, at least 2.
    :return: int64 array: all rows where there are no more than that.
    """
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).round().astype(np.int64)]


def mean_figures(measure, rows, batch_size) -> dict:
    """
    Average figures over rows without holding more than one batch of them.

    :param measure: Batch of rows -> ``{name: mean over the batch}``.
    :param rows: int64 array, maybe empty.
    :param batch_size: Rows per call, at least 1.
    :return: ``{name: mean over all rows}``; empty without rows.
    """
    totals = {}
    for start in range(0, len(rows), batch_size):
        batch = rows[start:start + batch_size]
        for name, mean in measure(batch).items():
            totals[name] = totals.get(name, 0.0) + mean * len(batch) / len(rows)
    return totals
