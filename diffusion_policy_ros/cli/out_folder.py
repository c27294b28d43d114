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

"""The folder that results are written to."""

import os

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
