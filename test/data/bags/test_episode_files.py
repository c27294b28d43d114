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

"""Numbering resumes after everything that is there, finished or not."""

from diffusion_policy_ros.data.bags.episode_files import (
    all_episodes, episode_path, finished_bags, next_number, NOTE, set_aside, State, state_of)
from diffusion_policy_ros.data.bags.mcap_file import MAGIC
from diffusion_policy_ros.errors import BagError
import pytest


def test_numbering_begins_at_zero_and_needs_no_folder(tmp_path):
    assert next_number(tmp_path / 'absent') == 0
    assert finished_bags(tmp_path / 'absent') == []


def test_numbering_resumes_after_the_largest_number(tmp_path):
    for name in ('episode_000002', 'episode_000011', 'episode_7', 'notes'):
        (tmp_path / name).mkdir()
    assert next_number(tmp_path) == 12
    assert episode_path(tmp_path, 12) == tmp_path / 'episode_000012'


def test_only_closed_bags_are_finished_and_come_in_order(tmp_path):
    for number in (1_000_000, 3, 2):
        path = episode_path(tmp_path, number)
        path.mkdir()
        if number != 2:
            (path / 'metadata.yaml').touch()
    assert finished_bags(tmp_path) == [
        episode_path(tmp_path, 3), episode_path(tmp_path, 1_000_000)]


@pytest.mark.parametrize('files, state', [
    ({'metadata.yaml': b'', 'x.mcap': MAGIC + MAGIC}, State.FINISHED),
    ({'metadata.yaml': b'', 'x.mcap': MAGIC + MAGIC, NOTE: b''}, State.FINISHED),
    ({'metadata.yaml': b'', 'x.db3': b''}, State.FINISHED),
    ({'metadata.yaml': b'', 'x.mcap': MAGIC + b'cut'}, State.UNFINISHED),
    ({'metadata.yaml': b'', 'x.mcap': MAGIC}, State.UNFINISHED),
    ({'metadata.yaml': b'', 'x.mcap': MAGIC * 2, 'y.mcap': b''}, State.UNFINISHED),
    ({'x.mcap': MAGIC + MAGIC}, State.UNFINISHED),
    ({'metadata.yaml.tmp': b'', 'x.mcap': MAGIC + MAGIC, NOTE: b'{}'}, State.UNFINISHED),
    ({NOTE: b'{}'}, State.EMPTY), ({'unfinished.part': b'{'}, State.EMPTY), ({}, State.EMPTY),
    ({'notes.txt': b'', NOTE: b''}, State.FOREIGN)])
def test_the_state_of_an_episode_is_told_by_its_files(tmp_path, files, state):
    path = episode_path(tmp_path, 0)
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    assert state_of(path) is state
    assert finished_bags(tmp_path) == ([path] if state is State.FINISHED else [])


def test_what_is_set_aside_is_moved_and_never_overwrites(tmp_path):
    for content in ('first', 'second', 'third'):
        path = episode_path(tmp_path, 4)
        path.mkdir()
        (path / 'file').write_text(content)
        place = set_aside(path, 'discarded')
        assert not path.exists() and (place / 'file').read_text() == content
    assert {p.name: (p / 'file').read_text() for p in (tmp_path / 'discarded').iterdir()} == {
        'episode_000004': 'first', 'episode_000004_2': 'second', 'episode_000004_3': 'third'}
    assert all_episodes(tmp_path) == [] and next_number(tmp_path) == 5


def test_what_cannot_be_moved_is_named(tmp_path):
    (tmp_path / 'discarded').write_text('a file')
    path = episode_path(tmp_path, 0)
    path.mkdir()
    with pytest.raises(BagError, match='episode_000000 could not be moved to .*discarded'):
        set_aside(path, 'discarded')
    assert path.is_dir()


def test_a_number_whose_bag_is_being_repaired_is_taken(tmp_path):
    (tmp_path / 'repairing' / 'episode_000008').mkdir(parents=True)
    assert next_number(tmp_path) == 9
