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

"""The steps of a sampler as a graph: the sampler's own chunks, without looking at a value."""

from diffusion_policy_ros.choices import SOLVERS
from diffusion_policy_ros.diffusion import DiscreteVp, sample_chunk, Sampler, Unrolled
from diffusion_policy_ros.errors import ConfigError
import pytest
import torch

VP = DiscreteVp()
RANDOM = ('adaptive', 'ddpm', 'sde_dpm_solver++', 'euler_maruyama', 'predictor_corrector')
FIXED = [Sampler(name, 5) for name in SOLVERS if name not in RANDOM] + [
    Sampler('dpm_solver++', 6, spacing='karras', temperature=0.5),
    Sampler('ddim', 6, then='dpm_solver++', switch_lambda=-1.0)]


def noise(seed):
    """Return the start of two chunks."""
    return torch.randn(2, 16, 3, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('sampler', FIXED, ids=lambda sampler: sampler.solver)
def test_it_comes_to_the_chunks_of_the_sampler_bit_for_bit(sampler, bent):
    unrolled = Unrolled(VP, sampler)
    for seed in (0, 1):
        assert torch.equal(unrolled(bent, noise(seed)),
                           sample_chunk(bent, noise(seed), VP, sampler))


@pytest.mark.parametrize('sampler', FIXED, ids=lambda sampler: sampler.solver)
def test_recorded_once_it_samples_from_other_noise(sampler, bent):
    class Chunk(torch.nn.Module):
        def forward(self, start):
            return unrolled(bent, start)

    unrolled = Unrolled(VP, sampler)
    unrolled(bent, noise(0))  # what is computed of numbers alone must not be recorded
    graph = torch.export.export(Chunk(), (noise(0),)).module()
    torch.testing.assert_close(graph(noise(1)), sample_chunk(bent, noise(1), VP, sampler))


@pytest.mark.parametrize('sampler, words', [
    *((Sampler(name), f"'{name}'") for name in RANDOM),
    (Sampler('ddim', eta=0.3), "'ddim', eta 0.3 draws noise"),
    (Sampler('ddim', then='ddpm'), "'ddim', then ddpm draws noise")])
def test_a_sampler_without_a_fixed_sequence_of_operations_is_refused(sampler, words):
    with pytest.raises(ConfigError, match=f'{words}.*; take dpm_solver'.replace('+', '[+]')):
        Unrolled(VP, sampler)


def test_levels_that_the_process_lacks_are_refused():
    with pytest.raises(ConfigError, match='num_inference_steps is 101'):
        Unrolled(VP, Sampler('ddim', 101))
