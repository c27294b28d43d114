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

"""Pictures of the cameras of a MuJoCo model, drawn off-screen."""

import atexit
from contextlib import suppress
import weakref

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.engine import mujoco, NO_EGL
from OpenGL.error import EGLError

# Renderers must be closed before Python, at its end, takes OpenGL away from under them.
_open_renderers = weakref.WeakSet()


class Pictures:
    """
    Draws what cameras see; one renderer for each size of picture, made when first wanted.

    OpenGL belongs to a thread: draw always from the same one.
    """

    def __init__(self, model, cameras):
        """
        Remember what is to be drawn.

        :param model: The ``mujoco.MjModel``; it has a camera for each name.
        :param cameras: Dict of name -> ``Camera``.
        """
        self._model = model
        self._cameras = cameras
        self._renderers = {}

    def draw(self, data, name):
        """
        Draw what a camera sees.

        :param data: The ``mujoco.MjData`` with the state to draw.
        :param name: Name of the camera.
        :return: RGB, uint8 ``(height, width, 3)``.
        :raises ConfigError: for an unknown camera; naming what to install, where MuJoCo cannot
            draw.
        """
        if name not in self._cameras:
            raise ConfigError(f'the robot has no camera {name!r}; it has: '
                              f'{", ".join(self._cameras) or "none"}')
        camera = self._cameras[name]
        size = (camera.height, camera.width)
        if size not in self._renderers:
            self._renderers[size] = _make_renderer(self._model, *size)
        renderer = self._renderers[size]
        renderer.update_scene(data, name)
        return renderer.render()

    def close(self):
        """Give the renderers' memory back."""
        while self._renderers:
            _close(self._renderers.popitem()[1])


class _Renderer(mujoco.Renderer):
    """
    A renderer whose end, by ``close`` or by being forgotten, leaves the others alone.

    MuJoCo deletes textures and frame buffers by their numbers, which count anew in each OpenGL
    context, in the one that is current: without this, in that of whichever renderer drew last.
    """

    def close(self):
        if self._gl_context:
            self._gl_context.make_current()
        super().close()


def _make_renderer(model, height, width):
    """Make a renderer, or say what is missing."""
    try:
        renderer = _Renderer(model, height, width)
    except (AttributeError, ImportError, RuntimeError, mujoco.FatalError) as error:
        raise ConfigError(NO_EGL.format(reason=error)) from error
    if not _open_renderers:
        atexit.register(_close_all)  # after that of MuJoCo's EGL, so it runs before it
    _open_renderers.add(renderer)
    return renderer


def _close_all():
    """Close the renderers that are still there."""
    for renderer in list(_open_renderers):
        _close(renderer)


def _close(renderer):
    """Close a renderer; where EGL was ended before, by somebody else, its memory is gone too."""
    with suppress(EGLError):
        renderer.close()
