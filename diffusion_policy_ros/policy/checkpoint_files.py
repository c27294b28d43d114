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
"""Reading one file of a checkpoint, with one kind of error for all that can be wrong with it."""

import hashlib
import stat

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.json_text import parse_json
from safetensors import safe_open, SafetensorError
from safetensors.torch import load_file
import torch

# Names that pickled files have, and how they begin: a zip archive, or the number of a protocol.
PICKLED = ('.bin', '.ckpt', '.pkl', '.pt', '.pth', '.tar')
PICKLES = (b'PK\x03\x04', b'\x80')
CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
REMEDY = 'copy the whole checkpoint folder again, or save it again from training'
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
COUNTERS = ('num_batches_tracked', 'count')  # last parts of names of whole numbers; none is used


def read_bytes(path, remedy=REMEDY):
    """
    Read a file.

    :param path: pathlib.Path.
    :param remedy: How to get such a file.
    :return: Its content.
    :raises CheckpointError: if it is missing, no regular file or cannot be read.
    """
    _check_regular(path, remedy)
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read ({error}); {remedy}') from error


def sha256_of(data) -> str:
    """
    Return the digest of some bytes as hexadecimal text.

    :param data: The bytes.
    """
    return hashlib.sha256(data).hexdigest()


def file_beside(path, name, what):
    """
    Return the path of a file that a document of a checkpoint names.

    :param path: pathlib.Path of the document.
    :param name: What it names; anything.
    :param what: What the document calls it, for messages.
    :return: pathlib.Path in the same folder.
    :raises CheckpointError: if it is no plain file name.
    """
    is_plain = isinstance(name, str) and name.isprintable() and '/' not in name \
        and name not in ('', '.', '..')
    if not is_plain:
        raise CheckpointError(f'{path}: {what} is {shown(name)}; it must name a file in the same '
                              f'folder; {REMEDY}')
    return path.parent / name


def read_json(path, remedy=REMEDY):
    """
    Read a JSON file of names and values.

    :param path: pathlib.Path.
    :param remedy: How to get such a file.
    :return: The parsed document, a dict.
    :raises CheckpointError: if it is missing, cannot be read or is no such JSON.
    """
    try:
        document = parse_json(read_bytes(path, remedy))
    except ValueError as error:
        raise CheckpointError(f'{path} cannot be read: {error}; {remedy}') from error
    if not isinstance(document, dict):
        raise CheckpointError(f'{path} holds {shown(document)}; it must map names to values; '
                              f'{remedy}')
    return document


def read_tensors(path):
    """
    Read a safetensors file.

    :param path: pathlib.Path.
    :return: Tensor name -> tensor on the CPU.
    :raises CheckpointError: if it is missing, cannot be read or is no safetensors file, or a
        tensor holds something else than real floating-point numbers.
    """
    return _checked_tensors(path, REMEDY)


def read_foreign_tensors(path, remedy):
    """
    Read a safetensors file that others made, and never what is pickled.

    :param path: pathlib.Path.
    :param remedy: How to get such a file.
    :return: Tensor name -> tensor on the CPU.
    :raises CheckpointError: as ``read_tensors``, and if it is pickled by its name or its content.
    """
    _check_regular(path, remedy)
    if path.suffix in PICKLED or _is_pickled(path):
        raise CheckpointError(f'{path} is pickled: reading it would run whatever code is in it; '
                              f'{remedy}')
    return _checked_tensors(path, remedy)


def read_shapes(path):
    """
    Read the shapes in a safetensors file, without the numbers.

    :param path: pathlib.Path.
    :return: Tensor name -> shape.
    :raises CheckpointError: as ``read_tensors``.
    """
    def read():
        with safe_open(path, framework='pt') as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}

    return _read(path, read, REMEDY)


def _is_pickled(path):
    """Tell by the first bytes; those of safetensors are a length, of any bytes, and {."""
    try:
        with open(path, 'rb') as file:
            beginning = file.read(9)
    except OSError:
        return False  # is named where it is read
    return beginning.startswith(PICKLES) and beginning[8:] != b'{'


def _checked_tensors(path, remedy):
    """
    Read tensors, all of real floating-point numbers.

    Whole, complex and 8-bit numbers are those of a quantized or another network, which float32
    would silently make something else of.
    """
    tensors = _read(path, lambda: load_file(path), remedy)
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES and name.rpartition('.')[2] not in COUNTERS:
            raise CheckpointError(
                f'{path}: {name!r} holds numbers of the kind {_word(tensor.dtype)}; wanted one '
                f'of: {", ".join(map(_word, DTYPES))}; {remedy}')
    return tensors


def _word(dtype):
    """Return the name of a dtype."""
    return str(dtype).removeprefix('torch.')


def _check_regular(path, remedy):
    """Refuse what is no regular file: a pipe or a device may never end."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise CheckpointError(f'{path} is missing; {remedy}') from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise CheckpointError(f'{path} cannot be read ({error}); {remedy}') from error
    if not stat.S_ISREG(mode):
        raise CheckpointError(f'{path} is a folder, a pipe or a device, not a file; {remedy}')


def _read(path, read, remedy):
    """Read from a safetensors file, with one kind of error."""
    _check_regular(path, remedy)
    try:
        return read()
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path} is no intact safetensors file ({error}); it may be cut '
                              f'short, or a Git LFS pointer; {remedy}') from error
