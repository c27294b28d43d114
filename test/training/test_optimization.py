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

"""Steps decay, clip and scale as they should; a step that is not finite changes nothing."""

from diffusion_policy_ros.training.optimization import Optimization, parameter_groups
import pytest
import torch
from torch import nn

CPU = torch.device('cpu')
OPTIONS = {'lr': 0.1, 'weight_decay': 0.5, 'betas': (0.9, 0.99)}


def step(optimization, loss, number=0, factor=1.0):
    """Do one step and return what was refused."""
    optimization.start(factor)
    optimization.backward(loss)
    found = optimization.refused(number, loss.detach(), optimization.clip())
    optimization.take()
    return found


def test_only_weights_of_two_or_more_dimensions_decay():
    network = nn.Sequential(nn.Conv1d(2, 4, 3), nn.GroupNorm(2, 4), nn.Linear(5, 5))
    network[2].bias.requires_grad_(False)
    decayed, others = parameter_groups(network, 0.5)
    assert [p.shape for p in decayed['params']] == [(4, 2, 3), (5, 5)]
    assert {p.ndim for p in others['params']} == {1} and len(others['params']) == 3
    assert (decayed['weight_decay'], others['weight_decay']) == (0.5, 0.0)


def test_decay_shrinks_weights_without_gradient_and_leaves_biases():
    network = nn.Linear(3, 3)
    before = [p.detach().clone() for p in network.parameters()]
    step(Optimization(network, OPTIONS, clip_norm=1.0, device=CPU),
         sum(0 * p.sum() for p in network.parameters()))
    torch.testing.assert_close(network.weight, before[0] * (1 - 0.1 * 0.5))
    assert torch.equal(network.bias, before[1])


def test_a_step_equals_torchs_own_with_clipped_gradients():
    torch.manual_seed(0)
    ours = nn.Linear(4, 4, bias=False)
    theirs = nn.Linear(4, 4, bias=False)
    theirs.load_state_dict(ours.state_dict())
    optimization = Optimization(ours, OPTIONS, clip_norm=0.01, device=CPU)
    adamw = torch.optim.AdamW(theirs.parameters(), fused=False, foreach=False, **OPTIONS)
    for number in range(4):
        x = torch.randn(8, 4)
        step(optimization, ours(x).square().mean(), number, factor=0.5)
        for group in adamw.param_groups:
            group['lr'] = 0.05
        adamw.zero_grad()
        theirs(x).square().mean().backward()
        gradient = theirs.weight.grad
        gradient *= min(1.0, 0.01 / (gradient.square().sum().sqrt().item() + 1e-6))
        adamw.step()
        torch.testing.assert_close(ours.weight, theirs.weight, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize('deferred', [False, True], ids=['cpu', 'as on a gpu'])
def test_a_step_that_is_not_finite_is_told_and_changes_no_weight(deferred):
    network = nn.Linear(2, 1)
    optimization = Optimization(network, OPTIONS, clip_norm=1.0, device=CPU)
    optimization._is_deferred = deferred  # a GPU is asked a step later
    assert step(optimization, network(torch.ones(1, 2)).sum(), 0) is None
    before = [p.detach().clone() for p in network.parameters()]
    optimization.start(1.0)
    loss = network(torch.tensor([[1.0, float('nan')]])).sum()
    optimization.backward(loss)
    found = optimization.refused(1, loss.detach(), optimization.clip())
    if deferred:
        assert found is None
        optimization.take()
        assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before))
        found = step(optimization, network(torch.ones(1, 2)).sum(), 2)
    assert found.step == 1 and found.loss != found.loss
    assert optimization.pending() is None


def test_float16_skips_an_overflow_lowers_its_scale_and_goes_on():
    network = nn.Linear(2, 1)
    optimization = Optimization(network, OPTIONS, clip_norm=1.0, device=CPU, is_scaled=True)
    before = network.weight.detach().clone()
    assert step(optimization, 1e35 * network(torch.ones(1, 2)).sum()) is None  # times 65536: inf
    assert torch.equal(network.weight, before)
    assert optimization.scaler.get_scale() == 32768 and not optimization.is_overflowing
    step(optimization, network(torch.ones(1, 2)).sum())
    assert not torch.equal(network.weight, before)


def test_float16_that_overflows_at_any_scale_is_told():
    network = nn.Linear(2, 1)
    nn.init.zeros_(network.weight)
    optimization = Optimization(network, OPTIONS, clip_norm=1.0, device=CPU, is_scaled=True)
    for number in range(17):
        assert not optimization.is_overflowing
        step(optimization, (network.weight * 1e30 * 1e30).sum(), number)
    assert optimization.is_overflowing


def test_float16_clips_what_the_gradient_is_and_not_what_the_scale_makes_of_it():
    gradients, norms = [], []
    for is_scaled in (False, True):
        torch.manual_seed(0)
        network = nn.Linear(4, 4)
        optimization = Optimization(network, OPTIONS, clip_norm=0.5, device=CPU,
                                    is_scaled=is_scaled)
        optimization.start(1.0)
        optimization.backward(network(torch.ones(2, 4)).square().sum())
        norms.append(optimization.clip().item())
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    assert norms[0] == pytest.approx(norms[1]) and norms[0] > 1
    assert gradients[0].norm().item() == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(*gradients)
