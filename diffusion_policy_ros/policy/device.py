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

"""The device that a user means by ``auto``, ``cpu`` or ``cuda:1``."""

from diffusion_policy_ros.errors import ConfigError
import torch


def choose_device(wanted) -> torch.device:
    """
    Return the device, after trying it.

    :param wanted: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:<n>``.
    :return: The torch device.
    :raises ConfigError: if it cannot be used here.
    """
    if wanted == 'auto':
        wanted = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        return torch.empty(1, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'device {wanted!r} cannot be used: {reason}. Choose cpu or auto'
                          ) from error
