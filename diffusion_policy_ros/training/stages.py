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

"""The stages of one run, one after the other, and the folders that they publish."""

from contextlib import closing

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.training import diffusion_stage, pretraining
import numpy as np


class Stages:
    """
    The encoder's first stage, where there is one, and the main stage.

    :param policy: The policy under training, on its device.
    :param cache: ``FrameCache`` of the dataset.
    :param split: Tells training rows from held-out rows.
    :param config: The run's ``TrainConfig``.
    :param loop: ``Loop`` that runs them.
    :param out: Checkpoint folder of the last weights.
    :param best: Checkpoint folder of the best ones.
    :param device: Torch device.
    :param processes: ``Processes`` that train together.
    :param roll_out: ``policy -> figures`` of episodes in simulation, or None.
    """

    def __init__(self, policy, cache, split, config, loop, *, out, best, device, processes,
                 roll_out):
        """Keep all of it."""
        self._policy, self._cache, self._split = policy, cache, split
        self._config, self._loop, self._device = config, loop, device
        self._out, self._best = out, best
        self._processes, self._roll_out = processes, roll_out

    def run(self, resumed_stage):
        """
        Run the stages that are still to do.

        :param resumed_stage: Name of the stage that a snapshot is of, or None.
        :return: The figures of the last validation and rollouts.
        """
        try:
            with closing(self._loop):
                if self._config.pretraining.target and resumed_stage != diffusion_stage.STAGE:
                    self._pretrain()
                return self._train_diffusion()
        except OSError as error:
            raise ConfigError(f'{self._loop.folder} cannot be written to ({error}); make room '
                              'there and run the same command with --resume') from error

    def _pretrain(self):
        """Run the encoder's first stage."""
        target = self._cache.arrays[self._config.pretraining.target]
        frames = {key: self._cache.arrays[key] for key in self._policy.config.image_keys}
        rows, held_out = self._split.rows(np.arange(len(target)))
        self._loop.run(pretraining.PretrainingStage(
            self._policy, frames, target, rows, held_out, self._config, self._device))

    def _train_diffusion(self):
        """Run the main stage."""
        return self._loop.run(diffusion_stage.DiffusionStage(
            self._policy, self._cache, self._split, self._config, self._device, out=self._out,
            best=self._best, processes=self._processes, roll_out=self._roll_out))
