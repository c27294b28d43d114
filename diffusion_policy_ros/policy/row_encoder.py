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

"""Windows encoded row by row, so that what two windows share is encoded once."""

from diffusion_policy_ros.policy.encoding import encode_images, join_observations
from diffusion_policy_ros.policy.window_check import checked_window, window_layout
import torch


class RowEncoder:
    """
    Encodes the windows of a running robot, one after the other.

    Of two windows one period apart, all rows but the newest are the same. Each row is encoded
    by itself, also the first time: so the condition is the same bit for bit, whether a row had
    been seen before or not.
    """

    def __init__(self, policy):
        """
        Start without a window.

        :param policy: The ``Policy``.
        """
        self._policy = policy
        self._layout = window_layout(policy.config, policy.contract)
        self._kept = []  # of each row of the window before: its pictures, and their features

    @torch.inference_mode()
    def encode(self, window, pictures=None):
        """
        Do what ``Policy.encode`` does with a single window.

        :param window: Key -> tensor or array (n_obs_steps, ...).
        :param pictures: For each row, a list of the arrays that its pictures were made of. A row
            is not encoded again where all of them were those of one row of the window before:
            the same objects, which must not have changed. None encodes all rows.
        :return: float32 (1, global_cond_dim).
        :raises ConfigError: naming the key, what was got and what was wanted.
        """
        tensors = checked_window({key: value[None] for key, value in window.items()},
                                 self._layout, self._policy.device)
        features = None
        if self._policy.config.image_keys:
            pictures = pictures or [None] * self._policy.config.n_obs_steps
            self._kept = [(shown, self._features(tensors, number, shown))
                          for number, shown in enumerate(pictures)]
            features = torch.cat([feature for _, feature in self._kept], dim=1)
        return join_observations(self._policy, features, tensors)

    def _features(self, tensors, number, shown):
        """Return what one row's pictures are encoded to, float32 (1, 1, image_feature_dim)."""
        for known, feature in self._kept if shown else ():
            if known and all(one is other for one, other in zip(known, shown)):
                return feature
        row = {key: tensors[key][:, number:number + 1] for key in self._policy.config.image_keys}
        return encode_images(self._policy, row, augmentation=None, generator=None)
