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

"""Edits that cannot be done are refused, and interrupted ones lose nothing."""

import os
import shutil

from diffusion_policy_ros.data.datasets import edit
from diffusion_policy_ros.data.datasets.edit import (
    append_datasets, delete_episodes, merge_datasets, split_dataset)
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest

EPISODES = [('push', range(5)), ('pull', range(5, 6)), ('push', range(6, 15)),
            ('lift', range(15, 18))]


@pytest.mark.parametrize('act, said', [
    (lambda d, out: delete_episodes(d, [4], out), 'has no episode 4; it has 0 to 3'),
    (lambda d, out: delete_episodes(d, [1, 1], out), 'episode 1 is named twice'),
    (lambda d, out: delete_episodes(d, range(4), out), 'no episode would be left'),
    (lambda d, out: split_dataset(d, {'a': [1, 2], 'b': [2]}, out), '2 is in a and in b'),
    (lambda d, out: split_dataset(d, {'../a': [1]}, out), "part '../a': a name is made of"),
    (lambda d, out: merge_datasets([d], d / 'inside'), 'lies inside'),
    (lambda d, out: merge_datasets([d], d), 'exists already and is never overwritten'),
    (lambda d, out: merge_datasets([d, out], out / 'x'), 'does not exist'),
])
def test_what_cannot_be_done_is_refused_and_changes_nothing(tmp_path, contract, act, said, named):
    whole = named.write(tmp_path / 'whole', contract, EPISODES)
    with pytest.raises(DatasetError, match=said):
        act(whole, tmp_path / 'out')
    assert [path.name for path in tmp_path.iterdir()] == ['whole']
    assert named.episodes_of(whole) == [(task, list(rows)) for task, rows in EPISODES]


def change_contract(folder, old, new):
    """Edit the contract inside a dataset."""
    path = folder / 'meta/contract.yaml'
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize('change, said', [
    (lambda d: (d / 'meta/contract.yaml').unlink(), 'b has no contract; if it is the same robot'),
    (lambda d: change_contract(d, 'topic: joint_c', 'offset_ms: 9\n  topic: joint_c'),
     r'action offset_ms: the first with 0\.0, the second has 9\. Their numbers mean different '
     'things: keep the two apart, or correct the meta/contract.yaml that is wrong$'),
    (lambda d: change_contract(d, 'topic: joint_states', 'topic: joint_states\n  unit: deg'),
     'observation.state unit: the first with none, the second has deg'),
])
def test_datasets_of_other_meaning_are_not_merged(tmp_path, contract, change, said, named):
    first, second = (named.write(tmp_path / name, contract, EPISODES[:1]) for name in 'ab')
    change(second)
    with pytest.raises(DatasetError, match=f'/a and .*/b cannot be merged: .*({said})'):
        merge_datasets([first, second], tmp_path / 'm')


def test_datasets_of_other_features_or_rates_are_not_merged(tmp_path, contract, named):
    def one(name, rate_hz, size):
        feature = {'dtype': 'float32', 'shape': [size], 'names': None}
        with LeRobotWriter(tmp_path / name, features={'x': feature}, rate_hz=rate_hz) as writer:
            writer.add_frame({'x': np.zeros(size)})
            writer.save_episode('t')
        return tmp_path / name
    a, b, c = one('a', 10, 2), one('b', 30, 2), one('c', 10, 3)
    with pytest.raises(DatasetError, match='fps is 10 and 30'):
        merge_datasets([a, b], tmp_path / 'm')
    with pytest.raises(DatasetError, match=r"'x' shape is \[2\] and \[3\]"):
        merge_datasets([a, c], tmp_path / 'm')
    with pytest.raises(DatasetError, match="only .*/a has 'x'; .*; and 4 more$"):
        merge_datasets([a, named.write(tmp_path / 'd', contract, EPISODES[:1])], tmp_path / 'm')


def test_what_else_lies_in_a_dataset_stays_when_it_grows(tmp_path, contract, named):
    first, second = (named.write(tmp_path / name, contract, EPISODES[:1]) for name in 'ab')
    (first / 'README.md').write_text('mine')
    (first / 'photos').mkdir()
    (first / 'photos/one.jpg').write_text('two')
    (first / '.cache').mkdir()
    (first / 'report.html').write_text('of the rows before')
    (first / 'meta/licence.txt').write_text('mine too')
    append_datasets(first, [second])
    assert (first / 'README.md').read_text() == 'mine'
    assert (first / 'photos/one.jpg').read_text() == 'two'
    assert (first / 'meta/licence.txt').read_text() == 'mine too'
    # These were of the rows before.
    assert not (first / '.cache').exists() and not (first / 'report.html').exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'b']


