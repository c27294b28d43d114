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
"""Tests of the noise level."""

import math

from diffusion_policy_ros.diffusion import CLEAN, Level
import pytest
import torch


@pytest.mark.parametrize('lambda_t', (-7.6, -1.0, 0.0, 4.5))
def test_lambda_is_half_the_log_signal_to_noise_ratio(lambda_t):
    signal_to_noise = math.exp(2 * lambda_t)
    alpha = math.sqrt(signal_to_noise / (1 + signal_to_noise))
    assert Level(3, alpha, math.sqrt(1 - alpha ** 2)).lambda_t == pytest.approx(lambda_t)
    assert Level(3, 1.0, math.exp(-lambda_t)).lambda_t == pytest.approx(lambda_t)


def test_levels_of_a_batch_have_the_lambdas_of_its_members():
    alone = Level(1.0, 0.8, 0.6), Level(2.0, 0.6, 0.8)
    batch = Level(*(torch.tensor(values, dtype=torch.float64).view(2, 1, 1)
                    for values in zip(*alone)))
    assert batch.lambda_t.flatten().tolist() == pytest.approx([at.lambda_t for at in alone])
    assert batch.lambda_t.shape == (2, 1, 1)
    assert not batch.is_clean


def test_clean_data_have_no_noise_and_no_end_of_signal():
    assert CLEAN.is_clean and not Level(0, 0.9999, 0.01).is_clean
    assert CLEAN.lambda_t == math.inf
    assert (CLEAN.alpha, CLEAN.sigma) == (1, 0)
