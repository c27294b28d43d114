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

"""The window reads keys and mouse, and says clearly when there is no display."""

import os
import subprocess
import sys

from diffusion_policy_ros.sim.pusht_window import TableWindow
import numpy as np
import pygame
import pytest


@pytest.fixture
def window(monkeypatch):
    """Open a window that SDL keeps in memory."""
    monkeypatch.setenv('SDL_VIDEODRIVER', 'dummy')
    window = TableWindow()
    yield window
    window.close()


def test_keys_are_read_once_and_in_order(window):
    for key in (pygame.K_r, pygame.K_s):
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))
    assert window.pressed_keys() == ['r', 's']
    assert window.pressed_keys() == []
    assert not window.is_closed
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    window.pressed_keys()
    assert window.is_closed


def test_the_mouse_points_only_while_its_button_is_held(window, monkeypatch):
    monkeypatch.setattr(pygame.mouse, 'get_pos', lambda: (100, 400))
    assert window.mouse_target() is None
    monkeypatch.setattr(pygame.mouse, 'get_pressed', lambda: (True, False, False))
    np.testing.assert_allclose(window.mouse_target(), [0.1, 0.4])


def test_a_picture_is_shown_upright(window):
    picture = np.zeros((512, 512, 3), dtype=np.uint8)
    picture[10, 20] = (1, 2, 3)
    window.show(picture, 'title')
    assert pygame.display.get_surface().get_at((20, 10))[:3] == (1, 2, 3)
    assert pygame.display.get_caption()[0] == 'title'


def test_without_a_display_the_remedy_is_said():
    """In a process of its own: SDL ends EGL for all others in it when it has looked for one."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('SDL_VIDEODRIVER', 'DISPLAY', 'WAYLAND_DISPLAY')}
    done = subprocess.run(
        [sys.executable, '-c', 'from diffusion_policy_ros.sim.pusht_window import TableWindow; '
         'TableWindow()'], env=environment, capture_output=True, text=True, timeout=60)
    last = done.stderr.splitlines()[-1]
    assert 'ConfigError: no window can be opened' in last and 'leave the view off' in last
