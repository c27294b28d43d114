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

from diffusion_policy_ros.data.bags.episode_files import episode_path, finished_bags, next_number


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
