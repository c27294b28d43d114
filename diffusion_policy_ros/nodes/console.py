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

"""Output that never waits: a terminal that is stopped must not stop the robot's brakes with it."""

import faulthandler
import fcntl
import os
import sys
import threading

# What is not read within this time at the end is lost, s.
LAST_WORDS_S = 1.0
OUTPUTS = (1, 2)


class Console:
    """
    Takes over standard output and error of the process, and passes them on in threads.

    Ctrl-S in a terminal, or a pipe that nobody reads, blocks whoever writes to it, be it the
    thread that sends commands. Here what does not fit into a pipe any more is dropped instead.
    """

    def __enter__(self):
        """Put pipes in place of the outputs."""
        # A pipe is no terminal; colours are kept where there were some.
        os.environ.setdefault('RCUTILS_COLORIZED_OUTPUT', str(int(os.isatty(2))))
        _flush()
        self._threads, self._originals = [], [os.dup(number) for number in OUTPUTS]
        faulthandler.enable(self._originals[1])  # a crash takes the threads with it
        for number, original in zip(OUTPUTS, self._originals):
            reader, writer = os.pipe()
            fcntl.fcntl(writer, fcntl.F_SETFL, os.O_NONBLOCK)
            os.dup2(writer, number)
            os.close(writer)
            thread = threading.Thread(target=_pass_on, args=(reader, original), daemon=True,
                                      name='console')
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *error):
        """Put the outputs back, when what was written has been read."""
        _flush()
        faulthandler.disable()
        for number, original in zip(OUTPUTS, self._originals):
            os.dup2(original, number)
        for thread in self._threads:
            thread.join(LAST_WORDS_S)


def _flush():
    """Let go of what Python still holds."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:  # nobody reads it
            pass


def _pass_on(reader, original):
    """Copy what comes, until nobody can write any more; after an error throw it away."""
    is_open = True
    while chunk := os.read(reader, 65536):
        while chunk and is_open:
            try:
                chunk = chunk[os.write(original, chunk):]
            except BlockingIOError:  # one that does not wait either
                break
            except OSError:  # the terminal is gone
                is_open = False
    os.close(reader)
