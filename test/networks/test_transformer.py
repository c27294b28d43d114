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
"""Tests of the Transformer denoiser."""

from diffusion_policy_ros.networks.transformer import causal_masks, ConditionalTransformer
import pytest
import torch


def network(**changes):
    """Return a small network; 2 observed rows, 6 rows of a chunk."""
    torch.manual_seed(0)
    return ConditionalTransformer(3, 8, 6, 2, **{'dim': 16, 'layers': 2, 'heads': 2, **changes}
                                  ).eval()


def influence(transformer, of):
    """Return which row of the output depends on which row of the chunk or the condition."""
    x = torch.randn(1, 6, 3, requires_grad=True)
    cond = torch.randn(1, 8, requires_grad=True)
    out = transformer(x, torch.tensor([5]), cond)
    rows = []
    for row in range(6):
        gradient, = torch.autograd.grad(out[0, row].sum(), x if of == 'chunk' else cond,
                                        retain_graph=True)
        rows.append(gradient.reshape(6 if of == 'chunk' else 2, -1).abs().sum(1) > 0)
    return torch.stack(rows)


def test_causal_rows_depend_on_no_later_row():
    assert torch.equal(influence(network(), 'chunk'), torch.ones(6, 6).tril().bool())


def test_causal_rows_depend_on_no_later_observation():
    seen = influence(network(), 'condition')
    assert seen[0].tolist() == [True, False] and seen[1:].all()


@pytest.mark.parametrize('of', ('chunk', 'condition'))
def test_rows_depend_on_all_where_causality_is_off(of):
    assert influence(network(causal=False), of).all()


def test_masks_hide_what_comes_later_and_never_the_time():
    own, memory = causal_masks(4, 2)
    assert own.tolist() == [[column > row for column in range(4)] for row in range(4)]
    assert memory.tolist() == [[False, False, True]] + 3 * [[False, False, False]]


@pytest.mark.parametrize('causal', (True, False))
def test_no_call_reads_a_number_back_from_the_device(causal):
    with torch.device('meta'):  # holds no numbers: whoever reads one fails
        transformer = ConditionalTransformer(3, 8, 6, 2, dim=16, layers=2, heads=2, causal=causal)
        out = transformer(torch.empty(2, 6, 3), torch.empty(1), torch.empty(2, 8))
    assert out.shape == (2, 6, 3)


def test_published_size_has_about_nine_million_weights():
    # image_pusht_diffusion_policy_transformer: 8 layers of 256, 4 heads.
    with torch.device('meta'):
        large = ConditionalTransformer(2, 132, 16, 2, dim=256, layers=8, heads=4)
    assert sum(p.numel() for p in large.parameters()) == pytest.approx(9e6, rel=0.1)


def test_dropout_acts_in_training_only():
    transformer = network(dropout=0.5)
    x, cond = torch.randn(1, 6, 3), torch.randn(1, 8)
    t = torch.tensor([3])
    assert torch.equal(transformer(x, t, cond), transformer(x, t, cond))
    transformer.train()
    assert not torch.equal(transformer(x, t, cond), transformer(x, t, cond))
