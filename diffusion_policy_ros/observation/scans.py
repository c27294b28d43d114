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

"""Scans of a lidar, read as the float32 distances that the contract names."""

from diffusion_policy_ros.errors import DecodeError
import numpy as np


def decode_laser_scan(message, stream):
    """
    Read a LaserScan; each name is the nearest of an equal share of the ranges, in their order.

    ``inf`` (nothing hit) is read as ``range_max`` and ``-inf`` (too near to measure) as
    ``range_min``, as REP 117 defines them. Angles and intensities are not read.

    :param message: A ``sensor_msgs/msg/LaserScan`` of any message class.
    :param stream: ObservationStream; ``names`` has one name per range, or per share of them.
    :return: float32 ``(D,)``, m, in [``range_min``, ``range_max``].
    :raises DecodeError: for a number of ranges that the names do not divide, for NaN, for a
        finite range below ``range_min``, and for limits that are none.
    """
    low, high = _limits(message, stream)
    ranges = np.array(message.ranges, dtype=np.float32)
    if not len(ranges) or len(ranges) % len(stream.names):
        raise DecodeError(f'topic {stream.topic}: the scan holds {len(ranges)} ranges, the '
                          f'contract names {len(stream.names)}; write one name for each range, '
                          'or for each of equally large shares of them')
    refused = np.isnan(ranges) | (np.isfinite(ranges) & (ranges < low))
    if refused.any():
        first = int(refused.argmax())
        raise DecodeError(f'topic {stream.topic}: range {first} of the scan is '
                          f'{float(ranges[first]):g}, which is no distance from range_min '
                          f'{float(low):g} on; let the driver write inf where nothing was hit, '
                          '-inf where something was too near')
    return np.clip(ranges, low, high).reshape(len(stream.names), -1).min(axis=1)


def _limits(message, stream):
    """Return the shortest and the longest distance that the lidar measures, float32."""
    with np.errstate(over='ignore'):
        low, high = np.float32(message.range_min), np.float32(message.range_max)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise DecodeError(f'topic {stream.topic}: the scan measures from range_min {float(low):g} '
                          f'to range_max {float(high):g}; both must be finite, the first one '
                          'smaller: the driver must fill them')
    return low, high
