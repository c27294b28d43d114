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

"""``dpr compare``: which of two evaluated models or settings is better, episode by episode."""

from pathlib import Path


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    for name in ('first', 'second'):
        parser.add_argument(name, type=Path, metavar=name.upper(),
                            help='what dpr eval --out wrote: a folder, or a JSON file')


def run(args) -> int:
    """
    Compare two stored results and print one line.

    :param args: Parsed arguments.
    :return: 0.
    :raises DatasetError: if one cannot be read, or they have no episode in common.
    """
    from diffusion_policy_ros.evaluation.eval_result import (
        check_same, differing_settings, load_result)
    from diffusion_policy_ros.evaluation.paired import compare

    first, second = load_result(args.first), load_result(args.second)
    check_same(second, first.settings.get('sim'))
    print(compare((first.name, second.name), first.episodes, second.episodes,
                  differing_settings(first.settings, second.settings)).sentence())
    return 0
