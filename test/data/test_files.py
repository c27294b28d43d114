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

"""What is finished is on the disk before it has its name, so that no loss of power undoes it."""

import json
import os
from pathlib import Path

from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.data.datasets.edit import append_datasets, split_dataset
from diffusion_policy_ros.data.datasets.formats import create_dataset, open_dataset
from diffusion_policy_ros.data.datasets.frames import copy_dataset
from diffusion_policy_ros.data.files import replacing, write_json
from diffusion_policy_ros.on_disk import put_in_place, sync
import pytest


@pytest.fixture
def settled(monkeypatch):
    """Give ``{inode: size}`` of all that was made to reach the disk."""
    found, fsync = {}, os.fsync

    def note(handle):
        state = os.fstat(handle)
        found[state.st_ino] = state.st_size
        fsync(handle)
    monkeypatch.setattr(os, 'fsync', note)
    return found


def assert_settled(path, settled):
    """Everything there reached the disk as it is now, and so did its name."""
    inside = [path, *path.rglob('*')]
    assert len(inside) > 1 or path.is_file()
    for file in inside:
        state = file.stat()
        assert state.st_ino in settled, file
        assert file.is_dir() or settled[state.st_ino] == state.st_size, file
    assert path.parent.stat().st_ino in settled


@pytest.fixture
def dataset(tmp_path, demonstration, settled):
    """Convert two bags."""
    bags = [demonstration.write_bag(tmp_path / f'bag{n}', range(10)) for n in range(2)]
    convert_bags(bags, tmp_path / 'dataset', codec='png', progress=False)
    assert_settled(tmp_path / 'dataset', settled)
    settled.clear()
    return tmp_path / 'dataset'


@pytest.mark.parametrize('name, format', [
    ('d', 'lerobot'), ('d.zarr', 'zarr'), ('d.zarr.zip', 'zarr'), ('d.hdf5', 'hdf5')])
def test_a_dataset_of_any_format_is(dataset, tmp_path, settled, name, format):
    pytest.importorskip({'zarr': 'zarr', 'hdf5': 'h5py'}.get(format, 'av'))
    source = open_dataset(dataset)
    copy_dataset(source, create_dataset(tmp_path / name, format, like=source))
    assert_settled(tmp_path / name, settled)


def test_an_edited_dataset_is(dataset, tmp_path, settled):
    split_dataset(dataset, {'a': [0], 'b': [1]}, tmp_path / 'parts')
    assert_settled(tmp_path / 'parts', settled)
    settled.clear()
    append_datasets(tmp_path / 'parts/a', [tmp_path / 'parts/b'])
    assert_settled(tmp_path / 'parts/a', settled)


def test_a_cache_is(dataset, settled):
    assert_settled(build_cache(dataset, progress=False).folder, settled)


def test_the_content_comes_before_the_name(tmp_path, monkeypatch):
    order = []
    monkeypatch.setattr(os, 'fsync', lambda handle: order.append(
        Path(os.readlink(f'/proc/self/fd/{handle}')).name))
    (tmp_path / 'built/inside').mkdir(parents=True)
    (tmp_path / 'built/inside/file').touch()
    (tmp_path / 'built/link').symlink_to('nowhere')
    rename = Path.rename
    monkeypatch.setattr(Path, 'rename', lambda *paths: order.append('renamed') or rename(*paths))
    put_in_place(tmp_path / 'built', tmp_path / 'place')
    assert order == ['file', 'inside', 'built', 'renamed', tmp_path.name]


def test_a_file_that_does_not_reach_the_disk_keeps_its_other_name(tmp_path, monkeypatch):
    def refuse(handle):
        raise OSError('the disk is gone')
    monkeypatch.setattr(os, 'fsync', refuse)
    (tmp_path / 'built').write_text('x')
    with pytest.raises(OSError, match='the disk is gone'):
        put_in_place(tmp_path / 'built', tmp_path / 'place')
    assert [path.name for path in tmp_path.iterdir()] == ['built']


def test_a_disk_that_brings_no_folder_to_it_passes(tmp_path, unsynced_folders):
    (tmp_path / 'built/inside').mkdir(parents=True)
    (tmp_path / 'built/inside/file').write_text('x')
    put_in_place(tmp_path / 'built', tmp_path / 'place')
    assert (tmp_path / 'place/inside/file').read_text() == 'x'
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / 'built')


def test_a_json_file_is_replaced_when_its_content_is_on_the_disk(tmp_path, settled):
    for content in ({'a': 1}, {'a': [2, 3]}):
        write_json(tmp_path / 'new/file.json', content, is_durable=True)
        assert json.loads((tmp_path / 'new/file.json').read_text()) == content
        assert_settled(tmp_path / 'new/file.json', settled)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['file.json']


@pytest.mark.parametrize('is_durable', [False, True])
def test_what_cannot_be_put_in_its_place_leaves_nothing_beside_it(tmp_path, is_durable):
    (tmp_path / 'file.json').mkdir()
    with pytest.raises(OSError):
        write_json(tmp_path / 'file.json', {}, is_durable)
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / 'other', is_durable) as part:
        part.write_text('half')
        raise ZeroDivisionError
    assert [path.name for path in tmp_path.iterdir()] == ['file.json']
