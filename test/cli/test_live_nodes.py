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

"""A disk that takes no demonstration ends a demo at once, with the reason."""

import os
from pathlib import Path
import resource
from types import SimpleNamespace

from diffusion_policy_ros.cli.children import Children, node_environment
from diffusion_policy_ros.cli.live_nodes import record_demonstrations
from diffusion_policy_ros.data.recording import disk_room
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.share import share_path
import pytest

DOMAIN_ID = 84
CONTRACT = share_path('config', 'robots', 'arm_pick_place.yaml')


@pytest.fixture
def small_files():
    """Let no file of a process that is started become larger than 150 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
def test_a_bag_that_the_disk_takes_no_more_of_ends_it_in_the_words_of_the_recorder(
        small_files, tmp_path):
    pytest.importorskip('rclpy')
    pytest.importorskip('mujoco')
    environment = node_environment(DOMAIN_ID, share_path('config', 'fastdds.xml'))
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, [str(Path(__file__).parents[2]), environment.get('PYTHONPATH')]))
    with Children(tmp_path, environment) as children:
        with pytest.raises(DiffusionPolicyError, match='the recorder cannot follow the expert: '
                           '.*could not be finished: .*File too large; make room'):
            record_demonstrations(children, 'arm_pick_place', CONTRACT, tmp_path / 'bags',
                                  episodes=1, task='lift')


def test_a_full_disk_is_told_before_any_node_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_room.shutil, 'disk_usage', lambda _: SimpleNamespace(free=5_000_000))
    with pytest.raises(DiffusionPolicyError, match='has 5 MB free, at least 100 MB are needed; '
                       'make room, or choose an --out on another disk'):
        record_demonstrations(None, 'arm_pick_place', CONTRACT, tmp_path / 'bags', episodes=1,
                              task='lift')
