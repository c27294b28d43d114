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

"""Windows are what a slow, obvious loop over the rows would cut."""

from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.errors import DatasetError
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest


def slow_window(arrays, ends, row, n_obs_steps, horizon):
    """Cut one window the obvious way: clamp each row to the episode."""
    episode = next(e for e, end in enumerate(ends) if row < end)
    first, last = (ends[episode - 1] if episode else 0), ends[episode] - 1
    obs = [min(max(row + k, first), last) for k in range(1 - n_obs_steps, 1)]
    wanted = [row + k for k in range(1 - n_obs_steps, 1 - n_obs_steps + horizon)]
    chunk = [min(max(k, first), last) for k in wanted]
    return {key: [array[k] for k in (chunk if key == 'action' else obs)]
            for key, array in arrays.items()}


def make(lengths):
    """Make arrays whose values name their rows."""
    rows = sum(lengths)
    number = np.arange(rows)
    return {'observation.state': np.stack([number, -number], 1).astype(np.float32),
            'observation.images.camera': np.tile(
                (number % 256).astype(np.uint8)[:, None, None, None], (1, 2, 3, 3)),
            'action': number[:, None].astype(np.float32)}, np.cumsum(lengths)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 4),
       st.integers(0, 16), st.data())
def test_windows_equal_a_slow_loop(lengths, n_obs_steps, extra, data):
    """Any episodes, any sizes, any rows in any order."""
    arrays, ends = make(lengths)
    horizon = n_obs_steps + extra
    windows = TrainingWindows(arrays, ends, n_obs_steps=n_obs_steps, horizon=horizon)
    indices = data.draw(st.lists(st.integers(0, len(windows) - 1), min_size=1, max_size=8))
    found = windows.gather(np.array(indices))
    for position, row in enumerate(indices):
        wanted = slow_window(arrays, ends, row, n_obs_steps, horizon)
        assert set(wanted) == set(found)
        for key, value in wanted.items():
            assert np.array_equal(found[key][position], value), key
    for key, array in arrays.items():
        assert found[key].dtype == array.dtype and type(found[key]) is np.ndarray


def test_the_action_of_the_newest_observation_sits_at_n_obs_steps_minus_one():
    """The convention that every checkpoint relies on."""
    arrays, ends = make([10])
    found = TrainingWindows(arrays, ends, n_obs_steps=2, horizon=4).gather([5])
    assert found['observation.state'][0, :, 0].tolist() == [4, 5]
    assert found['action'][0, :, 0].tolist() == [4, 5, 6, 7]


def test_every_row_has_a_window():
    """Those at the edges too."""
    arrays, ends = make([10, 3, 9])
    windows = TrainingWindows(arrays, ends, n_obs_steps=1, horizon=8)
    assert windows.rows().tolist() == list(range(22))
    assert len(windows) == 22


def test_a_gathered_window_can_be_changed_without_harm(tmp_path):
    """Even when it was cut out of a read-only memory map."""
    arrays, ends = make([5])
    np.save(tmp_path / 'action.npy', arrays['action'])
    mapped = np.load(tmp_path / 'action.npy', mmap_mode='r')
    windows = TrainingWindows({'action': mapped}, ends, n_obs_steps=1, horizon=2)
    windows.gather([0])['action'][:] = 99
    assert windows.gather([0])['action'].tolist() == [[[0], [1]]]


@pytest.mark.parametrize('change, match', [
    ({'n_obs_steps': 0}, '1 <= n_obs_steps <= horizon'),
    ({'horizon': 1}, '1 <= n_obs_steps <= horizon'),
    ({'episode_ends': [4, 4, 10]}, 'must increase'),
    ({'episode_ends': []}, 'must increase'),
    ({'episode_ends': [4, 9]}, 'has 10 rows, the episodes have 9'),
    ({'arrays': {}}, "no 'action'"),
])
def test_sizes_that_do_not_fit_are_refused(change, match):
    """One sentence each."""
    arrays, ends = make([4, 6])
    asked = {'arrays': arrays, 'episode_ends': ends, 'n_obs_steps': 2, 'horizon': 4, **change}
    with pytest.raises(DatasetError, match=match):
        TrainingWindows(asked.pop('arrays'), asked.pop('episode_ends'), **asked)


@pytest.mark.parametrize('row', [4, -1])
def test_a_row_that_does_not_exist_is_refused(row):
    """Negative rows do not count from the end."""
    arrays, ends = make([4])
    with pytest.raises(IndexError):
        TrainingWindows(arrays, ends, n_obs_steps=1, horizon=1).gather([row])
