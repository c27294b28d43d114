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

"""A disk that brings no folder to it, as some network disks, takes whole episodes all the same."""

import os
import threading

from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.durable import BackgroundSync
from diffusion_policy_ros.data.recording.repair import repair
from diffusion_policy_ros.on_disk import sync
import pytest
from rosbags.rosbag2 import Reader


def fail(number):
    """Be a disk that is broken."""
    raise OSError(5, 'Input/output error')


def write(bag, time_ns):
    """Write one message."""
    bag.write('joint_states', 'sensor_msgs/msg/JointState', b'\0\1\0\0', time_ns)


def flush(bag):
    """Bring what was written to the disk."""
    bag.flush()
    while bag.late_s:
        threading.Event().wait(0.01)


def assert_whole(path, times):
    """Assert that the bag is closed, and holds these messages."""
    assert sorted(file.name for file in path.iterdir()) == ['bag.mcap', 'metadata.yaml']
    with Reader(path) as reader:
        assert [time_ns for _, time_ns, _ in reader.messages()] == times
        assert 'contract' in reader.storage.metadata.custom


def test_an_episode_is_flushed_moved_and_closed(tmp_path, contract, unsynced_folders):
    bag = EpisodeBag(tmp_path / 'new/bag', contract)
    write(bag, 5)
    for _ in range(2):  # the second tells what went wrong with the first
        flush(bag)
    assert bag.set_aside('discarded') == tmp_path / 'new/discarded/bag'
    write(bag, 6)
    bag.close()
    assert_whole(bag.path, [5, 6])


def test_an_unfinished_episode_is_repaired(tmp_path, contract, unsynced_folders):
    bag = EpisodeBag(tmp_path / 'bag', contract)
    write(bag, 5)
    bag.flush()
    bag._release()
    bag._writer.storage.bio.close()
    assert '1 whole messages' in repair(tmp_path / 'bag')
    assert_whole(tmp_path / 'bag', [5])


def test_an_episode_that_was_moved_is_found_where_it_is(tmp_path, contract, monkeypatch):
    """Though the disk fails just then: nobody is told that it was not moved."""
    bag = EpisodeBag(tmp_path / 'bag', contract)
    write(bag, 5)
    flush(bag)
    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', fail)
        assert bag.set_aside('discarded') == bag.path == tmp_path / 'discarded/bag'
    bag.close()
    assert_whole(bag.path, [5])


def test_a_file_that_does_not_reach_the_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, 'fsync', fail)
    (tmp_path / 'note').touch()
    (tmp_path / 'file').touch()
    with open(tmp_path / 'file', 'rb') as file:
        thread = BackgroundSync(file.fileno(), [tmp_path / 'note', tmp_path])
        thread.close()
        with pytest.raises(OSError, match='Input/output error'):
            thread.ask()
    with pytest.raises(OSError, match='Input/output error'):
        sync(tmp_path / 'note')
