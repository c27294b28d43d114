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

"""A hold ends with enough plans in a row that nobody doubts."""

from diffusion_policy_ros.control.confidence import ConfidenceGate
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 6))
def test_a_plan_is_followed_where_none_of_the_ones_before_it_was_in_doubt(doubted, needed):
    gate = ConfidenceGate()
    for k, is_doubted in enumerate(doubted):
        said = gate.objection('unlike anything' if is_doubted else '', needed)
        # The doubted one and the plans after it, up to the last that is needed.
        recent = doubted[max(k - needed + 1, 0):k + 1]
        assert (said == '') == (not any(recent))
        assert ('unlike anything' in said) == is_doubted


def test_what_is_still_needed_is_told_and_fewer_may_be_asked_for_meanwhile():
    gate = ConfidenceGate()
    gate.objection('doubt', 5)
    assert gate.objection('', 5).endswith('still needed: 4')
    assert gate.objection('', 2).endswith('still needed: 1')
    assert gate.objection('', 2) == ''


def test_after_a_reset_nothing_is_owed():
    gate = ConfidenceGate()
    gate.objection('doubt', 5)
    gate.start_over()
    assert gate.objection('', 5) == ''
