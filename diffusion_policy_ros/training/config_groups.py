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

"""Groups of training settings: the encoder's first stage, and rollouts in simulation."""

from dataclasses import dataclass
from typing import Optional


@dataclass(frozen=True)
class EncoderPretraining:
    """
    First stage: the image encoder learns to see what an auxiliary stream tells.

    :ivar target: Dataset key of the auxiliary stream, or None to train end to end at once.
    :ivar steps: Optimizer steps of this stage.
    :ivar batch_size: Frames per step and process.
    :ivar learning_rate: Peak rate of AdamW.
    :ivar freeze: Keep the encoder fixed afterwards and cache its features, which makes the
        diffusion stage several times faster on a CPU.
    """

    target: Optional[str] = None
    steps: int = 6000
    batch_size: int = 64
    learning_rate: float = 2e-3
    freeze: bool = True


@dataclass(frozen=True)
class RolloutSettings:
    """
    Episodes in simulation while training, with the averaged weights and always the same seeds.

    :ivar sim: Simulated robot, as for ``dpr eval --sim``; None for no rollouts.
    :ivar every: Interval in steps; 0 only without rollouts.
    :ivar episodes: Episodes each time.
    """

    sim: Optional[str] = None
    every: int = 0
    episodes: int = 50
