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

"""The folder or the file that results are written to."""

from contextlib import contextmanager
import os
import stat

from diffusion_policy_ros.errors import ConfigError


def make_out_folder(path):
    """
    Make the folder of ``--out``, before anything that takes long.

    :param path: Its path; it may exist.
    :raises ConfigError: if it cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f'--out {path} cannot be made: {error}; choose another folder') from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f'--out {path} cannot be written to; choose another folder')


def check_out_file(path):
    """
    Refuse a file of ``--out`` that cannot be written, before anything that takes long.

    A device or a pipe is refused too: the file that takes the place of what is there would not
    write to it, but remove it.

    :param path: Its path; it may exist.
    :raises ConfigError: naming it.
    """
    wanted = f'--out is {path}; name a file in a folder that exists and can be written to'
    try:
        is_taken = not stat.S_ISREG(path.stat().st_mode) or not os.access(path, os.W_OK)
    except FileNotFoundError:
        is_taken = False
    except OSError as error:  # such as a name that is too long
        raise ConfigError(f'{wanted} ({error.strerror})') from error
    if is_taken or not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(wanted)


@contextmanager
def writing_out(path):
    """
    Say of a disk that is full or refuses to be written what to do about it.

    :param path: The path of ``--out``.
    :raises ConfigError: in place of any ``OSError`` inside the context.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(f'--out {path} cannot be written: {error}; make room there, or choose '
                          'another place') from error
