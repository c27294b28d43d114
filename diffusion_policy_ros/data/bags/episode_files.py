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

"""The numbered episode bags in the recorder's output folder."""

from pathlib import Path
import re

NAME = re.compile(r'episode_(\d{6,})')


def next_number(folder):
    """
    Return the number for the next episode: one more than the largest that is there.

    :param folder: The output folder; it need not exist.
    """
    return max(_numbers(folder), default=-1) + 1


def episode_path(folder, number):
    """
    Return where an episode's bag belongs.

    :param folder: The output folder.
    :param number: Number from 0.
    """
    return Path(folder) / f'episode_{number:06d}'


def finished_bags(folder):
    """
    Return the bags that were closed, in the order of their numbers.

    :param folder: The output folder; it need not exist.
    """
    paths = [episode_path(folder, number) for number in sorted(_numbers(folder))]
    return [path for path in paths if (path / 'metadata.yaml').is_file()]


def _numbers(folder):
    """Return the numbers that are taken, by finished bags or by anything else."""
    folder = Path(folder)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return [int(match[1]) for match in map(NAME.fullmatch, names) if match]
