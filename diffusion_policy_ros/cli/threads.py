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

"""With how many CPU threads a command lets torch compute."""

from diffusion_policy_ros.cli.usage import check_range

LARGEST_THREADS = 256


def add_threads_argument(parser):
    """
    Declare ``--threads``.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('--threads', type=int,
                        help='CPU threads for torch, 0 for what torch chooses, as a rule one per '
                             'core; default: 1, because the threads of a small network wait for '
                             'each other, on a busy machine for most of the time')


def use_threads(threads):
    """
    Let torch compute with as many threads as are asked for.

    :param threads: Number, 0 for what torch chooses, None for 1.
    :raises UsageError: if there cannot be so many.
    """
    threads = 1 if threads is None else threads
    check_range('threads', threads, 0, LARGEST_THREADS)
    import torch

    if threads:
        torch.set_num_threads(threads)
