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

"""Rays and distances against shapely, and against walking along the rays in small steps."""

import math

from diffusion_policy_ros.sim.base.geometry import cast_rays, closed_outline, distance_to
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

SQUARE = closed_outline(((-1, -1), (1, -1), (1, 1), (-1, 1)))


def any_segments(seed, count=6):
    """Return segments of any direction, float64 (count, 2, 2)."""
    return np.random.default_rng(seed).uniform(-3, 3, (count, 2, 2))


def test_the_middle_of_a_square_sees_its_sides_and_corners():
    angles = np.arange(8) * math.pi / 4
    assert cast_rays((0, 0), angles, SQUARE) == pytest.approx([1, 2**0.5] * 4)
    assert cast_rays((0.5, 0), [0, math.pi], SQUARE) == pytest.approx([0.5, 1.5])


def test_nothing_is_behind_a_ray_or_beside_a_wall():
    wall = np.array([[[1.0, -1.0], [1.0, 1.0]]])
    assert cast_rays((0, 0), [math.pi, 1.0, math.pi / 2], wall).tolist() == [math.inf] * 3
    assert cast_rays((0, 0), [0.0], np.zeros((0, 2, 2))).tolist() == [math.inf]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), x=st.floats(-2, 2), y=st.floats(-2, 2))
def test_rays_end_where_shapely_finds_the_first_crossing(seed, x, y):
    shapely = pytest.importorskip('shapely')
    segments, angles = any_segments(seed), np.linspace(0, 6, 12)
    walls = shapely.MultiLineString(list(segments))
    for angle, found in zip(angles, cast_rays((x, y), angles, segments)):
        end = (x + 20 * math.cos(angle), y + 20 * math.sin(angle))
        crossing = shapely.LineString([(x, y), end]).intersection(walls)
        wanted = math.inf if crossing.is_empty else crossing.distance(shapely.Point(x, y))
        assert found == pytest.approx(wanted, abs=1e-6)


def test_walking_along_a_ray_meets_the_wall_at_its_end():
    segments, angles = any_segments(3), np.linspace(0, 2 * math.pi, 90, endpoint=False)
    step = 0.001
    for angle, found in zip(angles, cast_rays((0.2, -0.1), angles, segments)):
        walk = np.arange(0, min(found, 6.0) - 2 * step, step)
        points = np.stack([0.2 + walk * math.cos(angle), -0.1 + walk * math.sin(angle)], axis=1)
        # Both ends of no small step are on different sides of any segment.
        sides = segments[:, 1] - segments[:, 0]
        away = points[:, None] - segments[None, :, 0]
        along = (away * sides).sum(-1) / np.square(sides).sum(-1)
        side = np.sign(sides[:, 0] * away[..., 1] - sides[:, 1] * away[..., 0])
        crossed = (side[1:] != side[:-1]) & (along[1:] > 0.001) & (along[1:] < 0.999)
        assert not crossed.any()
        if np.isfinite(found):
            end = (0.2 + found * math.cos(angle), -0.1 + found * math.sin(angle))
            assert distance_to(end, segments) == pytest.approx(0, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), x=st.floats(-4, 4), y=st.floats(-4, 4))
def test_distances_are_those_of_shapely(seed, x, y):
    shapely = pytest.importorskip('shapely')
    segments = any_segments(seed)
    wanted = shapely.MultiLineString(list(segments)).distance(shapely.Point(x, y))
    assert distance_to((x, y), segments) == pytest.approx(wanted, abs=1e-9)
