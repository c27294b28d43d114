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

"""sqlite3 files are never changed, and what their recorder had not yet put in place is read."""

import os
import shutil
import sqlite3

from diffusion_policy_ros.data.bags import sqlite3_file
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.errors import BagError
import pytest


def state(folder):
    """Return everything about the files in a folder."""
    return {file.name: (file.read_bytes(), os.stat(file).st_mtime_ns)
            for file in folder.iterdir()}


@pytest.fixture
def unfinished(tmp_path, strings):
    """Return a function that gives the files of a recorder that was killed, and their messages."""
    def give(mode):
        file = strings.write('sqlite3', tmp_path / 'live')
        database = sqlite3.connect(file, isolation_level=None)
        database.execute(f'PRAGMA journal_mode = {mode}')
        database.execute('PRAGMA cache_size = 1')
        database.execute('PRAGMA cache_spill = 1')
        database.execute('BEGIN')
        for number in range(60, 160):
            topic, text, receive_ns = strings.truth(160)[number]
            database.execute('INSERT INTO messages (topic_id, timestamp, data) VALUES (?, ?, ?)',
                             (strings.topics.index(topic) + 1, receive_ns,
                              strings.serialize(text)))
        if mode == 'WAL':
            database.execute('COMMIT')
        folder = tmp_path / 'killed'
        folder.mkdir()
        for part in file.parent.iterdir():
            if part.name.startswith(file.name):
                shutil.copyfile(part, folder / part.name)
        database.close()
        return folder / file.name
    return give


def test_messages_in_the_write_ahead_log_are_read(unfinished, strings):
    """They are no less recorded than the others; and no file is touched."""
    file = unfinished('WAL')
    assert file.with_name(file.name + '-wal').stat().st_size > 100_000
    before = state(file.parent)
    assert strings.read(file) == (strings.truth(160), [])
    assert state(file.parent) == before


def test_a_transaction_that_was_not_finished_is_rolled_back(unfinished, strings):
    """The file itself holds a part of it; and no file is touched."""
    file = unfinished('DELETE')
    assert file.with_name(file.name + '-journal').stat().st_size > 0
    before = state(file.parent)
    assert strings.read(file) == (strings.truth(60), [])
    assert state(file.parent) == before


def test_no_room_for_the_copy_is_told(unfinished, strings, monkeypatch):
    """With the folder that needs it."""
    def full(*_):
        raise OSError(28, 'No space left on device')
    file = unfinished('WAL')
    monkeypatch.setattr(sqlite3_file.shutil, 'copyfile', full)
    with open_bag(file) as bag, pytest.raises(BagError, match='has a -wal .*TMPDIR'):
        bag.counts()


def test_a_name_with_marks_is_no_query(tmp_path, strings):
    """What a URI would cut off belongs to the name."""
    file = strings.write('sqlite3', tmp_path / 'bag')
    odd = tmp_path / 'a?mode=memory#b%20.db3'
    shutil.copyfile(file, odd)
    assert strings.read(odd) == (strings.truth(60), [])


def test_a_last_message_of_zeros_is_whole(tmp_path, strings):
    """A black picture is no damage, though the file then ends in a page of zeros."""
    file = tmp_path / 'black.db3'
    database = sqlite3.connect(file, isolation_level=None)
    database.execute('CREATE TABLE topics (id INTEGER PRIMARY KEY, name, type, '
                     'serialization_format)')
    database.execute('CREATE TABLE messages (id INTEGER PRIMARY KEY, topic_id, timestamp, data)')
    database.execute('INSERT INTO topics VALUES (1, ?, ?, ?)', ('/camera', 'a/msg/B', 'cdr'))
    for number in range(3):
        database.execute('INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)',
                         (number, bytes(41_000)))
    database.close()
    assert file.read_bytes().endswith(bytes(4096))
    with open_bag(file) as bag:
        assert bag.counts() == {'/camera': ('a/msg/B', None, 3)}
        assert bag.losses == []


@pytest.mark.parametrize('is_zeroed', [False, True])
def test_small_messages_before_a_cut_or_zeros_are_whole(tmp_path, strings, is_zeroed):
    """Many of them lie in one page, from its end to its beginning."""
    file = strings.write('sqlite3', tmp_path / 'bag', count=150)
    (file.parent / 'metadata.yaml').unlink()
    database = sqlite3.connect(file, isolation_level=None)
    database.execute('DELETE FROM messages WHERE length(data) > 300')
    database.execute('VACUUM')
    database.close()
    truth = [item for item in strings.truth(150) if len(item[1]) < 290]
    assert strings.read(file) == (truth, [])
    data, lengths = file.read_bytes(), set()
    for kept in range(100, len(data) - 4096, 351):
        file.write_bytes(data[:kept] + bytes(len(data) - kept) * is_zeroed)
        try:
            found, losses = strings.read(file)
        except BagError:
            continue
        assert found == truth[:len(found)] and losses
        lengths.add(len(found))
    assert len(lengths) > 3


def test_rows_that_share_a_number_are_told(tmp_path, strings):
    """Nobody knows which of them is which."""
    file = strings.write('sqlite3', tmp_path / 'bag')
    database = sqlite3.connect(file, isolation_level=None)
    database.execute('CREATE TABLE copy AS SELECT * FROM messages')
    database.execute('DROP TABLE messages')
    database.execute('ALTER TABLE copy RENAME TO messages')
    database.execute('UPDATE messages SET id = 20 WHERE id = 21')
    database.close()
    found, losses = strings.read(file)
    assert found == strings.truth(20)
    assert 'is damaged (its rows are out of order)' in losses[0]


def test_rows_of_no_topic_are_told(tmp_path, strings):
    """They are messages that nobody can name."""
    file = strings.write('sqlite3', tmp_path / 'bag')
    with sqlite3.connect(file) as database:
        database.execute('UPDATE messages SET topic_id = 99 WHERE id IN (3, 4)')
    database.close()
    found, losses = strings.read(file.parent)
    assert len(found) == 58
    assert losses[0] == (f'{file.name} has 2 rows that are no message of a known topic, 0.6 s '
                         'after its first message')
    assert losses[1:] == [f'metadata.yaml promises 30 messages on {topic}, 29 were found'
                          for topic in strings.topics]
