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

"""The interface every simulated robot offers to evaluation: reset, step, score."""

from typing import Protocol

from diffusion_policy_ros.contract import RobotContract
import numpy as np


class Environment(Protocol):
    """
    A robot and its task, advanced one row of the contract at a time.

    An observation maps every dataset key of the contract to its array, in robot units: images
    uint8 ``(H, W, C)``, vectors float32 ``(D,)``.

    :ivar contract: What the robot shows and obeys; its rate is the rate of ``step``.
    """

    contract: RobotContract

    def reset(self, seed: int) -> None:
        """
        Start an episode; equal seeds give equal episodes.

        :param seed: Non-negative whole number.
        """

    def step(self, action: np.ndarray) -> None:
        """
        Follow one action for one period of the contract.

        :param action: One row of the action vector, ``(action_dim,)``, in robot units.
        """

    def wait(self) -> None:
        """Let one period pass without a command, as the robot does with the last one it got."""

    def observation(self) -> dict:
        """Return what the robot shows now; rendering costs, so only on request."""

    def score(self) -> float:
        """Return how well the episode went so far, in [0, 1]."""

    @property
    def success(self) -> bool:
        """Tell whether the task has been solved since the last reset."""
