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

"""Datasets become one where their numbers mean the same, and the first one's contract is kept."""

import re

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.datasets.edit import append_datasets, merge_datasets
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
import pytest

MS = 1_000_000


@pytest.fixture
def changed(contract):
    """Return a function that makes a contract of other words."""
    def change(*words):
        text = contract.to_yaml()
        for old, new in words:
            assert old in text
            text = text.replace(old, new)
        return parse_contract(text)
    return change


@pytest.mark.parametrize('words', [
    ('robot: small', 'robot: large'), ('settle_ms: 20', 'settle_ms: 30'),
    ('limits: {}', 'limits: {elbow: {velocity: 1.0}}'), ('max_age_ms: 150', 'max_age_ms: 5000'),
    ('topic: block_pose', 'topic: block_pose\n  on_stale: hold'),
    ('topic: joint_commands', 'topic: joint_commands\n  interpolation: hold')])
def test_what_changes_no_number_may_differ(tmp_path, contract, changed, words, named):
    first = named.write(tmp_path / 'a', contract, [('push', range(5))])
    second = named.write(tmp_path / 'b', changed(words), [('pull', range(6, 9))])
    for one, other in ((first, second), (second, first)):
        merged = merge_datasets([one, other], tmp_path / f'{one.name}{other.name}')
        assert len(named.episodes_of(merged.folder)) == 2
        kept = (one / 'meta/contract.yaml').read_bytes()
        assert (merged.folder / 'meta/contract.yaml').read_bytes() == kept
        assert merged.info['robot_type'] == merged.contract.robot
    kept = (first / 'meta/contract.yaml').read_bytes()
    assert len(append_datasets(first, [second]).episodes) == 2
    assert (first / 'meta/contract.yaml').read_bytes() == kept


def aged(named, folder, contract, **oldest_ms):
    """Write a dataset of one row, whose samples are so old by their topics."""
    with LeRobotWriter(folder, contract, codec='h264-lossless') as writer:
        row = named.row(0)
        ages_ns = {topic: int(age_ms * MS) for topic, age_ms in oldest_ms.items()}
        writer.add_row(**{**row, 'ages_ns': {**row['ages_ns'], **ages_ns}})
        writer.save_episode('pull')
    return folder


def test_samples_older_than_the_contract_allows_that_is_kept_are_refused(
        tmp_path, contract, changed, named):
    """The other order, which is told, will do."""
    first = named.write(tmp_path / 'a', contract, [('push', range(5))])
    second = aged(named, tmp_path / 'b', changed(('max_age_ms: 150', 'max_age_ms: 400')),
                  joint_states=151.5)
    with pytest.raises(DatasetError, match=re.escape(
            'joint_states: samples of the second are up to 151.5 ms old, max_age_ms of the first, '
            f'whose contract is kept, is 150; begin with {second}, whose contract allows both')):
        merge_datasets([first, second], tmp_path / 'm')
    assert merge_datasets([second, first], tmp_path / 'm').row_count == 6


def test_where_neither_contract_allows_all_samples_the_limit_to_raise_is_told(
        tmp_path, contract, changed, named):
    camera, = (stream.topic for stream in contract.observations if stream.is_image)
    first = aged(named, tmp_path / 'a', changed(('max_age_ms: 150', 'max_age_ms: 400')),
                 joint_states=300)
    limit_ms = {stream.topic: stream.max_age_ms for stream in contract.observations}[camera]
    second = aged(named, tmp_path / 'b', contract, **{camera: limit_ms + 1000})
    for one, other, topic in ((first, second, camera), (second, first, 'joint_states')):
        with pytest.raises(DatasetError, match=re.escape(
                f'{topic}: samples of the second') + '.*' + re.escape(
                f'raise it in {one}/meta/contract.yaml if such samples may be learnt from')):
            merge_datasets([one, other], tmp_path / 'm')
