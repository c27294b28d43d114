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

"""The device that a user means by ``auto``, ``cpu`` or ``cuda:1``, and the end of its memory."""

from contextlib import contextmanager

from diffusion_policy_ros.errors import ConfigError
import torch


def choose_device(wanted) -> torch.device:
    """
    Return the device, after trying it.

    :param wanted: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:<n>``.
    :return: The torch device.
    :raises ConfigError: if it cannot be used here, naming those that can.
    """
    gpus = [f'cuda:{index}' for index in range(torch.cuda.device_count())]
    if wanted == 'auto':
        wanted = 'cuda' if gpus else 'cpu'
    usable = [*(['cuda'] if gpus else []), *gpus, 'cpu']
    if wanted not in usable:
        raise ConfigError(f'device {wanted!r} cannot be used here. Choose {", ".join(usable)} or '
                          'auto')
    try:
        return torch.empty(1, device=wanted).device
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f'device {wanted!r} cannot be used: {reason}. Choose cpu or auto'
                          ) from error


@contextmanager
def memory_guard(remedy):
    """
    Turn a lack of memory, the machine's or a GPU's, into one sentence; also a decorator.

    :param remedy: What the user can do about it.
    :return: Context manager.
    :raises ConfigError: where memory ran out inside.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        known = isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError))
        if not known and "can't allocate memory" not in str(error):  # of torch on the CPU
            raise
        reason = (str(error) or 'no more to be had').splitlines()[0]
        raise ConfigError(f'memory ran out ({reason}); {remedy}') from error
