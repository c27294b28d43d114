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

"""How far two sets of samples are from each other, as distributions."""

import torch


def compare_samples(found, reference):
    """
    Compare two sets of samples.

    :param found: Float (K, entries).
    :param reference: Float (L, entries).
    :return: RMS error of the mean; ratio of the deviations (roots of the summed variances); and
        the energy distance ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` over all pairs (Szekely and
        Rizzo 2013), at least 0.
    """
    mean_error = (found.mean(0) - reference.mean(0)).square().mean().sqrt()
    std_ratio = (found.var(0).sum() / reference.var(0).sum()).sqrt()
    energy = (2 * torch.cdist(found, reference).mean() - torch.cdist(found, found).mean()
              - torch.cdist(reference, reference).mean())
    return float(mean_error), float(std_ratio), float(energy)
