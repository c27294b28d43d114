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

"""How benches write pages and pictures: whole, or not at all, as a reader may look meanwhile."""

from diffusion_policy_ros.data.files import replacing

PNG_DPI = 110


def write_lines(path, lines) -> None:
    """
    Write a text.

    :param path: pathlib.Path of the file.
    :param lines: Its lines.
    """
    with replacing(path) as part:
        part.write_text('\n'.join(lines) + '\n', encoding='utf-8')


def write_picture(path, figure) -> None:
    """
    Write a picture.

    :param path: pathlib.Path of the file, ``.png``.
    :param figure: matplotlib's ``Figure``.
    """
    with replacing(path) as part:
        figure.savefig(part, format='png', dpi=PNG_DPI)
