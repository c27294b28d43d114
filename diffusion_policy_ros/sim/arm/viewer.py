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
"""A window in which a person watches the simulated arm."""

import re
import threading
import warnings

from diffusion_policy_ros.errors import ConfigError
import glfw
import mujoco.viewer

REMEDY = ('start it where there is a screen and DISPLAY or WAYLAND_DISPLAY names it (over SSH: '
          'ssh -X), or set viewer to false; the pictures of its cameras need no screen')
CLOSED_S = 10.0


class Viewer:
    """MuJoCo's own window, which draws in a thread of its own."""

    def __init__(self, arm):
        """
        Open the window.

        :param arm: The ``Arm``, which shares its model with no other.
        :raises ConfigError: naming the reason and the remedy, if no window can be opened.
        """
        # MuJoCo opens it in a thread, waits for that, and would wait for ever if it cannot.
        reason = why_no_window()
        if reason:
            raise ConfigError(f'no window can be opened: {reason}; {REMEDY}')
        before = set(threading.enumerate())
        try:
            self._window = mujoco.viewer.launch_passive(arm.model.mj, arm.data)
        except RuntimeError as error:  # on macOS it must be run by mjpython
            raise ConfigError(f'no window can be opened: {error}; {REMEDY}') from error
        self._threads = [thread for thread in threading.enumerate() if thread not in before]

    @property
    def is_closed(self) -> bool:
        """Tell whether the person closed the window."""
        return not self._window.is_running()

    def show(self):
        """Show the present state; nobody may change it meanwhile."""
        self._window.sync()

    def close(self):
        """Close the window; return when it is gone."""
        self._window.close()
        # A process that ends while they still take it down is ended by the operating system.
        for thread in self._threads:
            thread.join(CLOSED_S)


def why_no_window() -> str:
    """Open a window that nobody sees; return why that is not possible, nothing where it is."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter('always')
        is_open = False
        if glfw.init():
            glfw.window_hint(glfw.VISIBLE, glfw.FALSE)
            is_open = bool(glfw.create_window(64, 64, '', None, None))
            glfw.terminate()
    # Each is a number and the bytes of a text.
    words = [re.sub(r"^\(\d+\) b'(.*)'$", r'\1', str(warning.message)) for warning in told]
    return '' if is_open else '; '.join(dict.fromkeys(words)) or 'GLFW gives no reason'
