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
"""The simulations that are nodes, and what those who play their episodes over ROS must know."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial


@dataclass(frozen=True)
class LiveSimulation:
    """
    A node that shows a robot and its task, and starts an episode by the service ``~/reset``.

    It tells on ``~/episode`` (JSON) the number and the seed of the episode, and on its topic of
    the score the present one and the best of the episode, both in [0, 1].

    :ivar title: What people call it.
    :ivar node: Name of the node, and of its module.
    :ivar contract: File in ``config/robots``; its streams are what is seen of an episode.
    :ivar score: What people call the score; its topic is ``~/<score>``.
    :ivar goal: Best score from which on an episode is solved.
    :ivar meaning: What the score means, in a few words.
    :ivar has_clock: Whether the node is the source of ``/clock``, where it may be slower
        than real time. Otherwise all follow the system's clock.
    :ivar parameters: Function of the file of the contract that is commanded: the node's
        parameters.
    """

    title: str
    node: str
    contract: str
    score: str
    goal: float
    meaning: str
    has_clock: bool = False
    parameters: Callable = lambda contract: {}


@dataclass(frozen=True)
class Demo:
    """
    What ``dpr demo`` shows.

    :ivar sim: A key of ``LIVE``.
    :ivar model: Folder in ``models``.
    :ivar episodes: How many are played unless asked otherwise.
    :ivar deadline_s: It ends within this time, whatever happens, s.
    :ivar command_rate_hz: Commands per second, Hz; None for the policy's rate.
    :ivar has_safety: Whether ``command_safety`` stands between policy and robot.
    :ivar has_window: Whether the node can open a window.
    :ivar demonstrations: Episodes that an expert shows first, for the recorder.
    :ivar task: What these show, one sentence.
    """

    sim: str
    model: str
    episodes: int
    deadline_s: int
    command_rate_hz: float = None
    has_safety: bool = False
    has_window: bool = False
    demonstrations: int = 0
    task: str = ''


def _arm(task, contract):
    """Return the parameters of the arm: its task, and the contract that says what is active."""
    return {'task': task, 'contract': contract, 'publish_clock': True}


LIVE = {
    'arm_pick_place': LiveSimulation(
        'pick and place', 'arm_sim', 'arm_pick_place.yaml', 'score', 1.0,
        '0.5 lifted, 1 in a bin', True, partial(_arm, 'pick_place')),
    'arm_push': LiveSimulation(
        'pushing with the arm', 'arm_sim', 'arm_push.yaml', 'score', 1.0,
        'how near the puck is', True, partial(_arm, 'push')),
    'pusht': LiveSimulation('Push-T', 'pusht_sim', 'pusht.yaml', 'coverage', 0.95,
                            'share of the goal that is covered')}
DEMOS = {
    'arm': Demo('arm_pick_place', 'arm_pick_place', 2, 230, 30.0, has_safety=True,
                demonstrations=1, task='pick up the cube and place it in a bin'),
    'pusht': Demo('pusht', 'pusht_image', 3, 170, has_window=True)}
