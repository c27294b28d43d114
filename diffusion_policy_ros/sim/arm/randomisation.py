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

"""Domain randomisation: each episode looks and slides a little differently from the last one."""

import numpy as np

# Shares by which things differ from their description, each way.
COLOUR, BRIGHTNESS, FRICTION, MASS = 0.15, 0.3, 0.2, 0.2
LIGHT_TILT = 0.3  # of the light's direction, each way, in units of its length
CAMERA_M, CAMERA_RAD = 0.005, 0.015


class Randomisation:
    """
    Draws colours, light, camera poses, friction and masses around those of the description.

    Tobin et al. 2017 (arXiv:1703.06907): a policy that has seen many appearances takes the real
    one for another of them.
    """

    def __init__(self, arm):
        """
        Remember what is described.

        :param arm: The ``Arm``, whose model is changed by ``draw``.
        """
        self._mj = arm.model.mj
        self._bodies = [self._mj.body(name).id for name in arm.model.movable]
        self._plain = {name: getattr(self._mj, name).copy() for name in (
            'geom_rgba', 'geom_friction', 'light_diffuse', 'light_dir', 'cam_pos', 'cam_quat',
            'body_mass', 'body_inertia')}

    def draw(self, rng):
        """
        Change the model; what was drawn before is forgotten.

        :param rng: ``numpy.random.Generator``.
        """
        mj, plain = self._mj, self._plain

        def around(values, share, shape):
            return values * rng.uniform(1 - share, 1 + share, shape)

        rows = len(plain['geom_rgba'])
        mj.geom_rgba[:, :3] = np.clip(around(plain['geom_rgba'][:, :3], COLOUR, (rows, 3)), 0, 1)
        mj.geom_friction[:] = around(plain['geom_friction'], FRICTION, (rows, 1))
        lights = len(plain['light_dir'])
        mj.light_diffuse[:] = np.clip(
            around(plain['light_diffuse'], BRIGHTNESS, (lights, 1)), 0, 1)
        tilted = plain['light_dir'] + rng.uniform(-LIGHT_TILT, LIGHT_TILT, (lights, 3))
        mj.light_dir[:] = tilted / np.linalg.norm(tilted, axis=1, keepdims=True)
        cameras = len(plain['cam_pos'])
        mj.cam_pos[:] = plain['cam_pos'] + rng.uniform(-CAMERA_M, CAMERA_M, (cameras, 3))
        turned = plain['cam_quat'].copy()  # small angles: half of them in the vector part
        turned += rng.uniform(-CAMERA_RAD / 2, CAMERA_RAD / 2, turned.shape)
        mj.cam_quat[:] = turned / np.linalg.norm(turned, axis=1, keepdims=True)
        for body in self._bodies:
            factor = rng.uniform(1 - MASS, 1 + MASS)
            mj.body_mass[body] = factor * plain['body_mass'][body]
            mj.body_inertia[body] = factor * plain['body_inertia'][body]
