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

"""A part of a bag is read as if the rest were not there, here or in another process."""

import pickle

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.storage_order import Stretch
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

BEGIN, END = 17, 40  # numbers of messages
DIRECT = ('mcap-zstd', 'mcap-unchunked', 'sqlite3', 'message', 'ros1-lz4')


def wanted_of(strings):
    """Return what is read of the bags of strings."""
    return dict.fromkeys(strings.topics, strings.type)


def read(bag, strings, *arguments):
    """Return the messages as in ``truth``."""
    return [(topic, message.data, receive_ns)
            for topic, message, receive_ns in bag.messages(wanted_of(strings), *arguments)]


@pytest.mark.parametrize('kind', [*DIRECT, 'file'])
def test_a_stretch_is_what_arrived_in_it_and_around_it(tmp_path, strings, kind):
    file = strings.write(kind, tmp_path / 'bag')
    truth = strings.truth(60)
    begin_ns, end_ns = truth[BEGIN][2], truth[END][2]
    with open_bag(file) as bag:
        assert read(bag, strings, Stretch(begin_ns, end_ns)) == truth[BEGIN:END]
        assert read(bag, strings, Stretch(begin_ns)) == truth[BEGIN:]
        around = Stretch(begin_ns, end_ns, before_ns=30_000_000, after_ns=20_000_000)
        assert read(bag, strings, around) == truth[BEGIN - 3:END + 2]
        held = Stretch(begin_ns, end_ns, held=('/a',))
        assert read(bag, strings, held) == [truth[BEGIN - 1], *truth[BEGIN:END]]
        assert bag.losses == []


@pytest.mark.parametrize('kind', DIRECT)
def test_a_part_is_read_elsewhere_without_a_search(tmp_path, strings, kind):
    """It can be sent, and read twice, after the bag that it is of was closed."""
    file = strings.write(kind, tmp_path / 'bag')
    truth = strings.truth(60)
    stretch = Stretch(truth[BEGIN][2], truth[END][2], held=('/b',))
    with open_bag(file) as bag:
        sent = pickle.dumps(bag.part(wanted_of(strings), stretch))
    assert len(sent) < 20_000
    with pickle.loads(sent) as part:
        assert read(part, strings) == [truth[BEGIN - 2], *truth[BEGIN:END]]
        assert read(part, strings, Stretch(truth[BEGIN + 5][2])) == truth[BEGIN + 5:END]
        assert part.losses == []
        assert part.promised_count(wanted_of(strings)) == END - BEGIN + 1


def test_a_part_may_lack_a_topic(tmp_path, strings):
    file = strings.write('mcap-none', tmp_path / 'bag')
    truth = strings.truth(60)
    with open_bag(file) as bag:
        part = bag.part(wanted_of(strings), Stretch(truth[20][2], truth[21][2]))
    with part:
        assert read(part, strings) == [truth[20]]


def test_what_is_unpacked_as_a_whole_has_no_parts(tmp_path, strings):
    """Each part would unpack all of it."""
    file = strings.write('file', tmp_path / 'bag')
    with open_bag(file) as bag:
        assert bag.part(wanted_of(strings), Stretch(0)) is None


def test_what_cannot_be_decoded_is_counted_where_it_belongs(tmp_path, demonstration):
    """Neighbours read it twice, and one of them owns it."""
    kind, good = 'std_msgs/msg/String', demonstration.typestore
    text = bytes(good.serialize_cdr(good.types[kind]('x'), kind))
    with Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        made = writer.add_connection('/a', kind, typestore=good)
        for at in range(20):
            writer.write(made, at, b'\0\1\0\0' if at in (9, 10, 11) else text)
    with open_bag(tmp_path / 'bag') as bag:
        for begin, end, count in ((0, 10, 1), (10, 20, 2)):
            part = bag.part({'/a': kind}, Stretch(begin, end, 5, 5))
            with part:
                assert len(list(part.messages({'/a': kind}, Stretch(begin, end, 5, 5)))) == 12
                assert part.undecoded['/a'][0] == count
                assert part.losses[0].startswith(f'{count} messages on /a could not be decoded: ')
            list(bag.messages({'/a': kind}, Stretch(begin, end, 5, 5)))
        assert bag.undecoded['/a'][0] == 3


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 2)), max_size=40),
       st.integers(0, 50), st.integers(0, 30), st.integers(0, 9), st.integers(0, 9))
def test_any_messages_are_chosen_one_by_one(messages, begin, length, before, after):
    """In whatever order they were written."""
    stretch = Stretch(begin, begin + length, before, after, ('b', 'c'))
    times_ns, topics = np.array([*zip(*messages)] or [[], []], np.int64)
    chosen = stretch.chosen(times_ns, topics, ['a', 'b', 'c'])
    inside = {k for k, (t, _) in enumerate(messages)
              if begin - before <= t < begin + length + after}
    for topic in (1, 2):
        early = [(t, k) for k, (t, own) in enumerate(messages) if own == topic
                 and t < begin - before]
        inside |= {max(early)[1]} if early else set()
    assert set(np.flatnonzero(chosen)) == inside
