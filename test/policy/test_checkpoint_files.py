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
"""Reading one file of a checkpoint: regular files, mappings, real floating-point numbers."""

import os
import signal

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy.checkpoint_files import (
    file_beside, read_bytes, read_foreign_tensors, read_json, read_shapes, read_tensors)
import pytest
from safetensors.torch import save_file
import torch


def read_foreign(path):
    """Read tensors of others."""
    return read_foreign_tensors(path, 'get another')


READERS = (read_bytes, read_json, read_tensors, read_foreign, read_shapes)


@pytest.fixture(params=('pipe', 'device', 'folder'))
def irregular(request, tmp_path):
    """Return a path at which no regular file is; a test that waits for it fails."""
    def fail(*_):
        raise TimeoutError('it waits for ever')

    path, opened = tmp_path / 'file', None
    if request.param == 'pipe':
        os.mkfifo(path)
        opened = os.open(path, os.O_RDWR)  # or opening it would wait where signals do not reach
    elif request.param == 'device':
        path.symlink_to('/dev/null')
    else:
        path.mkdir()
    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(5)
    yield path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
    if opened is not None:
        os.close(opened)


@pytest.mark.parametrize('read', READERS)
def test_what_is_no_regular_file_is_not_read(irregular, read):
    with pytest.raises(CheckpointError, match='file is a folder, a pipe or a device, not a file'):
        read(irregular)


@pytest.mark.parametrize('read', READERS)
def test_names_that_no_file_can_have_are_refused(tmp_path, read):
    for name in ('a\0b', 'a\ud800', 5000 * 'a'):
        with pytest.raises(CheckpointError, match='cannot be read'):
            read(tmp_path / name)
    with pytest.raises(CheckpointError, match='gone is missing'):
        read(tmp_path / 'gone')


@pytest.mark.parametrize('text', ('[]', 'null', '3', '"text"', 'true', 'NaN'))
def test_json_must_map_names_to_values(tmp_path, text):
    (tmp_path / 'file').write_text(text)
    with pytest.raises(CheckpointError, match='file holds .*; it must map names to values; copy'):
        read_json(tmp_path / 'file')


@pytest.mark.parametrize('read', (read_tensors, read_foreign))
@pytest.mark.parametrize('dtype', (
    torch.int8, torch.int32, torch.int64, torch.uint8, torch.bool, torch.complex64,
    torch.float8_e4m3fn))
def test_numbers_that_are_not_real_floating_point_are_refused(tmp_path, read, dtype):
    save_file({'a.weight': torch.ones(2).to(dtype)}, tmp_path / 'file')
    kind = str(dtype).removeprefix('torch.')
    with pytest.raises(CheckpointError, match=f"'a.weight' holds numbers of the kind {kind}; wan"):
        read(tmp_path / 'file')


@pytest.mark.parametrize('read', (read_tensors, read_foreign))
def test_floating_point_numbers_and_counters_are_read_as_they_are(tmp_path, read):
    tensors = {str(dtype): torch.full((2,), 0.5, dtype=dtype) for dtype in (
        torch.float32, torch.float16, torch.bfloat16, torch.float64)}
    tensors['bn1.num_batches_tracked'] = torch.tensor(7)
    tensors['observation.state.count'] = torch.tensor([8])
    save_file(tensors, tmp_path / 'file')
    found = read(tmp_path / 'file')
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
               for name, tensor in tensors.items())


@pytest.mark.parametrize('name', (
    None, 3, ['a'], '', '.', '..', '/etc/passwd', 'a/b', '../a', 'a\0b', 'a\nb', 'a\ud800'))
def test_a_document_names_only_files_beside_it(tmp_path, name):
    with pytest.raises(CheckpointError, match='state_file is .*; it must name a file in the same'):
        file_beside(tmp_path / 'document.json', name, 'state_file')
    assert file_beside(tmp_path / 'document.json', 'a b.c', '') == tmp_path / 'a b.c'
