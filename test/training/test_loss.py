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

"""The loss is the plain textbook formula; the learning rate follows its curve."""

import math

from diffusion_policy_ros.diffusion.schedule import NoiseSchedule
from diffusion_policy_ros.training.loss import (
    diffusion_loss, draw_noise_and_levels, warmup_cosine)
import pytest
import torch

SHAPE = (3, 4, 2)


class FakePolicy:
    """Predicts a constant, so that the loss has a closed form."""

    def __init__(self, prediction_type):
        self.schedule = NoiseSchedule(100, 'squaredcos_cap_v2', 1e-4, 0.02)
        self.config = type('Config', (), {'prediction_type': prediction_type})
        self.seen = None

    def denoise(self, x_t, _timesteps, _cond):
        self.seen = x_t
        return torch.zeros_like(x_t)


@pytest.mark.parametrize('prediction_type', ['epsilon', 'sample', 'v_prediction'])
def test_loss_of_a_zero_prediction_is_the_mean_square_of_the_target(prediction_type):
    generator = torch.Generator().manual_seed(1)
    actions = torch.rand(SHAPE, generator=generator)
    noise, t = draw_noise_and_levels(SHAPE, 100, generator=generator, device='cpu')
    policy = FakePolicy(prediction_type)
    loss = diffusion_loss(policy, actions, None, noise=noise, timesteps=t)
    f = [math.cos((k / 100 + 0.008) / 1.008 * math.pi / 2) ** 2 for k in range(101)]
    alpha_bar = torch.tensor([
        math.prod(1 - min(1 - f[k + 1] / f[k], 0.999) for k in range(level + 1))
        for level in t.tolist()])[:, None, None]
    alpha, sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    target = {'epsilon': noise, 'sample': actions,
              'v_prediction': alpha * noise - sigma * actions}[prediction_type]
    assert loss.item() == pytest.approx(target.square().mean().item(), rel=1e-5)
    torch.testing.assert_close(policy.seen, alpha * actions + sigma * noise)


def test_noise_depends_on_the_generator_alone():
    draws = [draw_noise_and_levels(
        SHAPE, 100, generator=torch.Generator().manual_seed(5), device='cpu') for _ in range(2)]
    assert torch.equal(draws[0][0], draws[1][0]) and torch.equal(draws[0][1], draws[1][1])


def test_learning_rate_warms_up_then_falls_to_zero_along_a_cosine():
    factor = [warmup_cosine(step, warmup_steps=10, total_steps=110) for step in range(111)]
    assert factor[0] == pytest.approx(0.1) and factor[9] == pytest.approx(1.0)
    assert factor[60] == pytest.approx(0.5) and factor[110] == pytest.approx(0.0)
    assert all(a >= b for a, b in zip(factor[10:], factor[11:]))
