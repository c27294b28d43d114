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

"""The weights are those of the variational bound, worked out from its Gaussians."""

from diffusion_policy_ros.choices import PREDICTION_TYPES
from diffusion_policy_ros.diffusion import (
    bound_weight, ContinuousVp, DiscreteVp, GeometricVe, KarrasVe, variational_weights)
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch
from torch.distributions import kl_divergence, Normal

torch.set_num_threads(1)

DISCRETE = [DiscreteVp(100, 'squaredcos_cap_v2'), DiscreteVp(100, 'linear'),
            DiscreteVp(20, 'scaled_linear', 0.001, 0.3), DiscreteVp(150, 'linear')]
CONTINUOUS = [ContinuousVp(), ContinuousVp(0.5, 3.0), GeometricVe(), GeometricVe(0.1, 10.0),
              KarrasVe(), KarrasVe(0.01, 5.0, 3.0)]
SHAPE = (6, 4, 2)


def predictions_of(x_t, x0, alpha, sigma):
    """Return what a network would have to say for a clean chunk, by prediction type."""
    eps = (x_t - alpha * x0) / sigma
    return {'epsilon': eps, 'sample': x0, 'v_prediction': alpha * eps - sigma * x0,
            'score': -eps / sigma}


@pytest.fixture
def chunks():
    """Give random x_0, x0_hat and noise, float64."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(SHAPE, generator=generator, dtype=torch.float64) for _ in range(3)]


@pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
@pytest.mark.parametrize('process', DISCRETE, ids=str)
def test_weighted_error_is_the_divergence_of_the_reverse_step(process, prediction_type, chunks):
    x0, x0_hat, noise = chunks
    betas = process.betas
    alpha_bar = torch.cumprod(1 - betas, 0)
    weights = bound_weight(process, torch.arange(len(betas)), prediction_type)
    for t in range(1, len(betas)):
        x_t = alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * noise

        def reverse_step(clean):  # Ho et al. 2020, Eq. 6 and 7
            share = alpha_bar[t - 1].sqrt() * betas[t] / (1 - alpha_bar[t])
            rest = (1 - betas[t]).sqrt() * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
            variance = (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]) * betas[t]
            return Normal(share * clean + rest * x_t, variance.sqrt())

        divergence = kl_divergence(reverse_step(x0), reverse_step(x0_hat)).sum((1, 2))
        target, predicted = (
            predictions_of(x_t, x, alpha_bar[t].sqrt(), (1 - alpha_bar[t]).sqrt())[prediction_type]
            for x in (x0, x0_hat))
        error = (target - predicted).square().sum((1, 2))
        torch.testing.assert_close(weights[t] * error, divergence, rtol=1e-8, atol=0)


@pytest.mark.parametrize('process', [*DISCRETE, *CONTINUOUS], ids=str)
def test_one_error_costs_the_same_whatever_the_network_predicts(process, chunks):
    x0, x0_hat, noise = chunks
    for t in torch.linspace(process.t_min, process.t_max, 7, dtype=torch.float64)[:-1]:
        t = t.round().long() if process.is_discrete else t + 1e-3
        alpha, sigma = process.marginal(t)
        x_t = alpha * x0 + sigma * noise
        targets, predicted = (predictions_of(x_t, x, alpha, sigma) for x in (x0, x0_hat))
        costs = [bound_weight(process, t, name) * (targets[name] - predicted[name]).square().sum()
                 for name in PREDICTION_TYPES]
        torch.testing.assert_close(torch.stack(costs), costs[0].expand(4), rtol=1e-7, atol=0)


@pytest.mark.parametrize('process', CONTINUOUS, ids=str)
def test_continuous_weight_is_the_limit_of_discrete_differences(process):
    def snr(t):
        alpha, sigma = process.marginal(t)
        return (alpha / sigma) ** 2

    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    weight = bound_weight(process, t, 'sample')
    errors = []
    for step in (1e-3, 1e-4):
        difference = (snr(t - step / 2) - snr(t + step / 2)) / 2 / step
        errors.append((difference / weight - 1).abs().max().item())
    assert errors[1] < 1e-4
    assert errors[1] < 0.02 * errors[0]  # of second order in the step


@pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
def test_a_fine_discrete_process_weighs_as_the_continuous_one(prediction_type):
    count, beta_min, beta_max = 10_000, 0.1, 20.0
    fine = DiscreteVp(count, 'linear', beta_min / count, beta_max / count)
    levels = torch.arange(500, count, 500)
    torch.testing.assert_close(
        count * bound_weight(fine, levels, prediction_type),
        bound_weight(ContinuousVp(beta_min, beta_max), (levels + 0.5) / count, prediction_type),
        rtol=5e-3, atol=0)


def test_the_terms_add_up_to_the_whole_fall_of_the_signal_to_noise_ratio():
    process = DiscreteVp(50, 'squaredcos_cap_v2')
    alpha_bar = process.alphas_cumprod
    snr = alpha_bar / (1 - alpha_bar)
    weights = bound_weight(process, torch.arange(50), 'sample')
    torch.testing.assert_close(weights[1:].sum(), (snr[0] - snr[-1]) / 2)


@pytest.mark.parametrize('process', DISCRETE, ids=str)
def test_an_error_in_the_data_weighs_at_timestep_0_as_at_1(process):
    weights = bound_weight(process, torch.arange(2), 'sample')
    assert weights[0] == weights[1] > 0
    eps = bound_weight(process, torch.arange(2), 'epsilon')
    alpha, sigma = process.marginal(0)
    torch.testing.assert_close(eps[0], weights[0] * (sigma / alpha) ** 2)


@pytest.mark.parametrize('prediction_type', PREDICTION_TYPES)
@pytest.mark.parametrize('process', DISCRETE, ids=str)
def test_training_weights_have_a_mean_of_1_and_the_ratios_of_the_bound(process, prediction_type):
    weights = variational_weights(process, prediction_type)
    bound = bound_weight(process, torch.arange(process.num_train_timesteps), prediction_type)
    assert weights.shape == bound.shape and weights.dtype == torch.float64
    assert weights.mean().item() == pytest.approx(1)
    torch.testing.assert_close(weights / weights[3], bound / bound[3])
    assert (weights.float() > 0).all()


def test_the_last_cosine_level_takes_almost_all_weight_of_epsilon_but_not_of_v():
    process = DiscreteVp(100, 'squaredcos_cap_v2')
    assert variational_weights(process, 'epsilon')[-1] == pytest.approx(98, abs=0.5)
    assert variational_weights(process, 'v_prediction').max() < 20


def test_a_process_of_a_single_level_weighs_it_1():
    assert variational_weights(DiscreteVp(1), 'epsilon').tolist() == [1]


def test_unknown_prediction_type_is_refused():
    with pytest.raises(ConfigError, match="prediction_type is 'noise'; choose one of: epsilon"):
        bound_weight(DiscreteVp(), 3, 'noise')
