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
"""Tests of the moving average of weights."""

from diffusion_policy_ros.networks.ema import Ema
import pytest
import torch
from torch import nn


def test_decay_grows_from_zero_to_its_limit():
    ema = Ema(nn.Linear(1, 1))
    assert ema.decay(0) == 0
    assert ema.decay(15) == pytest.approx(1 - 16 ** -0.75)
    assert ema.decay(10 ** 9) == 0.9999


def test_average_follows_its_recursion():
    model = nn.Linear(1, 1, bias=False)
    ema, expected = Ema(model), None
    for step, value in enumerate((2.0, -1.0, 4.0, 0.5)):
        nn.init.constant_(model.weight, value)
        ema.update(step)
        decay = 1 - (1 + step) ** -0.75
        expected = value if expected is None else decay * expected + (1 - decay) * value
    copy = nn.Linear(1, 1, bias=False)
    ema.copy_to(copy)
    assert copy.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 0.5


def test_averaged_weights_are_lent_and_taken_back_even_after_an_error():
    model = nn.Linear(2, 2)
    ema = Ema(model)
    averaged = model.weight.clone()
    nn.init.ones_(model.weight)
    with pytest.raises(RuntimeError, match='inside'):
        with ema.applied() as lent:
            assert lent is model and torch.equal(model.weight, averaged)
            raise RuntimeError('inside')
    assert torch.equal(model.weight, torch.ones(2, 2))
    assert model.weight.requires_grad


def test_training_inside_the_block_still_records_gradients():
    model = nn.Linear(2, 1)
    with Ema(model).applied():
        model(torch.ones(1, 2)).sum().backward()
    assert model.weight.grad is not None


def test_state_round_trip():
    model = nn.Linear(2, 2)
    ema = Ema(model)
    nn.init.zeros_(model.weight)
    other = Ema(model)
    other.load_state_dict({name: t.clone() for name, t in ema.state_dict().items()})
    assert all(torch.equal(other.state_dict()[name], tensor)
               for name, tensor in ema.state_dict().items())


def test_average_stays_finite_and_trainable_weights_keep_their_gradient():
    model = nn.Linear(2, 2)
    ema = Ema(model)
    model(torch.ones(1, 2)).sum().backward()
    ema.update(0)
    assert model.weight.grad is not None
    assert not any(tensor.requires_grad for tensor in ema.state_dict().values())
