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

"""
The versions of other libraries that serving and recording need.

setup.py reads this file without importing the package; ``dpr doctor`` names the same versions.
"""

from pathlib import Path

SERVING = (
    'backports.zstd>=1.0; python_version < "3.14"', 'lz4>=4.3', 'numpy>=1.26',
    'opencv-python-headless>=4.9,<5', 'PyYAML>=6', 'rosbags>=0.11.9,<0.12', 'ruckig>=0.19,<0.20',
    'safetensors>=0.4', 'torch>=2.4', 'tqdm>=4.60')


def install_command(extra) -> str:
    """
    Return the command that installs an optional part of this package.

    :param extra: One of the extras of setup.py.
    """
    sources = Path(__file__).resolve().parents[1]
    folder = sources if (sources / 'setup.py').is_file() else './src/diffusion_policy_ros'
    return f'pip install "{folder}[{extra}]"'
