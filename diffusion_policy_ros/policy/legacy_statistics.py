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

"""Statistics that LeRobot kept among the weights before it had processors (until late 2025)."""

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy.processors import check_copies
import torch

INPUTS, TARGETS, OUTPUTS = (
    f'{name}.buffer_' for name in ('normalize_inputs', 'normalize_targets', 'unnormalize_outputs'))


def is_legacy(names) -> bool:
    """
    Tell whether statistics are among the weights.

    :param names: Names of tensors.
    """
    return any(name.startswith((INPUTS, TARGETS, OUTPUTS)) for name in names)


def split_statistics(tensors, keys, path) -> tuple:
    """
    Part statistics from weights.

    :param tensors: Tensor name -> tensor, of a legacy checkpoint.
    :param keys: Keys of all features that the policy was built with.
    :param path: File that they come from, for messages.
    :return: ``(weights, statistics)``: tensor name -> tensor, and key -> statistic -> tensor.
    :raises CheckpointError: if a name belongs to no feature or to two, or the two copies of the
        action's statistics differ.
    """
    known = _keys_by_name(keys, path)
    weights, statistics, targets = {}, {}, {}
    for name, tensor in tensors.items():
        prefix = next((p for p in (INPUTS, TARGETS, OUTPUTS) if name.startswith(p)), None)
        if prefix is None:
            weights[name] = tensor
            continue
        written, _, statistic = name[len(prefix):].rpartition('.')
        if written not in known:
            raise CheckpointError(
                f'{path}: {name!r} belongs to no feature of config.json, whose keys are '
                f'{", ".join(keys)}; the two files are not of one policy')
        kept = targets if prefix == TARGETS else statistics
        kept.setdefault(known[written], {})[statistic] = tensor.to(torch.float32)
    check_copies(statistics, targets, path)
    return weights, {**targets, **statistics}


def _keys_by_name(keys, path):
    """Return every key by the name under which its statistics were stored, dots as underscores."""
    known = {}
    for key in keys:
        other = known.setdefault(key.replace('.', '_'), key)
        if other != key:
            raise CheckpointError(
                f'{path} keeps the statistics of {other!r} and {key!r} under one name, so nobody '
                'can tell whose they are; give one of the two another name and train again')
    return known
