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
"""Tests of the Transformer that fuses cameras, vectors and rows."""

from diffusion_policy_ros.networks.fusion import FusionTransformer
import pytest
import torch

ROWS, CAMERAS, FEATURES, ENTRIES = 3, 2, 5, 4


def network(vectors=ENTRIES, cameras=CAMERAS):
    """Return a small network, the same weights every time."""
    torch.manual_seed(0)
    return FusionTransformer(ROWS, vectors, cameras, FEATURES, dim=16, layers=2, heads=2)


def inputs(batch=2):
    """Return vectors and image features."""
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(batch, ROWS, ENTRIES, generator=generator),
            torch.randn(batch, ROWS, CAMERAS * FEATURES, generator=generator))


def test_tokens_are_sources_of_each_row_with_their_positions():
    fusion, (vectors, images) = network(), inputs()
    expected = []
    for sample in range(2):
        tokens = []
        for row in range(ROWS):
            sources = [fusion.vectors(vectors[sample, row])]
            sources += [fusion.cameras(images[sample, row, FEATURES * c:FEATURES * (c + 1)])
                        for c in range(CAMERAS)]
            tokens += [token + fusion.sources[index] + fusion.rows[row, 0]
                       for index, token in enumerate(sources)]
        fused = fusion.encoder(torch.stack(tokens)[None])[0]
        expected.append(torch.stack([fused[(1 + CAMERAS) * row] for row in range(ROWS)]))
    found = fusion(vectors, images)
    assert found.shape == (2, ROWS, 16)
    torch.testing.assert_close(found, torch.stack(expected))


def test_without_vectors_a_row_is_the_mean_of_its_cameras():
    fusion, (_, images) = network(vectors=0), inputs()
    tokens = fusion.cameras(images.view(2, ROWS, CAMERAS, FEATURES)) + fusion.sources + fusion.rows
    fused = fusion.encoder(tokens.view(2, ROWS * CAMERAS, 16)).view(2, ROWS, CAMERAS, 16)
    torch.testing.assert_close(fusion(None, images), (fused[:, :, 0] + fused[:, :, 1]) / 2)


def test_without_cameras_rows_attend_to_each_other():
    fusion, (vectors, _) = network(cameras=0), inputs()
    whole = fusion(vectors, None)
    other = vectors.clone()
    other[:, 0] += 1
    assert whole.shape == (2, ROWS, 16)
    assert not torch.allclose(fusion(other, None)[:, -1], whole[:, -1], atol=1e-4)


@pytest.mark.parametrize('source', [0, 1])
def test_every_source_and_row_reaches_every_row(source):
    fusion, sources = network(), inputs()
    sources[source].requires_grad_(True)
    for row in range(ROWS):
        gradient, = torch.autograd.grad(fusion(*sources)[:, row].square().sum(), sources[source])
        assert (gradient.abs() > 0).all()


def test_samples_of_a_batch_do_not_mix():
    fusion, (vectors, images) = network().eval(), inputs()
    with torch.inference_mode():
        whole = fusion(vectors, images)
        torch.testing.assert_close(fusion(vectors[1:], images[1:]), whole[1:])
