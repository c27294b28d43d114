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

"""What the audit of a dataset finds in the ages of its samples."""

import numpy as np


def test_ages_beyond_the_limit_of_the_contract(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.ages_ns[2][40, 1] = 150_000_001
    recipe.ages_ns[0][3, 2] = 150_000_001  # allowed there
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('ERROR', 'ages')
    assert 'joint_states: 1 rows are older than max_age_ms 150: episode 2 row 40 (150.0 ms)' \
        in finding.text


def test_samples_from_the_future(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.ages_ns[1][4, 0] = -5_000_000
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert finding.level == 'ERROR'
    assert 'camera/image_raw: 1 samples are newer than their rows: episode 1 row 4' in finding.text


def test_a_stream_slower_than_the_rows(tmp_path, audits):
    recipe = audits.Recipe()
    for ages_ns in recipe.ages_ns:
        ages_ns[:, 0] = np.arange(len(ages_ns)) % 2 * 10**8  # a new picture every other row
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'rates')
    assert 'camera/image_raw has no new sample in 51% of the rows: it brings 5.0 per second' \
        in finding.text


def test_a_stream_that_may_be_held_may_be_slow(tmp_path, audits):
    recipe = audits.Recipe()
    for ages_ns in recipe.ages_ns:
        ages_ns[:, 0] = 10**8 * np.arange(len(ages_ns))  # one picture for all rows
    folder = recipe.write(tmp_path / 'd')
    held = audits.CONTRACT.replace('width: 64}', 'width: 64}, on_stale: hold')
    (folder / 'meta/contract.yaml').write_text(held)
    assert not audits.found(folder)
