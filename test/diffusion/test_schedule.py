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
"""Tests of the noise process."""

import math

from diffusion_policy_ros.diffusion.schedule import CLEAN, NoiseSchedule
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch

SCHEDULES = ('linear', 'scaled_linear', 'squaredcos_cap_v2')


@pytest.mark.parametrize('name', SCHEDULES)
@pytest.mark.parametrize('count', (100, 1000))
def test_levels_equal_those_of_diffusers(name, count):
    diffusers = pytest.importorskip('diffusers')
    reference = diffusers.DDPMScheduler(count, beta_schedule=name).alphas_cumprod.double()
    ours = NoiseSchedule(count, name).alphas_cumprod
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, reference, rtol=2e-3, atol=2e-7)


def test_cosine_schedule_follows_its_equation_until_the_cap():
    alpha_bar = NoiseSchedule(100, 'squaredcos_cap_v2').alphas_cumprod
    for t in (0, 10, 50, 98):
        expected = (math.cos(((t + 1) / 100 + 0.008) / 1.008 * math.pi / 2)
                    / math.cos(0.008 / 1.008 * math.pi / 2)) ** 2
        assert float(alpha_bar[t]) == pytest.approx(expected, rel=1e-12)
    assert NoiseSchedule(100, 'squaredcos_cap_v2').level(99).lambda_t == pytest.approx(
        -7.62, abs=0.01)


@pytest.mark.parametrize('name', SCHEDULES)
def test_levels_are_variance_preserving_and_fall(name):
    schedule = NoiseSchedule(100, name)
    levels = [schedule.level(t) for t in range(100)]
    assert all(level.alpha ** 2 + level.sigma ** 2 == pytest.approx(1) for level in levels)
    assert all(a.lambda_t > b.lambda_t for a, b in zip(levels, levels[1:]))
    assert math.isinf(CLEAN.lambda_t)


def test_noise_is_added_per_sample():
    schedule = NoiseSchedule()
    x0, noise = torch.randn(2, 3, 4, 2)
    x_t = schedule.add_noise(x0, noise, torch.tensor([0, 50, 99]))
    for row, t in enumerate((0, 50, 99)):
        level = schedule.level(t)
        expected = level.alpha * x0[row] + level.sigma * noise[row]
        torch.testing.assert_close(x_t[row], expected)


def test_unknown_schedule_is_refused():
    with pytest.raises(ConfigError, match='beta_schedule is .sigmoid.'):
        NoiseSchedule(beta_schedule='sigmoid').betas
