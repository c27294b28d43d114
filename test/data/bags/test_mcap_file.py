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

"""Chunks are unpacked as they are needed, only few are kept, and they are found by their look."""

from io import BytesIO
import tracemalloc

from diffusion_policy_ros.data.bags import mcap_file, ros1_file, stored
from diffusion_policy_ros.data.bags.stored import Damage, Found
from mcap.reader import make_reader
from mcap.writer import Writer
import pytest


@pytest.mark.parametrize('kind, opener', [
    ('mcap-zstd', mcap_file.McapFile), ('ros1-lz4', ros1_file.Ros1File)])
def test_few_chunks_are_kept_at_hand(tmp_path, strings, monkeypatch, kind, opener):
    """Memory stays bounded, and messages may be fetched in any order."""
    monkeypatch.setattr(stored, 'CACHED_BYTES', 50_000)
    file = opener(strings.write(kind, tmp_path / 'bag', count=100))
    found = [item for item in file.scan() if isinstance(item, Found)]
    most, numbers = 0, [number * 37 % 100 for number in range(100)]
    for number in numbers:
        _, text, receive_ns = strings.truth(100)[number]
        data = file.fetch(found[number].where, found[number].offset)
        assert found[number].receive_ns == receive_ns and text.encode() in data
        most = max(most, sum(map(len, file._chunks._kept.values())))
    assert 0 < most <= 50_000
    file.close()
    assert not file._chunks._kept


def scanned(path, data):
    """Return the times of the messages in an mcap file of some bytes, and what is damaged."""
    path.write_bytes(data)
    file = mcap_file.McapFile(path)
    items = list(file.scan())
    file.close()
    return ([item.receive_ns for item in items if isinstance(item, Found)],
            [item for item in items if isinstance(item, Damage)])


@pytest.mark.parametrize('kind', ['mcap-none', 'mcap-lz4', 'mcap-zstd', 'recorder'])
@pytest.mark.parametrize('at', [0, 1, 3, 10, 33, 38, 44, 500])
def test_a_damaged_chunk_costs_only_itself_though_no_summary_tells_where_the_next_is(
        tmp_path, strings, kind, at):
    """Whichever byte of it: operation, length, kind of compression, content."""
    data = bytearray(strings.write(kind, tmp_path / 'bag').read_bytes())
    chunks = make_reader(BytesIO(data)).get_summary().chunk_indexes
    chunk, last = chunks[3], chunks[-1]
    data[chunk.chunk_start_offset + at] ^= 255
    data = data[:last.chunk_start_offset + last.chunk_length]
    found, damages = scanned(tmp_path / 'x.mcap', data)
    content = range(chunk.message_start_time, chunk.message_end_time + 1)
    is_needed = not 9 <= at < 33  # times of a chunk's first and last message
    assert found == [receive_ns for _, _, receive_ns in strings.truth(60)
                     if not (is_needed and receive_ns in content)]
    assert [damage.is_end for damage in damages] in ([False] * is_needed + [True],
                                                     [False, False, True])


def test_a_length_that_is_wrong_costs_no_chunk_behind_it(tmp_path, strings):
    """That of an index between two chunks, which says that it is longer than some of these."""
    data = bytearray(strings.write('recorder', tmp_path / 'bag').read_bytes())
    chunks = make_reader(BytesIO(data)).get_summary().chunk_indexes
    data[chunks[1].chunk_start_offset + chunks[1].chunk_length + 3] ^= 1  # 65536 bytes
    found, damages = scanned(tmp_path / 'x.mcap', data[:chunks[-1].message_index_offsets[1]])
    assert found == [receive_ns for _, _, receive_ns in strings.truth(60)]
    assert [damage.is_end for damage in damages] == [False, True]


def test_a_file_within_a_message_is_a_message(tmp_path, strings):
    """Though it looks like chunks, and no summary says that there are none."""
    inside = strings.write('mcap-zstd', tmp_path / 'bag').read_bytes()
    stream = BytesIO()
    writer = Writer(stream, use_chunking=False)
    writer.start()
    channel = writer.register_channel('/file', 'cdr', writer.register_schema('A', 'ros2msg', b''))
    for time_ns in range(3):
        writer.add_message(channel, time_ns, inside, time_ns)
    data = stream.getvalue()
    found, damages = scanned(tmp_path / 'x.mcap', data)
    assert found == [0, 1, 2] and [damage.is_end for damage in damages] == [True]


def with_attachments(inside, name='inside.mcap', **options):
    """Return an mcap file of six messages, with attachments before, among and after them."""
    stream = BytesIO()
    writer = Writer(stream, chunk_size=100, **options)
    writer.start()
    channel = writer.register_channel('/a', 'cdr', writer.register_schema('A', 'ros2msg', b''))
    for time_ns in range(6):
        if time_ns % 3 == 0:
            writer.add_attachment(1, 2, name, 'application/octet-stream', inside)
        writer.add_message(channel, time_ns, bytes(100), time_ns)
    writer.add_attachment(1, 2, name, 'application/octet-stream', inside)
    writer.finish()
    return stream.getvalue()


def without_checksums(data, inside):
    """Return a file with attachments, and zeros in the place of their checksums."""
    first, *others = data.split(inside)
    return inside.join([first, *(bytes(4) + part[4:] for part in others)])


@pytest.mark.parametrize('use_chunking', [True, False])
@pytest.mark.parametrize('name', ['', 'inside.mcap'])
@pytest.mark.parametrize('is_checked', [True, False])
def test_a_file_that_is_attached_is_no_part_of_the_recording(
        tmp_path, strings, use_chunking, name, is_checked):
    """It is whole by its checksum, or by the summary where it has none."""
    inside = strings.write('mcap-zstd', tmp_path / 'bag').read_bytes()
    data = with_attachments(inside, name, use_chunking=use_chunking)
    data = data if is_checked else without_checksums(data, inside)
    assert list(make_reader(BytesIO(data)).iter_attachments())[2].data == inside
    assert scanned(tmp_path / 'x.mcap', data) == (list(range(6)), [])


@pytest.mark.parametrize('change', [
    lambda data, inside: data.replace(inside, inside[:-1] + b'?'),
    lambda data, inside: without_checksums(data, inside)[:-20]])
def test_an_attachment_that_nothing_shows_to_be_whole_is_searched_for_chunks(
        tmp_path, strings, change):
    """A record may be damaged so that it only looks like one, and swallow chunks."""
    inside = strings.write('mcap-zstd', tmp_path / 'bag').read_bytes()
    data = change(with_attachments(inside), inside)
    found, damages = scanned(tmp_path / 'x.mcap', data)
    assert set(range(6)) < set(found) and damages


def test_a_large_attachment_takes_no_memory(tmp_path):
    data = with_attachments(bytes(20 << 20))
    (tmp_path / 'x.mcap').write_bytes(data)
    file = mcap_file.McapFile(tmp_path / 'x.mcap')
    tracemalloc.start()
    assert len(list(file.scan())) == 6
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()
    file.close()
