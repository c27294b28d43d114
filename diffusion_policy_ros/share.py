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

"""Where the package's shared files are: its config, launch files and models."""

from pathlib import Path

from diffusion_policy_ros.errors import DiffusionPolicyError

PACKAGE = 'diffusion_policy_ros'


def share_path(*parts, package_folder=Path(__file__).resolve().parent) -> Path:
    """
    Return the path of a file or folder that is installed with the package.

    It is found from where this module lies, so that no environment has to be sourced: in a
    checkout beside the Python package, after an installation (colcon, pip or a distribution's
    package) under ``share/`` of the same prefix.

    :param parts: Path below the share folder, such as ``'config', 'fastdds.xml'``.
    :param package_folder: Folder of the Python package.
    :return: The absolute path.
    :raises DiffusionPolicyError: naming the path and the remedy, if nothing is there.
    """
    for above in Path(package_folder).parents:
        for share in (above, above / 'share' / PACKAGE):
            if _is_share(share):
                path = share.joinpath(*parts)
                if path.exists():
                    return path
                raise DiffusionPolicyError(f'{path} is missing from this copy of {PACKAGE}; '
                                           'get it again, whole')
    raise DiffusionPolicyError(f'no share folder of {PACKAGE} belongs to {package_folder}; '
                               'install the package with colcon or pip')


def _is_share(folder):
    """Tell whether a folder holds this package's manifest."""
    manifest = folder / 'package.xml'
    return manifest.is_file() and f'<name>{PACKAGE}</name>' in manifest.read_text('utf-8')
