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

"""Who converts into a log hears how far it is, and not too often."""

import time

from diffusion_policy_ros.data.progress import LINE_EVERY_S, progress_bar
import pytest


@pytest.fixture
def clock(monkeypatch):
    """Give a clock that is set by hand."""
    now_s = [1000.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now_s[0])
    return now_s


def test_a_pipe_gets_a_line_now_and_then(clock, capsys):
    with progress_bar('converting', 20, initial=4) as bar:
        for _ in range(12):
            bar.update(0.5)
            clock[0] += LINE_EVERY_S / 4
        assert bar.n == 10
    assert capsys.readouterr().err == 'converting: 32 % after 30 s\nconverting: 42 % after 60 s\n'


def test_nothing_is_shown_where_nobody_wants_it(clock, capsys):
    with progress_bar('converting', 20, is_shown=False) as bar:
        clock[0] += 1000
        bar.update(5)
    assert capsys.readouterr().err == ''


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)
    with progress_bar('converting', 2) as bar:
        bar.update(1)
        bar.refresh()
    assert 'converting:  50%|' in capsys.readouterr().err
