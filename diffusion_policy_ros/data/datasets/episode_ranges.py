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

"""Numbers of episodes as a person writes them, such as ``3,5-7``."""

from collections import Counter

# More would be a slip of the keyboard, not a dataset.
MAX_EPISODES = 10_000_000


def parse_episodes(text) -> list:
    """
    Read a list of episode numbers.

    :param text: Numbers and ranges that include their ends, such as ``3,5-7``.
    :return: The numbers in the order in which they are written.
    :raises ValueError: naming the part that is none, or a number that is there twice.
    """
    found = []
    for part in text.split(','):
        first, dash, last = part.strip().partition('-')
        last = last if dash else first
        is_whole = all(end.isascii() and end.isdigit() and len(end) < 9 for end in (first, last))
        if not is_whole or not int(first) <= int(last) < MAX_EPISODES:
            raise ValueError(f'episodes {text!r}: {part.strip()!r} is no number and no range such '
                             'as 5-7')
        found += range(int(first), int(last) + 1)
    twice = next((number for number, times in Counter(found).items() if times > 1), None)
    if twice is not None:
        raise ValueError(f'episodes {text!r}: episode {twice} is named twice')
    return found


def episode_ranges(numbers) -> str:
    """
    Write numbers of episodes as ``dpr edit`` takes them, such as ``3,5-7``.

    :param numbers: The numbers, ascending.
    """
    runs = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ','.join(f'{first}' if first == last else f'{first}-{last}' for first, last in runs)