def test_a_dataset_behind_a_link_grows_where_it_is(tmp_path, contract, named):
    first, second = (named.write(tmp_path / name, contract, EPISODES[:1]) for name in 'ab')
    link = tmp_path / 'link'
    link.symlink_to(first)
    append_datasets(link, [second])
    assert link.is_symlink() and len(named.episodes_of(first)) == 2
    assert named.episodes_of(link) == named.episodes_of(first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'b', 'link']


def test_an_append_that_the_disk_refuses_is_undone(tmp_path, contract, monkeypatch, named):
    def refuse(*paths):
        raise OSError('the disk is gone')
    first, second = (named.write(tmp_path / name, contract, EPISODES[:1]) for name in 'ab')
    with monkeypatch.context() as patch:
        patch.setattr(edit, 'put_in_place', refuse)
        with pytest.raises(DatasetError, match='the disk is gone'):
            append_datasets(first, [second])
    assert len(named.episodes_of(first)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'b']
    with monkeypatch.context() as patch:
        patch.setattr(edit.shutil, 'rmtree', lambda path, **options: options or refuse())
        with pytest.raises(DatasetError, match='a has grown, but .*a.before, .*Remove it your'):
            append_datasets(first, [second])
    assert len(named.episodes_of(first)) == 2


def test_an_append_that_is_interrupted_anywhere_loses_nothing(tmp_path, contract, monkeypatch,
                                                              named):
    """Before and after every step that gives a folder a name or removes it."""
    steps = 0

    def fail_at(step):
        count = iter(range(1000))

        def wrap(act):
            def acted(*arguments, **options):
                if next(count) == step:
                    raise KeyboardInterrupt
                found = act(*arguments, **options)
                if act is not replace and next(count) == step:
                    raise KeyboardInterrupt
                return found
            return acted
        replace = os.replace
        for target, name in ((edit.Path, 'rename'), (edit.shutil, 'rmtree'), (os, 'replace')):
            monkeypatch.setattr(target, name, wrap(getattr(target, name)))
        return count

    for name in 'ab':
        named.write(tmp_path / 'kept' / name, contract, EPISODES[:1])
    for step in range(1000):
        place = shutil.copytree(tmp_path / 'kept', tmp_path / str(step))
        first, second = (place / name for name in 'ab')
        try:
            fail_at(step)
            append_datasets(first, [second])
            break
        except KeyboardInterrupt:
            steps += 1
        finally:
            monkeypatch.undo()
        count = len(named.episodes_of(first))
        assert count in (1, 2)
        left = {path.name for path in place.iterdir()}
        # Where the removal of what was unfinished is itself interrupted, that stays.
        assert left - {'a', 'b'} <= {'a.appended.part'}
        if left == {'a', 'b'} and count == 1:
            append_datasets(first, [second])
    assert steps > 12 and len(named.episodes_of(first)) == 2


@pytest.mark.parametrize('gone, said', [
    (False, 'a has grown already .*: rm -r {}/a.before$'),
    (True, 'a.before is all of a as it was .*: mv {0}/a.before {0}/a && rm -r {0}/a.appended$')])
def test_what_a_killed_run_left_is_told_with_the_commands_that_put_it_right(
        tmp_path, contract, named, gone, said):
    first, second = (named.write(tmp_path / name, contract, EPISODES[:1]) for name in 'ab')
    first.rename(tmp_path / 'a.before')
    named.write(tmp_path / ('a.appended' if gone else 'a'), contract, EPISODES[:2])
    with pytest.raises(DatasetError, match=said.format(tmp_path)) as caught:
        append_datasets(first, [second])
    os.system(str(caught.value).rsplit(': ', 1)[1])
    append_datasets(first, [second])
    assert len(named.episodes_of(first)) == (2 if gone else 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a', 'b']


@pytest.mark.parametrize('name', ['a.appended', 'a.appended.part'])
def test_what_a_killed_run_was_making_is_told_with_the_command_that_removes_it(
        tmp_path, contract, named, name):
    first, second = (named.write(tmp_path / name, contract, EPISODES[:1]) for name in 'ab')
    (tmp_path / name).mkdir()
    with pytest.raises(DatasetError, match=f'a is as before.*: rm -r {tmp_path / name}$'):
        append_datasets(first, [second])
