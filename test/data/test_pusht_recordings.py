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

"""Demonstrations are read in robot units; wrong paths and numbers are named."""

from diffusion_policy_ros.data.pusht_recordings import METRES_PER_PIXEL, Recordings
from diffusion_policy_ros.errors import ConfigError, DatasetError
import numpy as np
import pytest

zarr = pytest.importorskip('zarr')


def _write(path, *, columns=5):
    """Write a buffer of two demonstrations with 3 and 2 rows."""
    group = zarr.open_group(str(path), mode='w', zarr_format=2)
    state = np.arange(5 * columns, dtype=np.float32).reshape(5, columns)
    group.create_array('data/state', data=state)
    group.create_array('data/action', data=np.arange(10, dtype=np.float32).reshape(5, 2))
    group.create_array('meta/episode_ends', data=np.array([3, 5]))
    return path


def test_a_demonstration_is_its_start_and_its_actions_in_metres(tmp_path):
    recordings = Recordings(_write(tmp_path / 'two.zarr'))
    assert len(recordings) == 2
    start, actions = recordings.demonstration(1)
    np.testing.assert_allclose(start, [0.015, 0.016, 0.017, 0.018, 19.0])
    np.testing.assert_allclose(actions, [[0.006, 0.007], [0.008, 0.009]])
    with pytest.raises(DatasetError, match='no episode 2; it has 0 to 1'):
        recordings.demonstration(2)


def test_the_recordings_and_the_simulated_table_have_one_scale():
    pytest.importorskip('pymunk')
    from diffusion_policy_ros.sim import pusht
    assert METRES_PER_PIXEL == pusht.METRES_PER_PIXEL


def test_a_folder_that_is_no_buffer_is_refused(tmp_path):
    with pytest.raises(DatasetError, match='cannot replay .*nowhere'):
        Recordings(tmp_path / 'nowhere')
    with pytest.raises(DatasetError, match=r'cannot replay .*data/state has shape \(5, 4\), '
                       r'expected \(5, 5\)'):
        Recordings(_write(tmp_path / 'narrow.zarr', columns=4))


@pytest.fixture
def twelve(tmp_path):
    """Write a buffer of twelve demonstrations with one row each."""
    group = zarr.open_group(str(tmp_path / 'twelve.zarr'), mode='w', zarr_format=2)
    group.create_array('data/state', data=np.zeros((12, 5), np.float32))
    group.create_array('data/action', data=np.zeros((12, 2), np.float32))
    group.create_array('meta/episode_ends', data=np.arange(1, 13))
    return Recordings(tmp_path / 'twelve.zarr')


def test_numbers_and_ranges_are_read_in_order(twelve):
    assert twelve.numbers('0-3, 9,7') == [0, 1, 2, 3, 9, 7]
    assert twelve.numbers('11-11,0,0') == [11, 0, 0]


@pytest.mark.parametrize('text', [
    '', 'all', '1,,2', '1-x', '-3', '1-', '5-1', '12', '0-12', '0-999999999999', '9' * 5000,
    '1_0', '\u0663'])
def test_other_texts_are_refused_with_what_is_possible(twelve, text):
    with pytest.raises(ConfigError, match=r'means no demonstration of .*twelve.zarr; write '
                       r'numbers from 0 to 11 and rising ranges, for example 0-9'):
        twelve.numbers(text)


def test_a_demonstration_that_no_robot_can_play_is_refused(tmp_path):
    path = _write(tmp_path / 'two.zarr')
    zarr.open_group(str(path), mode='r+', zarr_format=2)['data/action'][3:] = np.nan
    with pytest.raises(DatasetError, match='demonstration 1 of .*two.zarr holds numbers that are '
                       'not finite'):
        Recordings(path).demonstration(1)
