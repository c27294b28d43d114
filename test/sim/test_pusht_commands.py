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

"""Commands by joint name become targets on the table, or are refused with a reason."""

import math

from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.sim.pusht_commands import finger_target
from hypothesis import given, strategies as st
import numpy as np
import pytest

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS)
def test_any_finite_command_stays_on_the_table_in_either_order(x, y):
    target = finger_target(['finger_x', 'finger_y'], [x, y])
    np.testing.assert_array_equal(target, finger_target(['finger_y', 'finger_x'], [y, x]))
    assert (target >= 0.0).all() and (target <= 0.512).all()
    if 0.0 <= x <= 0.512:
        assert target[0] == x


@pytest.mark.parametrize('names, positions, reason', [
    (['finger_x'], [0.1], 'must name exactly finger_x and finger_y'),
    (['finger_x', 'elbow'], [0.1, 0.1], 'elbow'),
    (['finger_x', 'finger_x'], [0.1, 0.1], 'must name exactly'),
    ([], [0.1, 0.1], 'must name exactly'),
    (['finger_x', 'finger_y'], [0.1], '1 positions for 2 joints'),
    (['finger_x', 'finger_y'], [], '0 positions for 2 joints'),
    (['finger_x', 'finger_y'], [0.1, math.nan], 'not finite'),
    (['finger_x', 'finger_y'], [math.inf, 0.1], 'not finite'),
])
def test_a_malformed_command_is_refused_with_its_reason(names, positions, reason):
    with pytest.raises(DecodeError, match=reason):
        finger_target(names, positions)
