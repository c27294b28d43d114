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

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
import time

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags import durable
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.durable import BagLock
from diffusion_policy_ros.data.bags.episode_files import (
    DISCARDED, finished_bags, next_number, NOTE, State, state_of, write_note)
from diffusion_policy_ros.data.recording import bag_copy, repair as repairing
from diffusion_policy_ros.data.recording.repair import repair_all, RepairWorker
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
    assert state_of(path) is State.UNFINISHED and finished_bags(tmp_path) == []
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
    (tmp_path / 'episode_000001/notes.txt').touch()
    (tmp_path / 'episode_000002').touch()
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
    write_note(path, fields)
    file = path / 'episode_000000.mcap'
    os.truncate(file, file.stat().st_size - 20)
    (said,) = repair_all(tmp_path)
    assert '5 whole messages' in said
    assert len(read(path)[0]) == 5


def test_a_finished_bag_whose_note_was_left_is_only_rid_of_it(tmp_path, contract, demonstration):
    path = demonstration.write_bag(tmp_path / 'episode_000000', range(3))
    before = read(path)
    write_note(path, {'task': 'x'})
    assert list(repair_all(tmp_path)) == []
    assert not (path / NOTE).exists() and read(path) == before


@pytest.mark.parametrize('note', [None, '{"contract": "rob', '[1, 2]'])
def test_without_a_note_the_messages_are_still_saved(tmp_path, contract, note):
    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 4)
    (path / NOTE).unlink()
    if note:
        (path / NOTE).write_text(note)
    let_age(path)
    list(repair_all(tmp_path))
    found, custom = read(path)
    assert found == sent and 'contract' not in custom


@pytest.mark.parametrize('step', ['BagCopy', 'set_aside', 'rename'])
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


def test_a_file_that_is_no_bag_is_told_and_kept(tmp_path, contract):
    path = tmp_path / 'episode_000000'
    path.mkdir()
    (path / 'episode_000000.mcap').write_bytes(b'no bag at all')
    let_age(path)
    (said,) = repair_all(tmp_path)
    assert 'holds no whole message; it was moved to' in said
    kept = tmp_path / 'unrepaired' / 'episode_000000' / 'episode_000000.mcap'
    assert kept.read_bytes() == b'no bag at all'


def chunks(file):
    """Return (begin, end) of each chunk of an mcap file, by the format's specification."""
    data, found, place = file.read_bytes(), [], 8
    while place < len(data):
        end = place + 9 + int.from_bytes(data[place + 1:place + 9], 'little')
        if data[place] == 6:
            found.append((place, end))
        place = end
    return found


def spoil(file, begin, new):
    """Write other bytes into a file."""
    with open(file, 'r+b') as stream:
        stream.seek(begin)
        stream.write(new)


@pytest.mark.parametrize('number, said', [
    (0, 'damage to the file cost what came before its first message'),
    (4, 'damage to the file cost what came between 0.00 s and 0.00 s after its first message')])
def test_damage_in_the_middle_costs_that_chunk_and_is_told(tmp_path, contract, number, said):
    """The chunks behind it are found, and their topics though the first chunk is lost."""
    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 10)
    begin, end = chunks(path / 'episode_000000.mcap')[number]
    spoil(path / 'episode_000000.mcap', begin, bytes(end - begin - 20))
    (sentence,) = repair_all(tmp_path)
    found, custom = read(path)
    assert found == sent[:number] + sent[number + 1:]
    assert said in sentence and said in custom['repaired']
    assert 'what came in the last second' in sentence


def test_when_something_was_lost_is_told_in_seconds(tmp_path, contract):
    path, second = tmp_path / 'episode_000000', 10**9
    bag = EpisodeBag(path, contract)
    for k in range(12):
        bag.write('joint_states', JOINTS, b'\0\1\0\0abc', (100 + k) * second)
        bag.flush()
    _die(bag)
    places = chunks(path / 'episode_000000.mcap')
    for number in (2, 3, 5, 7, 9):
        spoil(path / 'episode_000000.mcap', places[number][1] - 3, b'xxx')
    (sentence,) = repair_all(tmp_path)
    assert ('7 whole messages up to 111.000 s were saved; what came in the last second before the '
            'end may be missing; damage to the file cost what came between 1.00 s and 4.00 s '
            'after its first message, between 4.00 s and 6.00 s after its first message, between '
            '6.00 s and 8.00 s after its first message and in 1 more places') in sentence


