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
"""The features of an observed row, joined as LeRobot joins them."""

import torch


def join_features(states, image_features, environment):
    """
    Concatenate the features of each row, then all rows, in LeRobot's order.

    :param states: List of float (B, n_obs_steps, entries), normalized.
    :param image_features: float (B, n_obs_steps, features), or None without cameras.
    :param environment: List like ``states``, of environment states.
    :return: float (B, n_obs_steps * entries of a row).
    """
    images = [] if image_features is None else [image_features]
    return torch.cat([*states, *images, *environment], dim=-1).flatten(1)
