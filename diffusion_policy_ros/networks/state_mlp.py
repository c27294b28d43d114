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
"""An MLP for the vectors of an observed row."""

from torch import nn


def state_mlp(entries, widths):
    """
    Build linear layers with Mish between them.

    :param entries: Entries of the joined vectors of a row.
    :param widths: Entries after each layer, at least one.
    :return: Sequential from (..., entries) to (..., widths[-1]).
    """
    layers = [nn.Linear(entries, widths[0])]
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Mish(), nn.Linear(before, after)]
    return nn.Sequential(*layers)
