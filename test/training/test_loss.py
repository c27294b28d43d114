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

from diffusion_policy_ros.choices import PREDICTION_TYPES
from diffusion_policy_ros.diffusion import DiscreteVp, variational_weights
from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
from diffusion_policy_ros.training.loss import (
    diffusion_loss, draw_dropped, draw_noise_and_levels, drop_conditions, warmup_cosine)
import pytest
import torch

torch.set_num_threads(1)

SHAPE = (3, 4, 2)


class FakePolicy:
    """Predicts a constant, so that the loss has a closed form."""

    def __init__(self, prediction_type):
        self.process = DiscreteVp(100, 'squaredcos_cap_v2', 1e-4, 0.02)
        self.config = type('Config', (), {'prediction_type': prediction_type})
        self.seen = None

    def denoise(self, x_t, _timesteps, _cond):
        self.seen = x_t
        return torch.zeros_like(x_t)


@pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
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
    target = {'epsilon': noise, 'sample': actions, 'score': -noise / sigma,
              'v_prediction': alpha * noise - sigma * actions}[prediction_type]
    assert loss.item() == pytest.approx(target.square().mean().item(), rel=1e-5)
    torch.testing.assert_close(policy.seen, alpha * actions + sigma * noise)


@pytest.mark.parametrize('weighted', [False, True], ids=['simple', 'variational'])
@pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
def test_training_lowers_the_loss(prediction_type, weighted):
    torch.manual_seed(0)
    policy = FakePolicy(prediction_type)
    network = ConditionalUnet1d(2, 1, down_dims=(16,), step_embed_dim=16)
    policy.denoise = network
    actions, cond = torch.rand(32, 8, 2) * 2 - 1, torch.rand(32, 1)
    noise, t = draw_noise_and_levels(
        actions.shape, 100, generator=torch.Generator().manual_seed(0), device='cpu')
    weights = variational_weights(policy.process, prediction_type).float() if weighted else None
    optimizer, losses = torch.optim.Adam(network.parameters(), lr=1e-2), []
    for _ in range(30):
        loss = diffusion_loss(policy, actions, cond, noise=noise, timesteps=t, weights=weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_noise_depends_on_the_generator_alone():
    draws = [draw_noise_and_levels(
        SHAPE, 100, generator=torch.Generator().manual_seed(5), device='cpu') for _ in range(2)]
    assert torch.equal(draws[0][0], draws[1][0]) and torch.equal(draws[0][1], draws[1][1])


def dropped_of(count, probability):
    """Draw which windows are dropped."""
    return draw_dropped(count, probability, generator=torch.Generator().manual_seed(0),
                        device=torch.device('cpu'))


def test_observations_are_dropped_whole_and_as_often_as_asked():
    cond = torch.rand(4000, 3) + 1
    dropped = drop_conditions(cond, dropped_of(4000, 0.2))
    gone = (dropped == 0).all(1)
    assert gone.float().mean().item() == pytest.approx(0.2, abs=0.03)  # 5 standard errors
    assert torch.equal(dropped[~gone], cond[~gone])
    assert torch.equal(dropped, drop_conditions(cond, dropped_of(4000, 0.2)))


def test_a_dropped_observation_teaches_its_encoder_nothing():
    cond = torch.ones(50, 3, requires_grad=True)
    dropped = drop_conditions(cond, dropped_of(50, 0.5))
    dropped.sum().backward()
    assert torch.equal(cond.grad, (dropped != 0).float()) and 0 < cond.grad.mean() < 1


def test_without_dropout_nothing_is_drawn_and_nothing_changed():
    generator = torch.Generator().manual_seed(0)
    before, cond = generator.get_state(), torch.rand(5, 3)
    dropped = draw_dropped(5, 0.0, generator=generator, device=torch.device('cpu'))
    assert drop_conditions(cond, dropped) is cond
    assert torch.equal(generator.get_state(), before)


def test_learning_rate_warms_up_then_falls_to_zero_along_a_cosine():
    factor = [warmup_cosine(step, warmup_steps=10, total_steps=110) for step in range(111)]
    assert factor[0] == pytest.approx(0.1) and factor[9] == pytest.approx(1.0)
    assert factor[60] == pytest.approx(0.5) and factor[110] == pytest.approx(0.0)
    assert all(a >= b for a, b in zip(factor[10:], factor[11:]))
