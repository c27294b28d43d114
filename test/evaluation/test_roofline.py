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

"""What limits a chunk is counted right, and what a machine can do is measured."""

from diffusion_policy_ros.evaluation import roofline as module
from diffusion_policy_ros.evaluation.chunk_bench_policy import (
    bench_config, random_window, untrained_policy)
from diffusion_policy_ros.evaluation.roofline import (
    chunk_work, ChunkWork, MachineLimits, measure_limits, roofline)
import pytest
import torch
from torch import nn

torch.set_num_threads(1)

LIMITS = MachineLimits(1e9, {'float32': 1e9, 'bfloat16': 4e9})


def multiply_adds(module, out):
    """Count the multiply-adds of a layer from its sizes."""
    if isinstance(module, nn.Linear):
        return out.numel() * module.in_features
    weight = module.weight
    if isinstance(module, nn.ConvTranspose1d):  # each input meets each weight of its channel
        rows = out.shape[-1] // module.stride[0]
        return out.shape[0] * rows * weight.numel()
    return out.numel() * weight[0].numel()


@pytest.fixture(scope='module')
def policy():
    """Return a small policy with a camera."""
    return untrained_policy(bench_config((16, 32), cameras=1, image_size=(32, 32), horizon=8))


@pytest.mark.parametrize('candidates', [1, 3])
def test_work_is_that_of_the_layers(policy, candidates):
    counted, layers = {True: 0, False: 0}, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
    denoiser = set(policy.diffusion.denoiser.modules())

    def count(layer, _, out):
        counted[layer in denoiser] += multiply_adds(layer, out)

    hooks = [layer.register_forward_hook(count) for layer in policy.diffusion.modules()
             if isinstance(layer, layers)]
    work = chunk_work(policy, random_window(policy), candidates)
    for hook in hooks:
        hook.remove()
    assert work.denoiser_flops == 2 * counted[True]
    # The matrix product of the spatial softmax is no layer's.
    assert work.encoder_flops == pytest.approx(2 * counted[False], rel=1e-3)
    assert work.denoiser_weights == sum(w.numel() for w in policy.diffusion.unet.parameters())
    assert work.encoder_weights == sum(
        w.numel() for w in policy.diffusion.rgb_encoder.parameters())


def test_the_larger_of_the_two_limits_is_the_roofline():
    few_flops = roofline(ChunkWork(10_000_000, 5_000_000, 1_000_000, 2_000_000), 10, 'float32',
                         LIMITS)
    assert few_flops.read_ms == pytest.approx(4 * (10e6 + 50e6) / 1e9 * 1e3)
    assert few_flops.arithmetic_ms == pytest.approx((1e6 + 20e6) / 1e9 * 1e3)
    assert few_flops.ms == few_flops.read_ms
    many_flops = roofline(ChunkWork(0, 1, 0, 10**9), 2, 'float32', LIMITS)
    assert many_flops.ms == many_flops.arithmetic_ms == pytest.approx(2000)


def test_weights_of_half_the_size_are_read_in_half_the_time_and_the_encoder_keeps_its_own():
    found = roofline(ChunkWork(1_000_000, 5_000_000, 10**9, 10**9), 10, 'bfloat16', LIMITS)
    assert found.read_ms == pytest.approx((4 * 1e6 + 2 * 50e6) / 1e9 * 1e3)
    assert found.arithmetic_ms == pytest.approx(1000 + 10_000 / 4)
    slow = MachineLimits(1e9, {'float32': 1e9, 'bfloat16': 1e8})
    assert roofline(ChunkWork(0, 0, 0, 10**9), 1, 'bfloat16', slow).ms == pytest.approx(1000)


def test_the_limits_are_those_of_the_best_try_and_the_faster_library(monkeypatch):
    monkeypatch.setattr(module, 'can_pack', lambda: True)
    monkeypatch.setattr(module, 'READ_BYTES', {'cpu': 2**20})
    monkeypatch.setattr(module, 'MATRIX_SIDE', {'cpu': 64})
    slower, faster = [0.0, 1.0, 1.0, 2.0, 2.0, 3.0], [0.0, 1.0, 1.0, 1.5, 2.0, 3.0]
    seconds = iter([0.0, 0.5, 1.0, 1.25, 2.0, 3.0] + slower + faster + faster + slower)
    monkeypatch.setattr(module, 'TRIES', 3)
    monkeypatch.setattr(module.time, 'perf_counter', lambda: next(seconds))
    found = measure_limits(torch.device('cpu'), ['bfloat16'])
    assert found.read_bytes_per_s == 2**20 / 0.25
    assert found.flops_per_s == dict.fromkeys(('float32', 'bfloat16'), 2 * 64**3 / 0.5)
