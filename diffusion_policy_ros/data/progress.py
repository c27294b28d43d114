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

"""How far a long act is: a bar on a terminal, a line now and then where output goes elsewhere."""

import sys
import time

from tqdm import tqdm

BAR_FORMAT = '{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}'
# A log is not filled by it, and nobody takes the program for dead.
LINE_EVERY_S = 30.0


def progress_bar(name, total, initial=0, is_shown=True):
    """
    Return what shows progress on stderr, as a context manager with ``update(more)`` and ``n``.

    The bar is wiped at the end.

    :param name: What is done, such as ``converting``.
    :param total: How much there is to do.
    :param initial: How much was done before.
    :param is_shown: False shows nothing.
    """
    if is_shown and not sys.stderr.isatty():
        return _Lines(name, total, initial)
    return tqdm(total=total, initial=initial, desc=name, bar_format=BAR_FORMAT, leave=False,
                disable=not is_shown)


class _Lines:
    """
    Prints a line now and then.

    :ivar n: How much is done.
    """

    def __init__(self, name, total, initial):
        self.n = initial
        self._name, self._total = name, total
        self._begin_s = self._told_s = time.monotonic()

    def update(self, more=1):
        """Count what was done."""
        self.n += more
        now_s = time.monotonic()
        if now_s - self._told_s >= LINE_EVERY_S:
            self._told_s = now_s
            print(f'{self._name}: {100 * self.n / self._total:.0f} % after '
                  f'{now_s - self._begin_s:.0f} s', file=sys.stderr, flush=True)

    def __enter__(self):
        """Return itself."""
        return self

    def __exit__(self, *error):
        """Leave the last line as it is."""
