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

"""However a conversion ends, somebody is told."""

import threading

from diffusion_policy_ros.data.conversion.conversion import ConversionSummary
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.nodes import conversion_worker
import pytest


def _outcome_of(monkeypatch, error):
    """Run a conversion that fails and return what is told."""
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(conversion_worker, 'convert_bags', fail)
    monkeypatch.setattr(threading, 'excepthook', lambda arguments: None)
    before = set(threading.enumerate())
    worker = conversion_worker.ConversionWorker([], None, 'dataset')
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=60)
    return worker.outcome


def test_what_was_lost_is_told(monkeypatch):
    """Notes and warnings alike."""
    summary = ConversionSummary(bags=2, episodes=1, rows=9, notes=['a: skipped: gone'],
                                warnings=['b: nothing could be used of its last 9.0 s'])
    monkeypatch.setattr(conversion_worker, 'convert_bags', lambda *args, **options: summary)
    before = set(threading.enumerate())
    worker = conversion_worker.ConversionWorker([], None, 'dataset')
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=60)
    assert worker.outcome == ('dataset: 9 rows in 1 episodes from 2 bags; a: skipped: gone; '
                              'b: nothing could be used of its last 9.0 s')


@pytest.mark.parametrize('error, told', [
    (DatasetError('dataset exists'), 'conversion failed: dataset exists'),
    (OSError('disk full'), 'conversion failed: OSError: disk full'),
    (ZeroDivisionError('x'), 'conversion failed: ZeroDivisionError: x'),
])
def test_a_failure_is_told(monkeypatch, error, told):
    assert _outcome_of(monkeypatch, error) == told
