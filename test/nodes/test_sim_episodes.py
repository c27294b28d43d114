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
"""Seeds of a simulated robot's episodes: from the parameter, then counting up."""

import json
import time
from unittest.mock import Mock

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes.sim_episodes import SimEpisodes  # noqa: E402,I100


def test_seeds_count_up_from_the_parameter_and_begin_anew_where_it_is_set():
    settings = {'seed': 5}
    episodes = SimEpisodes(Mock(), settings)
    assert [episodes.begin() for _ in range(3)] == [5, 6, 7]
    settings['seed'] = 2
    assert [episodes.begin() for _ in range(2)] == [2, 3]
    assert str(episodes) == 'episode 4, seed 3'


def test_what_is_told_of_an_episode_is_its_number_its_seed_and_what_else_there_is():
    node = Mock()
    episodes = SimEpisodes(node, {'seed': 5})
    episodes.begin()
    episodes.show(task='push')
    episodes.show(number=3, seed=None, phase='playing')
    told = [json.loads(call.args[0].data) for call in
            node.create_publisher().publish.call_args_list]
    assert told == [{'number': 0, 'seed': 5, 'task': 'push'},
                    {'number': 3, 'seed': None, 'phase': 'playing'}]


def test_what_came_before_an_episode_is_late_but_not_what_nobody_dates():
    episodes = SimEpisodes(Mock(), {'seed': 5})
    before_ns = time.time_ns()
    episodes.begin()
    while time.time_ns() == before_ns:  # a clock may be coarse
        pass
    episodes.show()
    assert episodes.is_late(before_ns)
    assert not episodes.is_late(time.time_ns()) and not episodes.is_late(0)
