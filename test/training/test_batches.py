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

"""Batches are the same wherever they are cut, in the order in which they are asked for."""

import itertools
import threading

from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.training.batches import Batches
import numpy as np
import pytest
import torch

CPU = torch.device('cpu')
ROWS = 20


def windows(**more):
    """Cut windows out of pictures, depth and vectors of two episodes."""
    random = np.random.default_rng(0)
    arrays = {'observation.images.camera': random.integers(0, 256, (ROWS, 4, 5, 3), np.uint8),
              'observation.images.depth': random.integers(0, 2**16, (ROWS, 4, 5, 1), np.uint16),
              'observation.state': random.normal(size=(ROWS, 3)).astype(np.float32),
              'action': random.normal(size=(ROWS, 2)).astype(np.float32), **more}
    return TrainingWindows(arrays, [8, ROWS], n_obs_steps=2, horizon=4)


def rows_of(number):
    """Return the rows of one batch."""
    return np.array([number % ROWS, 3, (7 * number) % ROWS])


def plan(first=0):
    """Give an endless plan from some batch on."""
    return map(rows_of, itertools.count(first))


def test_windows_cut_on_the_device_equal_those_of_the_host_bit_for_bit():
    source = windows()
    rows = np.array([0, 7, 8, 19, 3, 3])
    wanted = source.gather(rows)
    batches = Batches(source, CPU, on_device=True)
    for found in (batches.at(rows), Batches(source, CPU, on_device=False).at(rows)):
        assert found.keys() == wanted.keys()
        for key, values in wanted.items():
            assert found[key].numpy().dtype == values.dtype
            assert np.array_equal(found[key].numpy(), values)


@pytest.mark.parametrize('on_device', [True, False])
def test_batches_come_in_order_and_can_start_anew_anywhere(on_device):
    source = windows()
    batches = Batches(source, CPU, on_device=on_device)
    try:
        for first in (0, 2, 9):
            batches.start(plan(first))
            for number in range(first, first + 6):
                wanted, found = source.gather(rows_of(number)), batches.next()
                assert all(np.array_equal(found[key].numpy(), wanted[key]) for key in wanted)
    finally:
        batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name == 'batches']
    assert batches.waited_s > 0


@pytest.mark.parametrize('on_device', [True, False])
def test_a_plan_that_is_through_is_told_and_not_waited_for(on_device):
    batches = Batches(windows(), CPU, on_device=on_device)
    batches.start(itertools.islice(plan(), 1))
    batches.next()
    with pytest.raises(StopIteration):
        batches.next()
    batches.close()


def test_the_thread_works_ahead_and_no_further_than_it_may():
    made, enough = [], threading.Event()
    source = windows()
    gather = source.gather

    def counted(rows):
        made.append(rows)
        if len(made) == 5:  # one taken, three waiting, one in hand
            enough.set()
        return gather(rows)

    source.gather = counted
    batches = Batches(source, CPU)
    batches.start(plan())
    batches.next()
    assert enough.wait(60)
    batches.close()
    assert len(made) <= 6


def test_an_error_of_the_thread_is_raised_where_the_batch_is_taken():
    batches = Batches(windows(), CPU)
    batches.start(iter([np.array([ROWS])]))
    with pytest.raises(IndexError):
        batches.next()
    batches.close()


def test_vectors_alone_need_no_thread():
    vectors = {key: array for key, array in windows().arrays.items() if 'images' not in key}
    batches = Batches(TrainingWindows(vectors, [ROWS], n_obs_steps=1, horizon=2), CPU)
    batches.start(plan())
    batches.next()
    assert not [thread for thread in threading.enumerate() if thread.name == 'batches']
