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

"""Files that get their name when they are whole."""

from contextlib import contextmanager, suppress
import json
import os
from pathlib import Path

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.on_disk import put_in_place


@contextmanager
def replacing(path, is_durable=False):
    """
    Write a file under another name and move it into place only when it is whole.

    :param path: Where the file shall be; its folder is created.
    :param is_durable: Whether no loss of power may undo that.
    :return: Context manager giving the temporary path to write.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'{path.name}.tmp')
    try:
        yield temporary
        if is_durable:
            put_in_place(temporary, path)
        else:
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def write_json(path, content, is_durable=False) -> None:
    """
    Write a JSON file that is whole or not there.

    :param path: Where the file shall be; its folder is created.
    :param content: What it shall hold.
    :param is_durable: As for ``replacing``.
    """
    with replacing(path, is_durable) as temporary:
        temporary.write_text(json.dumps(content, indent=4), encoding='utf-8')


@contextmanager
def writing(folder):
    """
    Say of a disk that is full or refuses to be written what to do about it.

    :param folder: The dataset that is being written.
    :raises DatasetError: in place of any ``OSError`` inside the context.
    """
    try:
        yield
    except OSError as error:
        raise DatasetError(f'cannot write the dataset {folder}: {error}. Make room on the disk, '
                           'or write it to another one') from error
