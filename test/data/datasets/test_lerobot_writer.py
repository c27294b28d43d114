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

"""A written dataset reads back equal and survives a kill."""

from dataclasses import replace
import os
from pathlib import Path
import signal
import subprocess
import sys

from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.errors import DatasetError
import numpy as np
import pytest

START_NS = 1_700_000_000_000_000_000
TOPICS = ('camera/image_raw', 'joint_states', 'block_pose', 'joint_commands')


def row(k):
    """Make a row that names k."""
    values = {'observation.images.camera': np.full((12, 16, 3), k % 251, dtype=np.uint8),
              'observation.state': np.float32([k, -k]),
              'observation.environment_state': np.arange(9, dtype=np.float32) + k,
              'action': np.float32([2 * k, 3 * k])}
    return {'values': values, 'tick_ns': START_NS + k * 10**8,
            'ages_ns': {topic: 1000 * k + i for i, topic in enumerate(TOPICS)}}


def write(folder, contract, lengths, **options):
    """Write episodes of some lengths, numbering rows through."""
    first = 0
    with LeRobotWriter(folder, contract, **options) as writer:
        for episode, length in enumerate(lengths):
            for k in range(first, first + length):
                writer.add_row(**row(k))
            writer.save_episode(f'task {episode % 2}')
            first += length
    return folder


def test_a_start_that_fails_leaves_no_folder(tmp_path):
    """It would be in the way of the next one."""
    feature = {'dtype': 'much', 'shape': [2], 'names': None}
    with pytest.raises(TypeError):
        LeRobotWriter(tmp_path / 'd', features={'x': feature}, rate_hz=10)
    assert not list(tmp_path.iterdir())


def test_rows_read_back_equal(tmp_path, contract):
    """Every column bit for bit, every picture within its codec."""
    lengths = [5, 1, 9]
    reader = LeRobotReader(write(tmp_path / 'd', contract, lengths, codec='h264-lossless'))
    assert reader.contract == contract
    assert [e.length for e in reader.episodes] == lengths
    assert [e.tasks for e in reader.episodes] == [('task 0',), ('task 1',), ('task 0',)]
    assert reader.episode_ends.tolist() == [5, 6, 15]
    rows = [row(k) for k in range(15)]
    found = reader.columns([k for k in reader.features if k not in reader.video_keys])
    for key in ('observation.state', 'observation.environment_state', 'action'):
        assert np.array_equal(found[key], [r['values'][key] for r in rows])
        assert found[key].dtype == np.float32
    assert found['tick_ns'].tolist() == [r['tick_ns'] for r in rows]
    assert found['age_ns'].tolist() == [list(r['ages_ns'].values()) for r in rows]
    assert found['index'].tolist() == list(range(15))
    assert found['episode_index'].tolist() == [0] * 5 + [1] + [2] * 9
    assert found['task_index'].tolist() == [0] * 5 + [1] + [0] * 9
    assert np.allclose(found['timestamp'], found['frame_index'] / 10)
    pictures = list(reader.frames('observation.images.camera'))
    assert np.array_equal(pictures, [r['values']['observation.images.camera'] for r in rows])


def test_statistics_are_those_of_the_rows(tmp_path, contract):
    """Per feature over all episodes; pictures in [0, 1] and shaped (3, 1, 1)."""
    reader = LeRobotReader(write(tmp_path / 'd', contract, [7, 13], codec='h264-lossless'))
    found = reader.statistics()
    action = reader.columns(['action'])['action'].astype(np.float64)
    assert np.allclose(found['action']['mean'], action.mean(0))
    assert np.allclose(found['action']['std'], action.std(0))
    assert np.array_equal(found['action']['max'], action.max(0))
    picture = found['observation.images.camera']
    assert picture['mean'].shape == (3, 1, 1)
    assert np.allclose(picture['mean'], np.mean(np.arange(20)) / 255)
    assert found['action']['count'].tolist() == picture['count'].tolist() == [20]


