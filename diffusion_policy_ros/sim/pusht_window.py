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

"""A window on the Push-T table in which a person demonstrates with the mouse."""

import os

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.pusht import METRES_PER_PIXEL
from diffusion_policy_ros.sim.pusht_picture import TABLE_PX
import numpy as np
import pygame

HIDDEN_DRIVERS = ('dummy', 'offscreen')


class TableWindow:
    """
    Shows the table; tells where the mouse points and which keys were pressed.

    :ivar is_closed: Whether the person closed the window.
    """

    def __init__(self):
        """
        Open the window.

        :raises ConfigError: if there is no display.
        """
        self.is_closed = False
        try:
            pygame.display.init()
            self._screen = pygame.display.set_mode((TABLE_PX, TABLE_PX))
        except pygame.error as error:
            raise ConfigError(f'no window can be opened: {error}. {_remedy()}') from error
        # Without a display SDL falls back to a window that nobody can see.
        if pygame.display.get_driver() in HIDDEN_DRIVERS and 'SDL_VIDEODRIVER' not in os.environ:
            pygame.display.quit()
            raise ConfigError(f'no window can be opened: there is no display. {_remedy()}')

    def show(self, picture, title):
        """
        Show a picture.

        :param picture: uint8 ``(512, 512, 3)``, RGB.
        :param title: Text for the title bar.
        """
        pygame.surfarray.blit_array(self._screen, np.swapaxes(picture, 0, 1))
        pygame.display.set_caption(title)
        pygame.display.flip()

    def pressed_keys(self):
        """Return the keys pressed since the last call, as lower-case letters, in order."""
        keys = []
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                self.is_closed = True
            elif event.type == pygame.KEYDOWN:
                keys.append(pygame.key.name(event.key))
        return keys

    def mouse_target(self):
        """Return x, y in m under the mouse while its left button is held, otherwise None."""
        if not pygame.mouse.get_pressed()[0]:
            return None
        return np.array(pygame.mouse.get_pos(), dtype=np.float64) * METRES_PER_PIXEL

    def close(self):
        """Close the window."""
        pygame.display.quit()


def _remedy():
    """Say what to do without a display."""
    return ('Start it in a graphical session (DISPLAY or WAYLAND_DISPLAY set), or leave the view '
            'off')
