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

"""However a step is cut into shares, all random numbers of it are the same."""

from diffusion_policy_ros.training.shares import Share, SharedDraws
import pytest
import torch

DRAWS = (lambda n, g: torch.randn((n, 3), generator=g, dtype=torch.float32),
         lambda n, g: torch.randn(n, 3, generator=g),
         lambda n, g: torch.rand(n, 1, generator=g),
         lambda n, g: torch.randint(7, (n,), generator=g),
         lambda n, g: torch.randint(3, 7, (n, 2), generator=g),
         lambda n, g: torch.empty(n, 2).uniform_(-1, 1, generator=g),
         lambda n, g: torch.empty(n, 2).normal_(generator=g))


def drawn(count, share=None):
    """Make all draws of one step."""
    generator = torch.Generator().manual_seed(3)
    if share is None:
        return [draw(count, generator) for draw in DRAWS], generator.get_state()
    with SharedDraws(generator, share):
        return [draw(count, generator) for draw in DRAWS], generator.get_state()


def test_the_draws_of_all_shares_are_those_of_the_whole():
    whole, state = drawn(6)
    parts = [drawn(2, Share(index, 3)) for index in range(3)]
    for number, values in enumerate(whole):
        assert torch.equal(torch.cat([draws[number] for draws, _ in parts]), values)
    assert all(torch.equal(after, state) for _, after in parts)


def test_other_generators_are_left_alone():
    other = torch.Generator().manual_seed(1)
    with SharedDraws(torch.Generator(), Share(1, 2)):
        found = torch.rand(4, generator=other), torch.ones(2)
    assert torch.equal(found[0], torch.rand(4, generator=torch.Generator().manual_seed(1)))


def test_a_draw_that_cannot_be_cut_is_refused():
    generator = torch.Generator()
    with SharedDraws(generator, Share(0, 2)), pytest.raises(NotImplementedError, match='randperm'):
        torch.randperm(4, generator=generator)


def test_shares_are_equal_parts_in_order():
    assert [Share(index, 2).of([1, 2, 3, 4]) for index in range(2)] == [[1, 2], [3, 4]]