def test_a_discarded_episode_leaves_no_trace(tmp_path, contract):
    """Neither rows nor files."""
    with LeRobotWriter(tmp_path / 'd', contract) as writer:
        for keep in (True, False, True):
            for k in range(4):
                writer.add_row(**row(k))
            assert writer.pending_rows == 4
            writer.save_episode('t') if keep else writer.discard_episode()
        writer.add_row(**row(0))  # in flight when closed
    reader = LeRobotReader(tmp_path / 'd')
    assert reader.row_count == 8 and len(reader.episodes) == 2
    assert len(list((tmp_path / 'd').rglob('*.mp4'))) == 2
    assert not list((tmp_path / 'd').rglob('*.tmp'))


def test_a_dataset_without_episodes_leaves_no_folder(tmp_path, contract):
    """An empty one would only fail later."""
    with LeRobotWriter(tmp_path / 'd', contract) as writer:
        writer.add_row(**row(0))
    assert not (tmp_path / 'd').exists()


def test_an_existing_folder_is_never_overwritten(tmp_path, contract):
    """Not even an empty one."""
    (tmp_path / 'd').mkdir()
    with pytest.raises(DatasetError, match='never overwritten'):
        LeRobotWriter(tmp_path / 'd', contract)


def test_a_full_disk_keeps_what_was_saved(tmp_path, contract, full_disk):
    """The error names the folder and the remedy; the episode in flight is lost."""
    with LeRobotWriter(tmp_path / 'd', contract) as writer:
        for k in range(4):
            writer.add_row(**row(k))
        writer.save_episode('t')
        with full_disk(4000), pytest.raises(DatasetError, match=r'cannot write .*/d.*Make room'):
            for k in range(4):
                writer.add_row(**row(k))
            writer.save_episode('t')
    assert LeRobotReader(tmp_path / 'd').row_count == 4


def test_a_dataset_has_its_name_only_when_it_is_complete(tmp_path, contract):
    """An exception leaves what was saved under another, which the next run tells."""
    with pytest.raises(KeyboardInterrupt):
        with LeRobotWriter(tmp_path / 'd', contract) as writer:
            writer.add_row(**row(0))
            writer.save_episode('t')
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ['d.part']
    assert LeRobotReader(tmp_path / 'd.part').row_count == 1
    with pytest.raises(DatasetError, match='the episodes in it are whole: .* rename it to d$'):
        LeRobotWriter(tmp_path / 'd', contract)
    (tmp_path / 'd.part').rename(tmp_path / 'd')
    assert LeRobotReader(tmp_path / 'd').contract == contract


@pytest.mark.parametrize('inside', ['pieces/000000.json', '.zgroup', 'meta/tasks.parquet', ''])
def test_only_what_holds_whole_episodes_may_be_renamed(tmp_path, contract, inside):
    """Other conversions call what they have not finished by the same name."""
    left = tmp_path / 'd.part' / inside
    left.parent.mkdir(parents=True, exist_ok=True)
    left.touch()
    with pytest.raises(DatasetError, match='d.part is left of .* choose another --out$'):
        LeRobotWriter(tmp_path / 'd', contract)


def test_a_dataset_that_took_the_name_meanwhile_is_not_harmed(tmp_path, contract):
    """The one that comes later keeps its rows beside it."""
    with pytest.raises(DatasetError, match='cannot write the dataset'):
        with LeRobotWriter(tmp_path / 'd', contract) as writer:
            writer.add_row(**row(0))
            writer.save_episode('t')
            (tmp_path / 'd').mkdir()
            (tmp_path / 'd/mine').write_text('precious')
    assert (tmp_path / 'd/mine').read_text() == 'precious'
    assert LeRobotReader(tmp_path / 'd.part').row_count == 1


