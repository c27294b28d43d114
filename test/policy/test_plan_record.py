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
"""Records of plans survive being written down, to the last bit."""

from dataclasses import fields, replace
import json

from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.policy.action_chunk import Promise
from diffusion_policy_ros.policy.plan_record import parse_record, PlanRecord
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
import numpy as np
import pytest

RECORD = PlanRecord(
    weights='ab', device='cpu', precision='float32', backend='auto',
    tick_ns=1_700_000_000_123_456_789,
    stamps_ns=[[1, 2], [3, 4]], promise=Promise(np.full((4, 2), np.nan), 1, -1), seed=2**63 - 1,
    settings={'sampler_changes': {'num_inference_steps': 3}, 'join': 'rtc', 'num_candidates': 1,
              'warm_start_level': 0.6}, evaluations=3, is_complete=True, epoch=2,
    accepted_ns=5, first_command_ns=6, grid={'origin_ns': 7, 'rate_hz': 30.0},
    blending={'name': 'rtc', 'blend_rows': 4, 'ensemble_decay': 0.01}, topics=['/a/b'],
    rows=np.zeros((3, 2)))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(rows=hnp.arrays(np.float64, (3, 2), elements=FLOATS),
       known=hnp.arrays(np.float64, (4, 2), elements=FLOATS | st.just(np.nan)))
def test_a_record_comes_back_bit_for_bit(rows, known):
    record = replace(RECORD, rows=rows, promise=Promise(known, 2, -1))
    back = parse_record(record.to_json())
    assert back.rows.tobytes() == rows.tobytes()
    assert np.array_equal(back.promise.rows, known, equal_nan=True)
    assert (back.promise.frozen, back.promise.first_row) == (2, -1)
    for field in fields(PlanRecord):
        if field.name not in ('rows', 'promise'):
            assert getattr(back, field.name) == getattr(record, field.name)


@pytest.mark.parametrize('text', [
    '', '[]', 'null', '{', '{"format": 1}', '{"format": 2}', '[' * 100_000,
    RECORD.to_json().replace('"seed"', '"sead"'), RECORD.to_json().replace('[0.0, 0.0]', '"x"'),
    *(json.dumps({**json.loads(RECORD.to_json()), name: value}) for name, value in (
        ('seed', '7'), ('settings', {}), ('grid', {'rate_hz': 30.0}), ('blending', []),
        ('stamps_ns', 5), ('epoch', None), ('rows', [1.0, 2.0]), ('evaluations', 0),
        ('is_complete', 1), ('weights', None)))])
def test_what_is_no_record_is_refused_in_one_sentence(text):
    with pytest.raises(ChunkError, match='is no record of a plan'):
        parse_record(text)


def test_a_record_is_plain_json():
    assert json.loads(RECORD.to_json())['promise']['rows'][0] == [None, None]
