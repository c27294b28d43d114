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

"""The interface of a scripted demonstrator: what ``dpr record-sim`` records."""

from typing import Protocol

import numpy as np


class Expert(Protocol):
    """
    Solves the task of one kind of simulated robot, by all that the simulation knows.

    Experts of equal seeds act alike in equal episodes; other seeds show other ways of doing it.

    :ivar task: What it shows, one sentence, for bags and datasets.
    """

    task: str

    def reset(self, seed: int, environment) -> None:
        """
        Get ready for an episode that has just begun.

        :param seed: Seed of what this demonstration has of its own, a whole number from 0.
        :param environment: The robot's ``Environment``, after its reset.
        """

    def act(self, environment) -> np.ndarray:
        """
        Return the action for the period to come; it is not carried out here.

        :param environment: As for ``reset``, at the present row.
        :return: One row of the action vector in the contract's order, ``(action_dim,)``, in
            robot units; None where the demonstration has come to its end.
        """
