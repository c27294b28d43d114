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

"""Domain randomisation: within its shares, the same for a seed, and gone without a trace."""

from diffusion_policy_ros.sim.arm.randomisation import (
    BRIGHTNESS, CAMERA_M, CAMERA_RAD, COLOUR, FRICTION, MASS, Randomisation)
import numpy as np
import pytest

FIELDS = ('geom_rgba', 'geom_friction', 'light_diffuse', 'light_dir', 'cam_pos', 'cam_quat',
          'body_mass', 'body_inertia')


@pytest.fixture
def drawn(built_arm):
    """Return a function that draws by a seed and returns the changed fields; undone at the end."""
    mj, plain = built_arm.model.mj, {}
    for name in FIELDS:
        plain[name] = getattr(mj, name).copy()
    randomisation = Randomisation(built_arm)

    def draw(seed):
        randomisation.draw(np.random.default_rng(seed))
        return {name: getattr(mj, name).copy() for name in FIELDS}

    yield plain, draw
    for name, values in plain.items():
        getattr(mj, name)[:] = values


def test_everything_differs_and_stays_within_its_share(drawn):
    plain, draw = drawn
    for seed in range(50):
        now = draw(seed)
        for name, share in (('geom_friction', FRICTION), ('light_diffuse', BRIGHTNESS),
                            ('body_mass', MASS), ('body_inertia', MASS)):
            assert (np.abs(now[name] - plain[name]) <= share * plain[name] + 1e-9).all()
            assert not np.array_equal(now[name], plain[name])
        assert (np.abs(now['geom_rgba'] - plain['geom_rgba']) <= COLOUR + 1e-6).all()
        shifts = np.abs(now['cam_pos'] - plain['cam_pos'])
        assert 0 < shifts.max() <= CAMERA_M
        assert np.linalg.norm(shifts, axis=1).max() < 0.0087
        turns = 2 * np.arccos(np.clip(np.abs((now['cam_quat'] * plain['cam_quat']).sum(1)), 0, 1))
        assert 0 < turns.max() < 2 * CAMERA_RAD < np.radians(1.75)
        for name in ('light_dir', 'cam_quat'):
            np.testing.assert_allclose(np.linalg.norm(now[name], axis=1), 1.0, atol=1e-6)


def test_a_draw_depends_on_its_seed_alone(drawn):
    _, draw = drawn
    first = draw(7)
    draw(8)
    again = draw(7)
    for name in FIELDS:
        np.testing.assert_array_equal(again[name], first[name])


def test_the_robot_keeps_its_masses_and_pictures_change(drawn, built_arm):
    plain, draw = drawn
    built_arm.reset()
    before = built_arm.picture('scene_camera').astype(int)
    now = draw(1)
    changed = {built_arm.model.mj.body(int(body)).name
               for body in np.flatnonzero(now['body_mass'] != plain['body_mass'])}
    assert changed == {'cube'}
    assert np.abs(built_arm.picture('scene_camera').astype(int) - before).mean() > 2
