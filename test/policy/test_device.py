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
from diffusion_policy_ros.policy.device import choose_device
import pytest
import torch


def test_auto_takes_cuda_where_there_is_one():
    assert choose_device('auto').type == ('cuda' if torch.cuda.is_available() else 'cpu')
    assert choose_device('cpu') == torch.device('cpu')


@pytest.mark.parametrize('wanted', ['foo', 'cuda:99', ''])
def test_a_device_that_does_not_work_is_refused_by_name(wanted):
    with pytest.raises(ConfigError, match=f'device {wanted!r} cannot be used'):
        choose_device(wanted)
