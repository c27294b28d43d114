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

"""What a sequence of commands is held against: its differences and its range."""

import numpy as np
import pytest


@pytest.fixture(scope='session')
def assert_smooth():
    """
    Return a check of samples against the limits of their derivatives.

    The m-th difference of a curve's samples, over the m-th power of the period, is a weighted
    mean of its m-th derivative (the weight is a B-spline), and cannot exceed its bound.
    """
    def check(samples, period_s, *bounds):
        samples = np.asarray(samples)
        rounding = 8 * np.finfo(float).eps * np.abs(samples).max(axis=0)
        for order, bound in enumerate(bounds, start=1):
            found = np.abs(np.diff(samples, order, axis=0)).max(axis=0, initial=0)
            allowed = bound * period_s**order * (1 + 1e-6) + rounding
            assert (found <= allowed).all(), f'difference {order}: {found} over {allowed}'

    return check
