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

"""`dpr edit` does what it is told, or says why not and changes nothing."""

import json
from pathlib import Path

from diffusion_policy_ros import on_disk
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.data.datasets.lerobot_format import RECORD_PATH
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
import numpy as np
import pytest

SO101 = 'lerobot/so101_v3/lerobot_dataset_example'


@pytest.fixture
def dataset(tmp_path):
    """Give a dataset of 8 episodes, whose rows name their episode."""
    feature = {'dtype': 'float32', 'shape': [2], 'names': ['x', 'y']}
    with LeRobotWriter(tmp_path / 'd', features={'action': feature}, rate_hz=10) as writer:
        for episode in range(8):
            for _ in range(episode + 1):
                writer.add_frame({'action': np.full(2, episode)})
            writer.save_episode('t')
    return tmp_path / 'd'


def episodes_of(folder):
    """Return which episodes a dataset holds, by their rows."""
    reader = LeRobotReader(folder)
    action = reader.columns(['action'])['action'][:, 0]
    assert [e.length for e in reader.episodes] == [action[e.first] + 1 for e in reader.episodes]
    return [int(action[e.first]) for e in reader.episodes]


def run(*arguments):
    """Run ``dpr edit``."""
    return main(['edit', *map(str, arguments)])


def test_episodes_are_deleted(dataset, tmp_path, capsys):
    assert run(dataset, '--delete', '3,5-7', '--out', tmp_path / 'new') == 0
    assert episodes_of(tmp_path / 'new') == [0, 1, 2, 4]
    assert capsys.readouterr().out == f'4 episodes with 11 rows -> {tmp_path / "new"}\n'
    assert episodes_of(dataset) == list(range(8))


def test_only_successes_are_kept(dataset, tmp_path, capsys):
    assert run(dataset, '--only', 'success', '--out', tmp_path / 'new') == 1
    assert 'no episode of' in capsys.readouterr().err
    tags = [True, None, False, True, True, False, None, False]
    (dataset / RECORD_PATH).write_text(json.dumps({'episode_list': [
        {'bag': None, 'start_ns': None, 'rows': n + 1, 'task': 't', 'success': tag}
        for n, tag in enumerate(tags)]}))
    assert run(dataset, '--only', 'success', '--out', tmp_path / 'new') == 0
    assert episodes_of(tmp_path / 'new') == [0, 3, 4]
    assert capsys.readouterr().err == 'NOTE: left out 3 failures, 2 without a tag\n'
    assert run(tmp_path / 'new', '--only', 'success', '--out', tmp_path / 'same') == 0
    assert episodes_of(tmp_path / 'same') == [0, 3, 4]


def test_a_dataset_is_split(dataset, tmp_path, capsys):
    assert run(dataset, '--split', 'train=0-3', 'test=6,5', '--out', tmp_path / 'new') == 0
    assert episodes_of(tmp_path / 'new/train') == [0, 1, 2, 3]
    assert episodes_of(tmp_path / 'new/test') == [6, 5]
    assert 'NOTE: 2 episodes are in no part' in capsys.readouterr().err


def test_what_is_appended_twice_is_told_with_the_remedy(dataset, tmp_path, capsys):
    """A record names the bag and the time of each episode."""
    run(dataset, '--split', 'a=0-2', '--out', tmp_path / 'x')
    run(dataset, '--delete', '0,3-7', '--out', tmp_path / 'x/b')
    capsys.readouterr()
    for name, numbers in (('a', (0, 1, 2)), ('b', (1, 2))):
        (tmp_path / 'x' / name / RECORD_PATH).write_text(json.dumps({'episode_list': [
            {'bag': f'bags/{n}', 'rows': n + 1, 'start_ns': n, 'success': None, 'task': 't'}
            for n in numbers]}))
    assert run(tmp_path / 'x/a', '--append', tmp_path / 'x/b') == 0
    assert f'WARNING: 2 episodes of {tmp_path / "x/a"} are there already: 3-4 begin at' in (
        said := capsys.readouterr().err)
    assert f'dpr edit {tmp_path / "x/a"} --delete 3-4 --out NEW' in said
    assert run(tmp_path / 'x/a', '--delete', '3-4', '--out', tmp_path / 'new') == 0
    assert episodes_of(tmp_path / 'new') == [0, 1, 2] and not capsys.readouterr().err


def test_datasets_are_merged_and_appended(dataset, tmp_path, capsys):
    run(dataset, '--split', 'a=0-1', 'b=2', 'c=3', '--out', tmp_path / 'x')
    capsys.readouterr()
    a, b, c = (tmp_path / 'x' / name for name in 'abc')
    assert run(c, '--merge', a, b, '--out', tmp_path / 'merged') == 0
    assert episodes_of(tmp_path / 'merged') == [3, 0, 1, 2]
    assert run(a, '--append', c) == 0
    assert capsys.readouterr().err == ''
    (a / 'report.html').write_text('of the rows before')
    assert run(a, '--append', b) == 0
    assert episodes_of(a) == [0, 1, 3, 2]
    assert 'report.html was of the rows before and is removed' in capsys.readouterr().err


