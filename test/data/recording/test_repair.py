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


"""What a killed recorder left becomes a whole bag, and nothing of it is lost on the way."""

import os
import shutil
import subprocess
import sys

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags import durable
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import next_number
from diffusion_policy_ros.data.recording import repair as repairing
from diffusion_policy_ros.data.recording.repair import (
    is_closed, repair_all, RepairWorker, unfinished_bags)
from hypothesis import given, HealthCheck, settings, strategies as st
import numpy as np
import pytest
from rosbags.rosbag2 import Reader

JOINTS = 'sensor_msgs/msg/JointState'
FIELDS = {'episode': '3', 'started_ns': '17'}


def leave_unfinished(folder, contract, count, *, flushed=None, size=200):
    """Write a bag as a recorder does that is killed; return what was written."""
    bag = EpisodeBag(folder, contract, task='push', fields=FIELDS)
    rng, sent = np.random.default_rng(count), []
    for k in range(count):
        sent.append(('/joint_states', JOINTS, k, b'\0\1\0\0' + rng.bytes(size)))
        bag.write('joint_states', JOINTS, sent[-1][3], k)
        if flushed is None or k < flushed:
            bag.flush()
    _die(bag)
    return sent


def _die(bag):
    """Let go of a bag as the end of its process would; what is in Python's buffer is gone."""
    bag._release()
    number = bag._writer.storage.bio.fileno()
    size = os.fstat(number).st_size
    bag._writer.storage.bio.close()
    os.truncate(bag._writer.storage.path, size)


def read(path):
    """Return (topic, type, time, bytes) of a bag by an independent reader, and its custom data."""
    with Reader(path) as reader:
        found = [(c.topic, c.msgtype, t, bytes(d)) for c, t, d in reader.messages()]
        assert reader.message_count == len(found)
        return found, reader.storage.metadata.custom


def test_an_unfinished_bag_becomes_whole_with_its_contract_and_task(tmp_path, contract):
    path = tmp_path / 'episode_000003'
    sent = leave_unfinished(path, contract, 20)
    assert unfinished_bags(tmp_path) == [path] and not is_closed(path)
    (said,) = repair_all(tmp_path)
    assert said.startswith(f'{path} was not closed: 20 whole messages')
    assert str(tmp_path / 'unrepaired' / 'episode_000003') in said
    found, custom = read(path)
    assert found == sent
    assert parse_contract(custom['contract']) == contract
    assert (custom['task'], custom['episode'], custom['started_ns']) == ('push', '3', '17')
    assert custom['repaired'].startswith('20 messages of a bag that was not closed')
    assert list(repair_all(tmp_path)) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ['episode_000003', 'unrepaired']


def test_only_what_was_not_flushed_is_missing(tmp_path, contract):
    sent = leave_unfinished(tmp_path / 'episode_000000', contract, 20, flushed=13)
    list(repair_all(tmp_path))
    assert read(tmp_path / 'episode_000000')[0] == sent[:13]


@given(st.integers(0, 6000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture],
          deadline=None)
def test_a_file_cut_anywhere_yields_its_first_messages(tmp_path_factory, contract, size):
    folder = tmp_path_factory.mktemp('cut')
    path = folder / 'episode_000000'
    sent = leave_unfinished(path, contract, 20)
    file = path / 'episode_000000.mcap'
    os.truncate(file, min(size, file.stat().st_size))
    (said,) = repair_all(folder)
    kept = folder / 'unrepaired' / 'episode_000000' / file.name
    assert kept.is_file()
    if path.exists():
        found, _ = read(path)
        assert found == sent[:len(found)] and found
        # A chunk of one message takes some 500 bytes with its index.
        assert len(found) >= (min(size, kept.stat().st_size) - 3000) // 600
    else:
        assert 'holds no whole message' in said


def test_a_bag_killed_before_its_first_message_leaves_its_number_free(tmp_path, contract):
    leave_unfinished(tmp_path / 'episode_000004', contract, 0)
    (said,) = repair_all(tmp_path)
    assert 'holds no whole message; it was moved to' in said
    assert not (tmp_path / 'episode_000004').exists()
    assert (tmp_path / 'unrepaired' / 'episode_000004').is_dir()
    assert next_number(tmp_path) == 0


def test_finished_bags_and_foreign_folders_are_not_touched(tmp_path, contract, demonstration):
    demonstration.write_bag(tmp_path / 'episode_000000', range(3))
    (tmp_path / 'episode_000001').mkdir()
    (tmp_path / 'notes').mkdir()
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}
    assert list(repair_all(tmp_path)) == [] and list(repair_all(tmp_path / 'absent')) == []
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')} == before