def test_a_bag_that_only_lacks_its_metadata_has_lost_nothing(tmp_path, contract, demonstration):
    path = demonstration.write_bag(tmp_path / 'episode_000000', range(3))
    before, _ = read(path)
    (path / 'metadata.yaml').unlink()
    let_age(path)
    (said,) = repair_all(tmp_path)
    assert '12 whole messages' in said and 'were saved; none is missing. The' in said
    assert read(path)[0] == before


def test_what_a_closed_file_promises_and_lacks_is_counted(tmp_path, contract):
    path = tmp_path / 'episode_000000'
    with EpisodeBag(path, contract) as bag:
        for k in range(10):
            bag.write('joint_states', JOINTS, b'\0\1\0\0abc', k // 2)
            if k % 2:
                bag.flush()
    file = path / 'episode_000000.mcap'
    spoil(file, chunks(file)[3][1] - 3, b'xxx')
    write_note(path, {'task': 'x'})  # killed before it was known to be on the disk
    (said,) = repair_all(tmp_path)
    assert '8 whole messages' in said and '2 messages that the file promises are missing' in said
    assert 'last second' not in said


@pytest.mark.parametrize('tail, size', [
    (b'', 0), (bytes(4096), 4096 + 31), (b'\6' + bytes(300), 301),
    (b'\6' + b'x' * 3000, 3001)])
def test_an_unreadable_end_is_told_with_its_size(tmp_path, contract, tail, size):
    """A chunk that was half written, or zeros, in which the 31 bytes of an index may end."""
    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 5)
    with open(path / 'episode_000000.mcap', 'ab') as file:
        file.write(tail)
    (said,) = repair_all(tmp_path)
    assert read(path)[0] == sent
    assert (f'may be missing, with the last {size} bytes of the file' in said) == bool(size)


damages = st.lists(st.tuples(
    st.sampled_from(['flip', 'flip', 'cut', 'zero']), st.floats(0, 1, exclude_max=True),
    st.one_of(st.integers(1, 255), st.integers(256, 3000))), min_size=1, max_size=5)


def damaged(data, changes):
    """Apply changes to bytes; flips also where records begin, where they do the most harm."""
    data = bytearray(data)
    for what, at, size in changes:
        begin = int(at * len(data))
        if what == 'flip' and size > 255:  # the operation or the length of a record
            starts = [place for place in range(8, len(data) - 9)
                      if data[place] in (6, 7) and data[place + 4:place + 9] == bytes(5)]
            begin = starts[int(at * len(starts))] + size % 9 if starts else begin
        if what == 'flip' and begin < len(data):
            data[begin] ^= size % 255 + 1
        elif what == 'cut':
            del data[begin:]
        elif what == 'zero':
            data[begin:begin + size] = bytes(len(data[begin:begin + size]))
    return bytes(data)


@given(st.integers(1, 4), damages)
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture],
          deadline=None)
