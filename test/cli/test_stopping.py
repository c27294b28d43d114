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

"""A stop signal is obeyed at once while there is nothing to save, and politely afterwards."""

import os
import signal

from diffusion_policy_ros.cli import stopping
from diffusion_policy_ros.cli.stopping import interrupting_signals, StopRequest
import pytest

SIGNALS = pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])


@SIGNALS
def test_before_the_run_asks_for_the_first_time_a_signal_interrupts_at_once(number):
    with pytest.raises(KeyboardInterrupt):
        with StopRequest():
            os.kill(os.getpid(), number)


@SIGNALS
def test_afterwards_the_first_signal_is_noted_and_the_second_interrupts(number, capfd):
    with pytest.raises(KeyboardInterrupt):
        with StopRequest() as stop:
            assert not stop()
            os.kill(os.getpid(), number)
            assert stop()
            assert 'stopping after this step' in capfd.readouterr().err
            os.kill(os.getpid(), number)


def test_a_signal_that_a_launcher_passes_on_is_no_second_one(capfd, monkeypatch):
    now_s = [10.0]
    monkeypatch.setattr(stopping.time, 'monotonic', lambda: now_s[0])
    with pytest.raises(KeyboardInterrupt):
        with StopRequest(is_quiet=True, passed_on_within_s=2.0) as stop:
            assert not stop()
            os.kill(os.getpid(), signal.SIGINT)
            now_s[0] = 11.9
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop() and not capfd.readouterr().err
            now_s[0] = 12.1
            os.kill(os.getpid(), signal.SIGINT)


def test_the_former_handlers_come_back():
    before = signal.getsignal(signal.SIGINT)
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_request_to_end_interrupts_and_the_former_handlers_come_back(number):
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(KeyboardInterrupt), interrupting_signals():
        os.kill(os.getpid(), number)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)] == before


def test_a_signal_that_is_ignored_as_under_nohup_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupting_signals():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
