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
"""Tests of the prediction types."""

from diffusion_policy_ros.diffusion.prediction import clean_from_prediction, prediction_target
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch


@pytest.mark.parametrize('prediction_type', ('epsilon', 'sample', 'v_prediction'))
@pytest.mark.parametrize('angle', (0.01, 0.7, 1.5))
def test_perfect_prediction_gives_back_the_clean_chunk(prediction_type, angle):
    angle = torch.tensor(angle, dtype=torch.float64)
    alpha, sigma = torch.cos(angle), torch.sin(angle)
    x0, noise = torch.randn(2, 4, 16, 3, dtype=torch.float64)
    target = prediction_target(x0, noise, alpha, sigma, prediction_type)
    x_t = alpha * x0 + sigma * noise
    torch.testing.assert_close(
        clean_from_prediction(target, x_t, alpha, sigma, prediction_type), x0)


def test_velocity_equals_that_of_diffusers():
    diffusers = pytest.importorskip('diffusers')
    scheduler = diffusers.DDIMScheduler(100, beta_schedule='squaredcos_cap_v2')
    x0, noise = torch.randn(2, 1, 16, 3)
    alpha_bar = scheduler.alphas_cumprod[40]
    ours = prediction_target(x0, noise, alpha_bar ** 0.5, (1 - alpha_bar) ** 0.5, 'v_prediction')
    theirs = scheduler.get_velocity(x0, noise, torch.tensor([40]))
    torch.testing.assert_close(ours, theirs)


def test_unknown_type_is_refused():
    x = torch.zeros(1)
    for call in (clean_from_prediction, prediction_target):
        with pytest.raises(ConfigError, match="prediction_type is 'score'"):
            call(x, x, 0.6, 0.8, 'score')