def test_every_message_of_every_chunk_that_is_still_whole_is_saved(
        tmp_path_factory, contract, per_chunk, changes):
    """And no message that was not written; where messages before the last are lost, it is told."""
    folder = tmp_path_factory.mktemp('spoilt')
    path = folder / 'episode_000000'
    bag, sent = EpisodeBag(path, contract), []
    for k in range(12):
        topic = ('/joint_states', '/a')[k % 2]
        sent.append((topic, JOINTS, k, b'\0\1\0\0' + bytes([k]) * 300))
        bag.write(topic, JOINTS, sent[-1][3], k)
        if (k + 1) % per_chunk == 0:
            bag.flush()
    _die(bag)
    file = path / 'episode_000000.mcap'
    data, places = file.read_bytes(), chunks(file)
    spoilt = damaged(data, changes)
    file.write_bytes(spoilt)
    whole = [number for number, (begin, end) in enumerate(places) if data[begin:end] in spoilt]
    list(repair_all(folder))
    found, custom = read(path) if path.exists() else ([], {})
    saved = sorted({message[2] // per_chunk for message in found})
    assert found == [message for number in saved
                     for message in sent[number * per_chunk:(number + 1) * per_chunk]]
    assert set(saved) >= set(whole)  # what is damaged outside of the messages may be saved too
    # Changed in two places, the beginning of a chunk may look like a record of another program.
    if found and len(changes) == 1:
        has_gap = saved != list(range(len(saved)))
        assert ('damage to the file' in custom['repaired']) >= has_gap


def test_nothing_is_copied_where_the_disk_has_no_room_for_it(tmp_path, contract, monkeypatch):
    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 4, size=300_000)
    with monkeypatch.context() as patch:
        patch.setattr(bag_copy, 'free_bytes', lambda folder: 101_000_000)
        (said,) = repair_all(tmp_path)
    assert said.startswith(f'{path} was not closed, and could not be repaired: its copy needs 1 '
                           'MB and 100 MB must stay free, but the disk has 101 MB; make room')
    assert [p.name for p in tmp_path.iterdir()] == ['episode_000000']
    list(repair_all(tmp_path))
    assert read(path)[0] == sent


def test_a_disk_that_an_episode_fills_meanwhile_ends_the_copy(tmp_path, contract, monkeypatch):
    path = tmp_path / 'episode_000000'
    sent = leave_unfinished(path, contract, 9, size=1000)
    free = iter([10**9, 10**9, 10**6])
    with monkeypatch.context() as patch:
        patch.setattr(bag_copy, 'LOOK_BYTES', 2500)
        patch.setattr(bag_copy, 'free_bytes', lambda folder: next(free))
        (said,) = repair_all(tmp_path)
    assert 'could not be repaired: its copy needs' in said and 'the disk has 1 MB' in said
    list(repair_all(tmp_path))
    assert read(path)[0] == sent


def let_age(path):
    """Make a folder look as if nothing had been changed in it for a minute."""
    for place in [*path.iterdir(), path]:
        os.utime(place, (time.time() - 60, time.time() - 60))


def test_without_locks_what_was_changed_just_now_is_left_alone(tmp_path, contract, monkeypatch):
    """As on some network file systems: somebody may be writing it."""
    def fail(*arguments):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(fcntl, 'flock', fail)
    path = tmp_path / 'episode_000000'
    bag = EpisodeBag(path, contract)
    bag.write('joint_states', JOINTS, b'\0\1\0\0abc', 1)
    bag.flush()
    (said,) = repair_all(tmp_path)
    assert 'was changed less than 10 s ago, perhaps by another recorder' in said
    _die(bag)
    let_age(path)
    (said,) = repair_all(tmp_path)
    assert '1 whole messages' in said and len(read(path)[0]) == 1


@pytest.mark.parametrize('names', [(), (NOTE,), ('unfinished.part',), (NOTE, 'unfinished.part')])
def test_an_episode_that_has_no_file_yet_is_moved_when_nobody_makes_it_now(tmp_path, names):
    """Killed right after it was begun."""
    path = tmp_path / 'episode_000000'
    path.mkdir()
    for name in names:
        (path / name).touch()
    (said,) = repair_all(tmp_path)
    assert 'was changed less than 10 s ago' in said and path.is_dir()
    let_age(path)
    (said,) = repair_all(tmp_path)
    assert 'holds no whole message; it was moved to' in said
    assert not path.exists() and next_number(tmp_path) == 0


def test_a_bag_that_is_begun_while_a_recorder_starts_is_neither_repaired_nor_refused(
        tmp_path, contract, monkeypatch):
    """Another recorder looks at it between its first byte and its lock, and in the worst place."""
    path, write = tmp_path / 'episode_000000', durable.BagLock
    said = []

    def look_first(folder, wait_s):
        said.extend(repair_all(tmp_path))
        looking = write(folder)
        threading.Timer(0.1, looking.release).start()
        return write(folder, wait_s)

    monkeypatch.setattr(durable, 'BagLock', look_first)
    with EpisodeBag(path, contract) as bag:
        bag.write('joint_states', JOINTS, b'\0\1\0\0abc', 1)
    assert ['was changed less than 10 s ago' in sentence for sentence in said] == [True]
    assert len(read(path)[0]) == 1


def test_an_episode_that_begins_after_the_start_is_none_of_the_repairs_business(
        tmp_path, contract):
    repairs = repair_all(tmp_path)
    with EpisodeBag(tmp_path / 'episode_000000', contract):
        assert list(repairs) == []


def test_killed_in_the_middle_of_a_discard_an_episode_does_not_come_back(tmp_path, contract):
    """It is moved first, and only then finished."""
    bag = EpisodeBag(tmp_path / 'episode_000000', contract)
    bag.write('joint_states', JOINTS, b'\0\1\0\0abc', 1)
    bag.flush()
    bag.set_aside(DISCARDED)
    _die(bag)
    assert list(repair_all(tmp_path)) == []
    assert finished_bags(tmp_path) == [] and next_number(tmp_path) == 1
    assert state_of(tmp_path / DISCARDED / 'episode_000000') is State.UNFINISHED


def test_half_a_copy_of_an_episode_that_is_gone_is_removed(tmp_path, contract, demonstration):
    """It would keep the number for ever."""
    leave_unfinished(tmp_path / 'repairing' / 'episode_000003', contract, 4)
    demonstration.write_bag(tmp_path / 'repairing' / 'episode_000001', range(2))
    demonstration.write_bag(tmp_path / 'episode_000001', range(3))
    removed = list(repair_all(tmp_path))
    assert [f'repairing/episode_00000{number} was removed: it is half a copy' in said
            for number, said in zip((1, 3), removed)] == [True, True]
    assert next_number(tmp_path) == 2 and not (tmp_path / 'repairing').exists()
    assert len(read(tmp_path / 'episode_000001')[0]) == 12


def test_a_repair_that_another_recorder_is_just_ending_is_left_to_it(
        tmp_path, contract, demonstration):
    built = demonstration.write_bag(tmp_path / 'repairing' / 'episode_000003', range(2))
    lock = BagLock(built)
    assert list(repair_all(tmp_path)) == []
    assert built.is_dir()
    lock.release()
    assert list(repair_all(tmp_path)) == []
    assert len(read(tmp_path / 'episode_000003')[0]) == 8


def test_whatever_is_wrong_with_one_episode_the_others_are_repaired(
        tmp_path, contract, monkeypatch):
    for number in range(3):
        leave_unfinished(tmp_path / f'episode_00000{number}', contract, 4)
    original = repairing.BagCopy

    def fail(path, bag):
        if path.name == 'episode_000001':
            raise IndexError
        return original(path, bag)

    monkeypatch.setattr(repairing, 'BagCopy', fail)
    worker = RepairWorker(tmp_path)
    worker._thread.join(60)
    assert ['4 whole messages' in said for said in worker.sentences] == [True, False, True]
    assert 'episode_000001 was not closed, and could not be repaired: IndexError' in \
        worker.sentences[1]
    assert state_of(tmp_path / 'episode_000001') is State.UNFINISHED


def test_a_folder_that_cannot_be_searched_is_told(tmp_path, monkeypatch):
    def fail(folder):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(repairing, 'all_episodes', fail)
    worker = RepairWorker(tmp_path)
    worker._thread.join(60)
    assert worker.is_done
    assert worker.sentences == [f'{tmp_path} could not be searched for unfinished episodes: '
                                '[Errno 13] Permission denied']


def test_the_worker_repairs_beside_the_recording(tmp_path, contract):
    leave_unfinished(tmp_path / 'episode_000000', contract, 4)
    worker = RepairWorker(tmp_path)
    worker._thread.join(60)
    assert worker.is_done and len(worker.sentences) == 1
    assert len(read(tmp_path / 'episode_000000')[0]) == 4
