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


"""Facts that `dpr info` tells, each by itself."""

from diffusion_policy_ros.choices import EXPORT_FORMATS


def describe_contract(contract) -> str:
    """
    Return a robot contract in one line.

    :param contract: ``RobotContract``, or None.
    """
    if contract is None:
        return 'none inside'
    return (f'robot {contract.robot}, {contract.rate_hz:g} Hz, observes '
            f'{", ".join(contract.keys)}; commands '
            f'{", ".join(output.topic for output in contract.actions)}')


def exports_of(path) -> list:
    """
    Return the formats as which a checkpoint is exported, of whatever weights.

    :param path: ``pathlib.Path`` of its folder.
    """
    from diffusion_policy_ros.policy.export.record import RECORD
    return [form for form in EXPORT_FORMATS if (path / form / RECORD).is_file()]


def size_of(path) -> int:
    """
    Return the size of a file, or of all files in a folder, in bytes.

    :param path: ``pathlib.Path``.
    """
    files = [path] if path.is_file() else [f for f in path.rglob('*') if f.is_file()]
    return sum(file.stat().st_size for file in files)
