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

"""Distances in the plane, exactly: along rays, and from a point to segments."""

import numpy as np

# Rays this nearly parallel to a wall pass it by; where they graze one, its ends decide.
PARALLEL = 1e-12


def closed_outline(corners) -> np.ndarray:
    """
    Return the sides of a polygon.

    :param corners: Its corners in order, float64 (N, 2), m.
    :return: float64 (N, 2, 2): of each side its first and its last point.
    """
    corners = np.asarray(corners, dtype=np.float64)
    return np.stack([corners, np.roll(corners, -1, axis=0)], axis=1)


def cast_rays(origin, angles, segments) -> np.ndarray:
    """
    Return how far rays go until they hit a segment.

    With the ray ``o + t d`` and the segment ``a + u e``, Cramer's rule gives
    ``t = (a - o) x e / (d x e)`` and ``u = (a - o) x d / (d x e)``; it is hit for ``t >= 0`` and
    u in [0, 1].

    :param origin: Where all rays begin, x and y, m.
    :param angles: Directions, rad, float64 (K,), counted from x towards y.
    :param segments: float64 (N, 2, 2), m.
    :return: float64 (K,), m; inf where nothing is hit.
    """
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=-1)[:, None]  # (K, 1, 2)
    sides = (segments[:, 1] - segments[:, 0])[None]  # (1, N, 2)
    away = (segments[:, 0] - np.asarray(origin))[None]  # (1, N, 2)
    turn = _cross(rays, sides)  # (K, N)
    is_crossing = np.abs(turn) > PARALLEL
    turn = np.where(is_crossing, turn, 1.0)
    distance, share = _cross(away, sides) / turn, _cross(away, rays) / turn
    is_hit = is_crossing & (distance >= 0) & (share >= 0) & (share <= 1)
    return np.where(is_hit, distance, np.inf).min(axis=1, initial=np.inf)


def distance_to(point, segments) -> float:
    """
    Return the distance from a point to the nearest segment.

    :param point: x and y, m.
    :param segments: float64 (N, 2, 2), N at least 1, no segment without length, m.
    :return: m.
    """
    sides = segments[:, 1] - segments[:, 0]
    away = np.asarray(point) - segments[:, 0]
    share = np.clip((away * sides).sum(axis=1) / np.square(sides).sum(axis=1), 0.0, 1.0)
    return float(np.sqrt(np.square(away - share[:, None] * sides).sum(axis=1).min()))


def _cross(a, b):
    """Return the third entry of the cross product."""
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
