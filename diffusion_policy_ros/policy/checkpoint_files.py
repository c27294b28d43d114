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

import json

from diffusion_policy_ros.errors import CheckpointError
from safetensors import safe_open, SafetensorError
from safetensors.torch import load_file

# Names that pickled files have, and how they begin: a zip archive, or the number of a protocol.
PICKLED = ('.bin', '.ckpt', '.pkl', '.pt', '.pth', '.tar')
PICKLES = (b'PK\x03\x04', b'\x80')
CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
REMEDY = 'copy the whole checkpoint folder again, or save it again from training'


def read_bytes(path):
    """
    Read a file.

    :param path: pathlib.Path.
    :return: Its content.
    :raises CheckpointError: if it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f'{path} is missing; {REMEDY}') from error
    except OSError as error:
        raise CheckpointError(f'{path} cannot be read ({error}); {REMEDY}') from error


def read_json(path):
    """
    Read a JSON file.

    :param path: pathlib.Path.
    :return: The parsed document.
    :raises CheckpointError: if it is missing, cannot be read or is no JSON.
    """
    try:
        return json.loads(read_bytes(path))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f'{path} is not valid JSON ({error}); {REMEDY}') from error


def read_tensors(path):
    """
    Read a safetensors file.

    :param path: pathlib.Path.
    :return: Tensor name -> tensor on the CPU.
    :raises CheckpointError: if it is missing, cannot be read or is no safetensors file.
    """
    return _read(path, lambda: load_file(path), REMEDY)


def read_foreign_tensors(path, remedy):
    """
    Read a safetensors file that others made, and never what is pickled.

    :param path: pathlib.Path.
    :param remedy: How to get such a file.
    :return: Tensor name -> tensor on the CPU.
    :raises CheckpointError: as ``read_tensors``, and if it is pickled by its name or its content.
    """
    if path.suffix in PICKLED or _is_pickled(path):
        raise CheckpointError(f'{path} is pickled: reading it would run whatever code is in it; '
                              f'{remedy}')
    return _read(path, lambda: load_file(path), remedy)


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


def _read(path, read, remedy):
    """Read from a safetensors file, with one kind of error."""
    try:
        return read()
    except FileNotFoundError as error:
        raise CheckpointError(f'{path} is missing; {remedy}') from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f'{path} is no intact safetensors file ({error}); it may be cut '
                              f'short, or a Git LFS pointer; {remedy}') from error
