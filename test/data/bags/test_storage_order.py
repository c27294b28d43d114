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

"""The order of writing tells when the recorder's clock was set back, in every kind of bag."""

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.errors import BagError
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

MS = 1_000_000
START_NS = 1_700_000_000_000_000_000
STRING = 'std_msgs/msg/String'


def write(folder, arrivals, plugin=StoragePlugin.MCAP, mode=CompressionMode.NONE):
    """Write strings that name their number, with (topic, arrival in ms) in the order given."""
    types = get_typestore(Stores.LATEST)
    writer = Writer(folder, version=8, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {topic: writer.add_connection(f'/{topic}', STRING, typestore=types)
                       for topic in dict.fromkeys(topic for topic, _ in arrivals)}
        for number, (topic, at) in enumerate(arrivals):
            text = types.types[STRING](f'{number}')
            writer.write(connections[topic], START_NS + at * MS, types.serialize_cdr(text, STRING))
    return folder


def read(path, topics='ab'):
    """Return the numbers in the order of reading, None where the clock was set back."""
    with open_bag(path) as bag:
        return [None if isinstance(item, SetBack) else int(item[1].data)
                for item in bag.messages(dict.fromkeys(topics, STRING))]


# Two passes of 3 s with 100 ms per message of each topic; the second begins 1 s into the first.
PASSES = [(topic, start + at) for start in (0, 1000) for at in range(0, 3000, 100)
          for topic in 'ab']
APART = [*range(60), None, *range(60, 120)]


@pytest.mark.parametrize('plugin, mode', [
    (StoragePlugin.MCAP, CompressionMode.NONE), (StoragePlugin.MCAP, CompressionMode.STORAGE),
    (StoragePlugin.MCAP, CompressionMode.MESSAGE), (StoragePlugin.SQLITE3, CompressionMode.NONE),
    (StoragePlugin.SQLITE3, CompressionMode.FILE)])
def test_passes_that_overlap_in_time_are_told_apart(tmp_path, plugin, mode):
    """In folders and in bare storage files."""
    bag = write(tmp_path / 'bag', PASSES, plugin, mode)
    assert read(bag) == APART
    if mode in (CompressionMode.NONE, CompressionMode.STORAGE):
        assert read(next(file for file in bag.iterdir() if file.suffix != '.yaml')) == APART


def test_the_step_is_told_with_its_topic_and_times(tmp_path):
    with open_bag(write(tmp_path / 'bag', PASSES)) as bag:
        step = next(item for item in bag.messages({'a': STRING}) if isinstance(item, SetBack))
    assert step == ('/a', START_NS + 2900 * MS, START_NS + 1000 * MS)
    assert step.reason == 'the clock was set back by 1.900 s (topic /a)'


def test_topics_may_be_written_one_after_the_other(tmp_path):
    """As programs that convert to bags do; no topic goes back, so nothing is split."""
    arrivals = [(topic, at) for topic in 'ab' for at in range(0, 3000, 100)]
    assert read(write(tmp_path / 'bag', arrivals)) \
        == [number + offset for number in range(30) for offset in (0, 30)]


def test_a_recorder_that_lags_behind_splits_nothing(tmp_path):
    """One topic is written 300 ms after its arrival, and another with a little jitter."""
    arrivals = [(topic, at + (at % 200 // 10 if topic == 'a' else -300))
                for at in range(1000, 3000, 10) for topic in 'ab']
    found = read(write(tmp_path / 'bag', arrivals))
    times = [arrivals[number][1] for number in found]
    assert times == sorted(times) and len(times) == 400


def test_a_lag_within_a_pass_is_sorted_out(tmp_path):
    """Also where the clock was set back somewhere else."""
    arrivals = [(topic, start + at - (300 if topic == 'b' else 0)) for start in (1000, 2000)
                for at in range(0, 3000, 100) for topic in 'ab']
    found = read(write(tmp_path / 'bag', arrivals))
    middle = found.index(None)
    assert sorted(found[:middle]) == list(range(60))
    for part in (found[:middle], found[middle + 1:]):
        times = [arrivals[number][1] for number in part if number is not None]
        assert times == sorted(times)


def test_passes_that_cannot_be_told_apart_are_refused(tmp_path):
    """Where each topic is written through both passes before the next one."""
    arrivals = [(topic, start + at) for topic in 'ab' for start in (0, 1000)
                for at in range(0, 3000, 100)]
    with pytest.raises(BagError, match='set back while it was recorded, and topic /b is stored'):
        read(write(tmp_path / 'bag', arrivals))


def test_other_topics_do_not_matter(tmp_path):
    """A clock that jumps where nobody reads is none of our business."""
    arrivals = [('a', at) for at in range(0, 3000, 100)]
    bag = write(tmp_path / 'bag', arrivals + [('c', 5000), ('c', 10)])
    assert read(bag, 'a') == list(range(30))
