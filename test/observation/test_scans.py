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

"""Scans of a lidar against numbers written down by hand, and against whatever a driver sends."""

from array import array
from types import SimpleNamespace as Fields

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.streams import ObservationStream
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

INF, NAN = float('inf'), float('nan')


def stream(count):
    return ObservationStream(key='observation.state', topic='scan', type=ros.LASER_SCAN,
                             max_age_ms=100.0, names=tuple(f'beam_{k}' for k in range(count)))


def scan(ranges, range_min=0.5, range_max=10.0):
    return Fields(ranges=array('f', ranges), range_min=range_min, range_max=range_max)


def test_ranges_are_read_in_the_order_of_the_beams():
    got = decode(scan([1.0, 2.5, 0.5, 10.0]), stream(4))
    assert got.dtype == np.float32
    assert got.tolist() == [1.0, 2.5, 0.5, 10.0]


def test_what_hit_nothing_is_as_far_as_the_lidar_sees_and_what_is_too_near_as_near():
    assert decode(scan([INF, 1.0, -INF, 12.0]), stream(4)).tolist() == [10.0, 1.0, 0.5, 10.0]


def test_a_name_for_several_ranges_gets_the_nearest_of_its_share():
    message = scan([4.0, 3.0, INF, 5.0, 6.0, -INF, INF, INF, INF])
    assert decode(message, stream(3)).tolist() == [3.0, 0.5, 10.0]


@pytest.mark.parametrize('bad, shown', [(NAN, 'nan'), (0.0, '0'), (0.4, '0.4'), (-1.0, '-1')])
def test_what_is_no_distance_is_refused_with_a_remedy(bad, shown):
    with pytest.raises(DecodeError, match=f'topic scan: range 1 of the scan is {shown}, .*'
                                          'range_min 0.5 .* write inf where nothing was hit'):
        decode(scan([1.0, bad, 2.0]), stream(3))


@pytest.mark.parametrize('count, names', [(0, 1), (5, 2), (2, 3)])
def test_a_number_of_ranges_that_the_names_do_not_divide_is_refused(count, names):
    with pytest.raises(DecodeError, match=f'the scan holds {count} ranges, the contract names '
                                          f'{names}'):
        decode(scan([1.0] * count), stream(names))


@pytest.mark.parametrize('limits', [(0.0, 0.0), (2.0, 1.0), (0.0, INF), (NAN, 1.0), (0.0, 1e300)])
def test_limits_that_the_driver_left_out_are_refused(limits):
    with pytest.raises(DecodeError, match='the driver must fill them'):
        decode(scan([1.0], *limits), stream(1))


@given(ranges=st.lists(st.floats(width=32), max_size=12), names=st.integers(1, 4),
       low=st.floats(width=32), high=st.floats(width=32))
@settings(max_examples=300, deadline=None)
def test_any_scan_is_within_its_limits_or_refused(ranges, names, low, high):
    _check_any(scan(ranges, low, high), names)


@given(ranges=st.lists(st.one_of(st.floats(0.5, 20.0, width=32), st.sampled_from([INF, -INF])),
                       min_size=12, max_size=12), names=st.sampled_from([1, 2, 3, 4, 6, 12]))
@settings(max_examples=100, deadline=None)
def test_every_scan_as_rep_117_defines_it_is_read(ranges, names):
    got = _check_any(scan(ranges), names)
    shares = np.array_split(np.array(ranges), names)
    assert got.tolist() == [np.float32(min(max(share.min(), 0.5), 10.0)) for share in shares]


def _check_any(message, names):
    """Return the distances if the scan is read; they are in its limits."""
    try:
        got = decode(message, stream(names))
    except DecodeError as error:
        assert str(error).startswith('topic scan: ')
        return None
    assert got.shape == (names,) and np.isfinite(got).all()
    assert (np.float32(message.range_min) <= got).all()
    assert (got <= np.float32(message.range_max)).all()
    return got
