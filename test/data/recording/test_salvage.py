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

"""Everything whole in an mcap file that nobody finished is saved, and nothing else."""

from io import BytesIO

from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.recording.salvage import salvaged
from diffusion_policy_ros.errors import BagError
from mcap.reader import make_reader
import pytest

KINDS = ('mcap-none', 'mcap-zstd', 'mcap-lz4')


def chunk_ends(file):
    """Return (end of the chunk, number of messages up to there) as the mcap library tells them."""
    data = file.read_bytes()
    times = [message.log_time for _, _, message in make_reader(BytesIO(data)).iter_messages()]
    chunks = make_reader(BytesIO(data)).get_summary().chunk_indexes
    return sorted((chunk.chunk_start_offset + chunk.chunk_length,
                   sum(time_ns <= chunk.message_end_time for time_ns in times))
                  for chunk in chunks)


@pytest.mark.parametrize('kind', [*KINDS, 'mcap-unchunked', 'rosbags'])
def test_a_whole_file_gives_all_and_no_damage(tmp_path, strings, kind):
    """Each with its topic, type, definition, bytes and time."""
    salvage = salvaged(strings.write(kind, tmp_path / 'bag'))
    found = list(salvage)
    assert [(topic, data, receive_ns) for topic, _, _, data, receive_ns in found] == [
        (topic, strings.serialize(text), receive_ns)
        for topic, text, receive_ns in strings.truth(60)]
    assert {(kind, text.strip()) for _, kind, text, _, _ in found} == {
        (strings.type, 'string data')}
    assert salvage.damage is None


@pytest.mark.parametrize('kind', KINDS)
def test_exactly_the_whole_chunks_of_a_cut_file_are_saved(tmp_path, strings, kind):
    """The mcap library's index tells which these are."""
    file = strings.write(kind, tmp_path / 'bag')
    ends, data = chunk_ends(file), file.read_bytes()
    assert len(ends) > 8 and ends[-1][1] == 60
    for number in range(1, 50):
        size = len(data) * number // 50
        (tmp_path / 'cut.mcap').write_bytes(data[:size])
        salvage = salvaged(tmp_path / 'cut.mcap')
        expected = max((count for end, count in ends if end <= size), default=0)
        if size < 8:
            continue
        assert [item[4] for item in salvage] == [
            receive_ns for _, _, receive_ns in strings.truth(60)[:expected]]
        assert 'is truncated at byte' in salvage.damage or 'summary' in salvage.damage


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_after_a_damage_is_saved(tmp_path, strings, kind):
    """What is made of it has no gap in the middle."""
    file = strings.write(kind, tmp_path / 'bag')
    (_, before), (end, _) = chunk_ends(file)[3:5]
    data = bytearray(file.read_bytes())
    data[end - 20] ^= 255
    file.write_bytes(data)
    salvage = salvaged(file)
    assert len(list(salvage)) == before
    assert salvage.damage.startswith('is damaged in the chunk at byte')


def test_what_a_recorder_has_flushed_is_saved(tmp_path, demonstration):
    """Though it never closed its file, and the file system added zeros."""
    bag = EpisodeBag(tmp_path / 'bag', demonstration.contract)
    for topic, message, receive_ns in demonstration.messages(range(20)):
        kind = demonstration.streams[topic].type
        bag.write(topic, kind, demonstration.typestore.serialize_cdr(message, kind), receive_ns)
    bag.flush()
    file = next((tmp_path / 'bag').glob('*.mcap'))
    data = file.read_bytes()
    bag.close()
    for tail in (b'', bytes(4096), data[:50]):
        (tmp_path / 'killed.mcap').write_bytes(data + tail)
        salvage = salvaged(tmp_path / 'killed.mcap')
        assert [(topic, receive_ns) for topic, _, _, _, receive_ns in salvage] == [
            (f'/{topic}', receive_ns)
            for topic, _, receive_ns in demonstration.messages(range(20))]
        assert salvage.damage


@pytest.mark.parametrize('data, said', [(b'', 'is empty'), (b'#ROSBAG V2.0\n', 'is no mcap file')])
def test_what_is_no_mcap_file_is_refused(tmp_path, data, said):
    """So is a file that is not there."""
    (tmp_path / 'x.mcap').write_bytes(data)
    with pytest.raises(BagError, match=said):
        salvaged(tmp_path / 'x.mcap')
    with pytest.raises(BagError, match='cannot be read'):
        salvaged(tmp_path / 'nothing.mcap')
