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
"""Whether the middleware is set up for pictures as large as the ones that arrive."""

import os
from pathlib import Path

# Fast DDS cuts a message that does not fit its default shared-memory segment into pieces, and
# loses whole pictures with any lost piece.
DEFAULT_SEGMENT_BYTES = 512 * 1024
NEW_VARIABLE = 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
# Fast DDS 3 renamed the variable; with both set it reads the file twice and refuses it.
OLD_DISTRIBUTIONS = ('humble', 'iron', 'jazzy')


def profile_variable(environment=os.environ) -> str:
    """
    Return the name of the variable by which this ROS 2 finds a Fast DDS profile.

    :param environment: Environment variables.
    """
    is_old = environment.get('ROS_DISTRO') in OLD_DISTRIBUTIONS
    return OLD_VARIABLE if is_old else NEW_VARIABLE


def uses_large_data(environment=os.environ) -> bool:
    """
    Tell whether Fast DDS was told to use its transports for large data instead.

    :param environment: Environment variables.
    """
    return environment.get('FASTDDS_BUILTIN_TRANSPORTS', '').startswith('LARGE_DATA')


def transport_warning(image_bytes, rmw_name, environment=os.environ) -> str:
    """
    Say what to do about pictures that the middleware would lose.

    :param image_bytes: Size of one picture on the wire, bytes.
    :param rmw_name: Middleware in use, such as ``rmw_fastrtps_cpp``.
    :param environment: Environment variables.
    :return: A sentence with the remedy; empty when there is nothing to warn about.
    """
    if 'fastrtps' not in rmw_name or image_bytes <= DEFAULT_SEGMENT_BYTES:
        return ''
    variable = profile_variable(environment)
    file = environment.get(variable)
    if uses_large_data(environment) or (file and Path(file).is_file()):
        return ''
    state = f'names {file}, which does not exist' if file else 'is not set'
    return (f'images of {image_bytes / 1e6:.1f} MB are larger than the default shared-memory '
            f'segment of Fast DDS and many will be lost; {variable} {state}. Set it, '
            'for every process, to config/fastdds.xml of this package')
