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

"""The trained parts of a policy."""

from diffusion_policy_ros.networks.observation_encoder import RgbEncoder
from diffusion_policy_ros.networks.unet1d import ConditionalUnet1d
from torch import nn


class DiffusionNetworks(nn.Module):
    """The trained parts of a policy, under LeRobot's names."""

    def __init__(self, config):
        """
        Build the networks with fresh weights.

        :param config: PolicyConfig.
        """
        super().__init__()
        if config.image_keys:
            shape = (config.image_shape[0],) + (config.crop_shape or config.image_shape[1:])
            separate = config.use_separate_rgb_encoder_per_camera
            encoders = [RgbEncoder(config.vision_backbone, shape,
                                   config.spatial_softmax_num_keypoints)
                        for _ in (config.image_keys if separate else config.image_keys[:1])]
            self.rgb_encoder = nn.ModuleList(encoders) if separate else encoders[0]
        self.unet = ConditionalUnet1d(
            config.action_dim, config.global_cond_dim, down_dims=config.down_dims,
            kernel_size=config.kernel_size, n_groups=config.n_groups,
            step_embed_dim=config.diffusion_step_embed_dim,
            use_film_scale=config.use_film_scale_modulation)