def test_a_bag_that_another_program_records_is_left_alone(tmp_path, contract):
    path = tmp_path / 'episode_000000'
    bag = EpisodeBag(path, contract)
    bag.write('joint_states', JOINTS, b'\0\1\0\0abc', 1)
    code = ('import sys; from diffusion_policy_ros.data.recording.repair import repair_all; '
            'print(*repair_all(sys.argv[1]))')
    done = subprocess.run([sys.executable, '-c', code, tmp_path], text=True, timeout=120,
                          stdin=subprocess.DEVNULL, capture_output=True, check=True)
    assert 'is being recorded by another program; it was left alone' in done.stdout
    bag.write('joint_states', JOINTS, b'\0\1\0\0def', 2)
    bag.close()
    assert len(read(path)[0]) == 2


def test_a_bag_that_was_closed_since_it_was_seen_is_left_as_it_is(
        tmp_path, contract, demonstration):
    demonstration.write_bag(tmp_path / 'episode_000000', range(2))
    before = (tmp_path / 'episode_000000/metadata.yaml').read_text()
    assert repairing.repair(tmp_path / 'episode_000000') == ''
    assert (tmp_path / 'episode_000000/metadata.yaml').read_text() == before
    assert not (tmp_path / 'unrepaired').exists()


def test_a_bag_with_metadata_but_without_its_end_is_repaired(tmp_path, contract):
    """As a power loss may leave it, which happens before the note is removed."""
    path = tmp_path / 'episode_000000'
    with EpisodeBag(path, contract, task='push', fields=FIELDS) as bag:
        for k in range(5):
            bag.write('joint_states', JOINTS, b'\0\1\0\0' + bytes([k]), k)
            bag.flush()
        fields = dict(bag._fields)
    durable.write_note(path, fields)
    file = path / 'episode_000000.mcap'
    os.truncate(file, file.stat().st_size - 20)
    (said,) = repair_all(tmp_path)
    assert '5 whole messages' in said
    assert len(read(path)[0]) == 5


def test_a_finished_bag_whose_note_was_left_is_only_rid_of_it(tmp_path, contract, demonstration):
    path = demonstration.write_bag(tmp_path / 'episode_000000', range(3))
    before = read(path)
    durable.write_note(path, {'task': 'x'})
    assert list(repair_all(tmp_path)) == []
    assert not (path / durable.NOTE).exists() and read(path) == before


@pytest.mark.parametrize('note', [None, '{"contract": "rob', '[1, 2]'])
def test_without_a_note_the_messages_are_still_saved(tmp_path, contract, note):
    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 4)
    (path / durable.NOTE).unlink()
    if note:
        (path / durable.NOTE).write_text(note)
    list(repair_all(tmp_path))
    found, custom = read(path)
    assert found == sent and 'contract' not in custom


@pytest.mark.parametrize('step', ['_rebuild', 'set_aside', 'rename'])
def test_a_repair_that_is_killed_is_done_at_the_next_start(
        tmp_path, contract, monkeypatch, step):
    class Killed(BaseException):
        pass

    def die(*arguments):
        raise Killed

    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 6)
    with monkeypatch.context() as patch:
        if step == 'rename':
            original = repairing.set_aside

            def set_aside_and_die(*arguments):
                original(*arguments)
                raise Killed

            patch.setattr(repairing, 'set_aside', set_aside_and_die)
        else:
            patch.setattr(repairing, step, die)
        with pytest.raises(Killed):
            list(repair_all(tmp_path))
    assert next_number(tmp_path) == 1  # nobody takes its number meanwhile
    list(repair_all(tmp_path))
    assert read(path)[0] == sent
    assert (tmp_path / 'unrepaired' / 'episode_000000').is_dir()
    assert not (tmp_path / 'repairing').exists()


def test_originals_of_the_same_number_are_all_kept(tmp_path, contract):
    for _ in range(3):
        leave_unfinished(tmp_path / 'episode_000000', contract, 2)
        list(repair_all(tmp_path))
        shutil.rmtree(tmp_path / 'episode_000000')
    assert sorted(p.name for p in (tmp_path / 'unrepaired').iterdir()) == [
        'episode_000000', 'episode_000000_2', 'episode_000000_3']


def test_a_full_disk_leaves_the_damaged_bag_where_it_is(tmp_path, contract, full_disk):
    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 4, size=300_000)
    with full_disk(100_000):
        (said,) = repair_all(tmp_path)
    assert said.startswith(f'{path} was not closed, and could not be repaired: ')
    assert 'make room' in said
    list(repair_all(tmp_path))
    assert read(path)[0] == sent


def test_a_file_that_is_no_bag_is_told_and_left(tmp_path, contract):
    path = tmp_path / 'episode_000000'
    path.mkdir()
    (path / 'episode_000000.mcap').write_bytes(b'no bag at all')
    (said,) = repair_all(tmp_path)
    assert 'could not be repaired' in said and (path / 'episode_000000.mcap').is_file()


def test_the_worker_repairs_beside_the_recording(tmp_path, contract):
    leave_unfinished(tmp_path / 'episode_000000', contract, 4)
    worker = RepairWorker(tmp_path)
    worker._thread.join(60)
    assert worker.is_done and len(worker.sentences) == 1
    assert len(read(tmp_path / 'episode_000000')[0]) == 4
