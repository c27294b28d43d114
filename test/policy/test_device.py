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

"""A device is tried before anything is built on it."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy.device import choose_device, memory_guard
from diffusion_policy_ros.policy.policy import Policy
import pytest
import torch


def test_auto_takes_cuda_where_there_is_one():
    assert choose_device('auto').type == ('cuda' if torch.cuda.is_available() else 'cpu')
    assert choose_device('cpu') == torch.device('cpu')


@pytest.mark.parametrize('wanted', ['foo', 'cuda:99', '', 'meta', 'xpu', 'mps', 'hpu', 'cpu:3'])
def test_a_device_that_does_not_work_is_refused_with_those_that_do(wanted):
    with pytest.raises(ConfigError, match=f'device {wanted!r} cannot be used.*cpu or auto'):
        choose_device(wanted)


def test_the_gpus_of_the_machine_are_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(ConfigError, match='Choose cuda, cuda:0, cuda:1, cpu or auto'):
        choose_device('cuda:2')


def test_a_policy_is_not_loaded_to_a_device_that_does_not_work(save_tiny_policy):
    with pytest.raises(ConfigError, match="device 'meta' cannot be used"):
        Policy.load(save_tiny_policy(), device='meta')


@pytest.mark.parametrize('error', [
    MemoryError(), torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB'),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")])
def test_a_lack_of_memory_is_one_sentence_with_the_remedy(error):
    with pytest.raises(ConfigError, match='memory ran out .*; buy more'):
        with memory_guard('buy more'):
            raise error


def test_other_errors_pass_the_memory_guard():
    with pytest.raises(RuntimeError, match='shapes'):
        with memory_guard('buy more'):
            raise RuntimeError('shapes do not fit')
