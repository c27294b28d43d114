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

"""The ages that are told are those of the rows in the dataset."""

import json

from diffusion_policy_ros.data.conversion.ages import Ages, BLOCK
from diffusion_policy_ros.data.conversion.summary import ConversionSummary, PieceReport
import numpy as np
import pytest


def report_of(episodes):
    """Return the report on a bag with episodes of (ages of /a in ns, whether it is kept)."""
    ages = Ages(['/a', '/b', '/silent'])
    for values, is_kept in episodes:
        for count, age_ns in enumerate(values):
            ages.add({'/a': int(age_ns), **({'/b': 7} if count % 2 else {})})
        ages.end(is_kept)
    return PieceReport('bag', ages=json.loads(json.dumps(ages.to_dict())))


def test_the_figures_of_many_bags_are_those_of_all_their_rows():
    """However long each is, and not of rows that were left out."""
    rng = np.random.default_rng(0)
    kept = [rng.gamma(4, 8e6, count) for count in (3, BLOCK, 2 * BLOCK + 5, 40)]
    lost = np.full(BLOCK + 9, 10**12)
    summary = ConversionSummary()
    summary.add(report_of([(kept[0], True), (lost, False), (kept[1], True)]))
    summary.add(report_of([(lost[:5], False)]))
    summary.add(report_of([(kept[2], True), (kept[3], True), (lost[:1], False)]))
    truth = np.concatenate(kept)
    assert summary.ages['/a'].count == len(truth)
    width_ms = np.ptp(truth) / 2048 / 1e6
    assert summary.age_table()['/a'] == pytest.approx(
        np.quantile(truth, [0.5, 0.95]) / 1e6, abs=2 * width_ms)
    assert summary.age_table()['/b'] == (7e-6, 7e-6)
    assert '/silent' not in summary.age_table()
