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
"""What every denoiser has to do."""

from diffusion_policy_ros.networks.dit import DiffusionTransformer
from diffusion_policy_ros.networks.mlp import ConcatenationMlp
from diffusion_policy_ros.networks.transformer import ConditionalTransformer
from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
import pytest
import torch

ACTION_DIM, COND_DIM, HORIZON, N_OBS_STEPS = 3, 24, 8, 2
SIZES = {'dim': 16, 'layers': 2}
DENOISERS = {
    'unet': lambda: ConditionalUnet1d(ACTION_DIM, COND_DIM, down_dims=(16, 32), step_embed_dim=8),
    'transformer': lambda: ConditionalTransformer(
        ACTION_DIM, COND_DIM, HORIZON, N_OBS_STEPS, heads=2, **SIZES),
    'dit': lambda: DiffusionTransformer(ACTION_DIM, COND_DIM, HORIZON, heads=2, **SIZES),
    'mlp': lambda: ConcatenationMlp(ACTION_DIM, COND_DIM, HORIZON, **SIZES),
}


@pytest.fixture(params=DENOISERS)
def denoiser(request):
    """Return a small network whose weights all take part, as after some training."""
    torch.manual_seed(0)
    network = DENOISERS[request.param]()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network.eval()


def inputs(count):
    """Return noisy chunks and conditions."""
    return torch.randn(count, HORIZON, ACTION_DIM), torch.randn(count, COND_DIM)


@pytest.mark.parametrize('count', (1, 5))
def test_output_has_the_shape_of_the_chunk(denoiser, count):
    x, cond = inputs(count)
    assert denoiser(x, torch.zeros(count, dtype=torch.int64), cond).shape == x.shape


def test_one_timestep_serves_the_whole_batch(denoiser):
    x, cond = inputs(4)
    torch.testing.assert_close(denoiser(x, torch.tensor([7]), cond),
                               denoiser(x, torch.full((4,), 7), cond))


def test_samples_of_a_batch_do_not_mix(denoiser):
    x, cond = inputs(4)
    t = torch.tensor([0, 5, 50, 99])
    whole = denoiser(x, t, cond)
    for row in range(4):
        part = slice(row, row + 1)
        torch.testing.assert_close(denoiser(x[part], t[part], cond[part]), whole[part])


def test_condition_and_timestep_matter(denoiser):
    x, cond = inputs(1)
    out = denoiser(x, torch.tensor([3]), cond)
    assert not torch.allclose(denoiser(x, torch.tensor([4]), cond), out)
    assert not torch.allclose(denoiser(x, torch.tensor([3]), cond + 1), out)


def test_gradients_reach_every_parameter(denoiser):
    x, cond = inputs(2)
    denoiser(x, torch.tensor([3, 9]), cond).square().sum().backward()
    for name, parameter in denoiser.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.filterwarnings('ignore::torch.jit.TracerWarning')
def test_a_recorded_network_is_the_same_for_any_number_of_chunks(denoiser):
    x, cond = inputs(1)
    with torch.inference_mode():
        traced = torch.jit.trace(denoiser, (x, torch.zeros(1), cond), check_trace=False)
        x, cond = inputs(3)
        assert torch.equal(traced(x, torch.tensor([4.0]), cond),
                           denoiser(x, torch.tensor([4.0]), cond))


def test_the_condition_alone_can_decide_what_is_predicted(denoiser):
    x, cond = torch.randn(1, HORIZON, ACTION_DIM).expand(4, -1, -1), torch.randn(4, COND_DIM)
    wanted, t = torch.randn(4, HORIZON, ACTION_DIM), torch.tensor([5])
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=3e-3)
    unconditioned = wanted.var(0, correction=0).mean()  # what one answer for all would leave
    for _ in range(200):
        loss = (denoiser(x, t, cond) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < unconditioned / 20:
            return
    pytest.fail(f'the error is still {loss:.3f}, that of one answer for all {unconditioned:.3f}')
