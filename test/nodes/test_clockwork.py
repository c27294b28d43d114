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

"""The clockwork pauses as long as it was asked to, ends when told to, and passes errors on."""

import threading
import time

from diffusion_policy_ros.nodes.clockwork import Clockwork
import pytest


def test_it_never_wakes_early_and_ends_when_told():
    wakes, enough = [], threading.Event()

    def on_wake():
        wakes.append(time.monotonic_ns())
        if len(wakes) == 20:
            enough.set()
        return 0.002

    clockwork = Clockwork(on_wake, pytest.fail)
    clockwork.start()
    assert enough.wait(timeout=60)
    clockwork.stop()
    count = len(wakes)
    assert min(b - a for a, b in zip(wakes, wakes[1:])) >= 1_900_000
    assert not [t for t in threading.enumerate() if t.name == 'clockwork']
    assert len(wakes) == count


def test_an_error_is_handed_on():
    errors, told = [], threading.Event()

    def on_wake():
        raise ZeroDivisionError

    clockwork = Clockwork(on_wake, lambda error: (errors.append(error), told.set()))
    clockwork.start()
    assert told.wait(timeout=60)
    clockwork.stop()
    assert isinstance(errors[0], ZeroDivisionError) and len(errors) == 1


@pytest.mark.parametrize('pause', [lambda: 0.002, lambda: 1 / 0])
def test_its_thread_has_the_last_word_whatever_ended_it(pause):
    threads, woken = [], threading.Event()

    def on_wake():
        threads[:] = [threading.current_thread()]
        woken.set()
        return pause()

    clockwork = Clockwork(on_wake, lambda error: None,
                          on_end=lambda: threads.append(threading.current_thread()))
    clockwork.start()
    assert woken.wait(timeout=60)
    clockwork.stop()
    assert len(threads) == 2 and threads[0] is threads[1]


def test_one_that_never_started_can_be_stopped():
    Clockwork(lambda: 0.0, pytest.fail).stop()