def test_a_dataset_that_one_is_in_grows(dataset, tmp_path, monkeypatch, capsys):
    """What was "." until then is replaced."""
    run(dataset, '--split', 'a=0-1', 'b=2', '--out', tmp_path / 'x')
    monkeypatch.chdir(tmp_path / 'x/a')
    capsys.readouterr()
    assert run('.', '--append', '../b') == 0
    assert capsys.readouterr().err == ''
    assert episodes_of(tmp_path / 'x/a') == [0, 1, 2]


def test_what_a_killed_append_left_is_told_before_the_dataset_is_read(dataset, tmp_path, capsys):
    dataset.rename(tmp_path / 'd.before')
    assert run(dataset, '--append', tmp_path / 'd.before') == 1
    assert f'To go back: mv {tmp_path}/d.before {tmp_path}/d\n' in capsys.readouterr().err


@pytest.mark.parametrize('act', ['delete', 'append'])
@pytest.mark.parametrize('is_late', [True, False])
def test_a_run_that_is_stopped_says_whether_its_dataset_is_there(
        dataset, tmp_path, monkeypatch, capsys, act, is_late):
    place, options = (dataset, ['--append', dataset]) if act == 'append' else (
        tmp_path / 'new', ['--delete', '0', '--out', tmp_path / 'new'])
    put = on_disk.put_in_place

    def interrupted(built, place):
        if is_late:
            put(built, place)
        raise KeyboardInterrupt

    module = 'selection' if act == 'delete' else 'edit'
    monkeypatch.setattr(f'diffusion_policy_ros.data.datasets.{module}.put_in_place', interrupted)
    assert run(dataset, *options) == 130
    said = f'dpr edit: {place} is there and whole; the command was stopped after that\n'
    assert (said in capsys.readouterr().err) == is_late
    assert place.exists() == (is_late or act == 'append')
    assert {path.name for path in tmp_path.iterdir()} <= {'d', 'new'}
    if act == 'append':
        assert len(LeRobotReader(dataset).episodes) == (16 if is_late else 8)


def test_pictures_that_stay_in_a_shared_video_are_told(shared_data, tmp_path, capsys):
    assert run(shared_data / SO101, '--delete', '0', '--out', tmp_path / 'new') == 0
    assert 'file-000.mp4 is one video of deleted and of kept episodes' in capsys.readouterr().err


def test_episodes_that_nobody_counted_are_told(dataset, tmp_path, capsys):
    path = dataset / 'meta/info.json'
    path.write_text(path.read_text().replace('"total_episodes": 8', '"total_episodes": 6'))
    assert run(dataset, '--delete', '0', '--out', tmp_path / 'new') == 0
    assert episodes_of(tmp_path / 'new') == [1, 2, 3, 4, 5]
    assert f'NOTE: 2 episodes of {dataset} are left out' in capsys.readouterr().err


@pytest.mark.parametrize('arguments, said', [
    (['--delete', '3'], '--out is missing'),
    (['--append', 'b', '--out', 'c'], '--append changes the dataset itself'),
    (['--split', 'train', '--out', 'c'], "--split 'train': write NAME=EPISODES"),
    (['--split', 'a=1', 'a=2', '--out', 'c'], "--split: 'a' is named twice"),
    (['--delete', '3-', '--out', 'c'], "episodes '3-': '3-' is no number and no range"),
    (['--delete', '', '--out', 'c'], "episodes '': '' is no number"),
    (['--delete', '1,0-2', '--out', 'c'], "episodes '1,0-2': episode 1 is named twice"),
    (['--split', 'ü x=2', '--out', 'c'], "part 'ü x': a name is made of letters, digits"),
    (['--split', '../a=2', '--out', 'c'], "part '../a': a name is made of letters, digits"),
    (['--split', 'a=1', 'b=1-2', '--out', 'c'], 'episode 1 is in a and in b'),
])
def test_wrong_usage_has_its_own_exit_code(dataset, capsys, arguments, said):
    assert run(dataset, *arguments) == 2
    assert said in capsys.readouterr().err
    assert not Path('c').exists()


@pytest.mark.parametrize('arguments, said', [
    (['--delete', '3,8'], 'has no episode 8; it has 0 to 7'),
    (['--delete', '0-7'], 'no episode would be left'),
    (['--split', 'a=1', 'b=8'], 'has no episode 8; it has 0 to 7'),
    (['--merge', 'nowhere'], 'nowhere does not exist; the folder of a LeRobotDataset v3.0 is'),
    (['--delete', '1', '--out', 'e\udcff'], r"--out is 'e\udcff', which is no text in UTF-8"),
])
def test_what_cannot_be_done_is_one_sentence(dataset, tmp_path, capsys, arguments, said):
    assert run(dataset, '--out', tmp_path / 'new', *arguments) == 1
    error = capsys.readouterr().err
    assert said in error and error.startswith('dpr edit: ') and error.count('\n') == 1
    assert [path.name for path in tmp_path.iterdir()] == ['d']
