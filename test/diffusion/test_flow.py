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

"""Tests of the probability-flow ODE in both directions."""

from diffusion_policy_ros.diffusion import ContinuousVp, DiscreteVp, GeometricVe, KarrasVe
from diffusion_policy_ros.diffusion.flow import (
    flow_levels, follow_flow, follow_flow_with_volume)
from diffusion_policy_ros.errors import ConfigError, SamplingError
import pytest
import torch

PROCESSES = [DiscreteVp(), DiscreteVp(1000, 'linear'), ContinuousVp(), GeometricVe(), KarrasVe()]


@pytest.mark.parametrize('process', PROCESSES)
def test_levels_are_even_in_lambda_from_the_least_to_the_most_noisy_time(process):
    levels = flow_levels(process, 7)
    steps = torch.tensor([level.lambda_t for level in levels]).diff()
    assert (levels[0], levels[-1]) == (process.level(process.t_min), process.level(process.t_max))
    torch.testing.assert_close(steps, steps.mean().expand(7), rtol=1e-5, atol=0)


@pytest.mark.parametrize('steps', [0, -1, 2.0, None, True])
def test_a_number_of_steps_that_is_none_is_refused(steps):
    with pytest.raises(ConfigError, match='steps is .*at least 1'):
        flow_levels(DiscreteVp(), steps)


@pytest.mark.parametrize('process', PROCESSES)
def test_either_direction_ends_where_the_exact_flow_does(process, line_mixture):
    levels = flow_levels(process, 150)
    chunk = line_mixture.draw(50, 2, torch.Generator().manual_seed(0))
    noisy = line_mixture.flow(levels[0].alpha * chunk, levels[0], levels[-1])
    there = follow_flow(line_mixture.denoise, levels[0].alpha * chunk, levels, process)
    back = follow_flow(line_mixture.denoise, noisy, levels[::-1], process)
    torch.testing.assert_close(there, noisy, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(back, levels[0].alpha * chunk, rtol=1e-5, atol=1e-5)


def test_the_error_falls_with_the_fourth_power_of_the_steps(line_mixture):
    process, chunk = KarrasVe(), torch.linspace(-1, 1, 41, dtype=torch.float64).view(-1, 1, 1)
    errors = []
    for steps in (100, 200):
        levels = flow_levels(process, steps)
        exact = line_mixture.flow(chunk, levels[0], levels[-1])
        errors.append((follow_flow(line_mixture.denoise, chunk, levels, process) - exact).norm())
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.15)


def test_the_volume_of_a_gaussian_is_that_of_its_linear_map(plane_gaussian):
    process = GeometricVe()
    levels = flow_levels(process, 150)
    x = plane_gaussian.draw(3, 1, torch.Generator().manual_seed(0))
    axes = torch.eye(2, dtype=torch.float64).view(2, 1, 1, 2).expand(2, 3, 1, 2)
    _, volume = follow_flow_with_volume(plane_gaussian.denoise, x, levels, process, axes)
    noisy, clean = (torch.logdet(plane_gaussian.covariance + level.sigma ** 2 * torch.eye(2))
                    for level in (levels[-1], levels[0]))
    torch.testing.assert_close(volume, ((noisy - clean) / 2).expand(3), rtol=1e-5, atol=0)


def test_a_denoiser_that_returns_nan_is_an_error():
    process = DiscreteVp()
    with pytest.raises(SamplingError, match='not finite'):
        follow_flow(lambda x, level: x * torch.nan, torch.zeros(1, 1, 1), flow_levels(process, 2),
                    process)