def test_a_disk_that_is_full_from_the_start_leaves_no_folder(tmp_path, contract, full_disk):
    with full_disk(100), pytest.raises(DatasetError, match=r'cannot write the dataset .*/d'):
        LeRobotWriter(tmp_path / 'd', contract)
    assert not (tmp_path / 'd').exists()


def test_a_place_that_cannot_be_a_folder_is_named(tmp_path, contract):
    (tmp_path / 'file').touch()
    with pytest.raises(DatasetError, match='cannot write the dataset .*file/d.*another one$'):
        LeRobotWriter(tmp_path / 'file/d', contract)


@pytest.mark.parametrize('change, match', [
    ({'action': None}, "has no 'action'"),
    ({'observation.state': np.zeros(3, np.float32)}, r"'observation.state' has shape \[3\]"),
    ({'observation.images.camera': np.zeros((12, 15, 3), np.uint8)}, r'shape \[12, 15, 3\]'),
])
def test_a_wrong_row_is_refused(tmp_path, contract, change, match):
    """One sentence that names the column."""
    wrong = row(0)
    wrong['values'] = {k: v for k, v in {**wrong['values'], **change}.items() if v is not None}
    with LeRobotWriter(tmp_path / 'd', contract) as writer:
        with pytest.raises(DatasetError, match=match):
            writer.add_row(**wrong)
        with pytest.raises(DatasetError, match='without rows'):
            LeRobotWriter(tmp_path / 'e', contract).save_episode('t')


def test_what_the_format_cannot_hold_is_refused(tmp_path, contract):
    """Fractional rates."""
    with pytest.raises(DatasetError, match='rate_hz is 12.5'):
        LeRobotWriter(tmp_path / 'd', replace(contract, rate_hz=12.5))
    assert not (tmp_path / 'd').exists()


def test_single_entry_vectors_become_scalar_columns(tmp_path, contract):
    """As LeRobot stores features of shape (1,); they read back all the same."""
    narrow = replace(contract, actions=(replace(contract.actions[0], names=('elbow',)),))
    with LeRobotWriter(tmp_path / 'd', narrow) as writer:
        for k in range(3):
            one = row(k)
            one['values']['action'] = np.float32([k])
            writer.add_row(**one)
        writer.save_episode('t')
    reader = LeRobotReader(tmp_path / 'd')
    assert reader.columns(['action'])['action'].tolist() == [0, 1, 2]


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from test_lerobot_writer import LeRobotWriter, row
from diffusion_policy_ros.contract import load_contract
with LeRobotWriter({folder!r}, load_contract({contract!r})) as writer:
    for episode in range(10**6):
        for k in range(6):
            writer.add_row(**row(6 * episode + k))
        writer.save_episode('t')
        print(writer.episode_count, flush=True)
"""


@pytest.mark.parametrize('attempt', range(4))
def test_saved_episodes_survive_a_kill_at_any_moment(tmp_path, contract, attempt):
    """A process shot while it writes loses only what was not saved yet."""
    (tmp_path / 'contract.yaml').write_text(contract.to_yaml())
    code = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / 'd'),
                         contract=str(tmp_path / 'contract.yaml'))
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    rng = np.random.default_rng(attempt)
    saved = 0
    for line in process.stdout:
        saved = int(line)
        if saved >= 2 + attempt:
            break
    try:
        process.wait(timeout=rng.uniform(0, 0.15))  # then somewhere inside the next episodes
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
    rest = process.communicate()[0].split()
    saved = max([saved, *map(int, rest)])
    assert not (tmp_path / 'd').exists()
    reader = LeRobotReader(tmp_path / 'd.part')
    assert saved <= len(reader.episodes) <= saved + 1
    rows = reader.columns(['action', 'tick_ns'])
    assert np.array_equal(rows['action'][:, 0], 2 * np.arange(reader.row_count))
    assert len(list(reader.frames('observation.images.camera'))) == reader.row_count
    with pytest.raises(DatasetError, match='d.part is left of a run that was stopped'):
        LeRobotWriter(tmp_path / 'd', contract)
