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

"""What a conductor tells reaches the one who started it, and so does the end of any node."""

import subprocess
import sys

from diffusion_policy_ros.cli.children import Children
from diffusion_policy_ros.cli.node_events import node_events
from diffusion_policy_ros.errors import DiffusionPolicyError
import pytest


def _events(tmp_path, conductor, other='import time; time.sleep(600)'):
    """Run a conductor, and another node beside it, from their code; return the events."""
    with Children(tmp_path, None) as children:
        children.start('other', [sys.executable, '-c', other])
        process = children.start('conductor', [sys.executable, '-c', conductor],
                                 stdout=subprocess.PIPE)
        return list(node_events(process, 'conductor', children))


def test_events_are_yielded_and_stages_and_remarks_are_printed(tmp_path, capsys):
    says = ('print("[rcl] mind the gap"); print(\'{"event": "stage", "text": "warming up"}\'); '
            'print(\'{"event": "row", "number": 1}\'); print(\'{"event": "end", "of": "it"}\')')
    assert _events(tmp_path, says) == [('row', {'number': 1}), ('end', {'of': 'it'})]
    assert capsys.readouterr().out.splitlines() == ['[rcl] mind the gap', 'warming up']


def test_an_event_may_come_in_pieces_and_be_long(tmp_path):
    says = ('import sys; text = "x" * 200_000; sys.stdout.write(\'{"event": "row", "text": "\'); '
            'sys.stdout.flush(); sys.stdout.write(text); sys.stdout.flush(); print(\'"}\')')
    assert _events(tmp_path, says) == [('row', {'text': 'x' * 200_000})]


def test_an_error_that_is_told_is_raised(tmp_path):
    says = 'print(\'{"event": "error", "text": "no robot here"}\'); raise SystemExit(1)'
    with pytest.raises(DiffusionPolicyError, match='^no robot here$'):
        _events(tmp_path, says)


@pytest.mark.parametrize('conductor', [
    'import time; time.sleep(600)',
    # It tells of the silence only when the other one has gone.
    'import os, time; print(\'{"event": "error", "text": "silence"}\', flush=True); '
    'time.sleep(600)'])
def test_a_node_that_ends_is_named_whoever_notices_first(tmp_path, conductor, capsys):
    with Children(tmp_path, None) as children:
        other = children.start('other', [sys.executable, '-c', 'print("I fell"); exit(3)'])
        other.wait()
        process = children.start('conductor', [sys.executable, '-c', conductor],
                                 stdout=subprocess.PIPE)
        with pytest.raises(DiffusionPolicyError, match='other ended unexpectedly, exit code 3; '
                                                       'its last words are above'):
            list(node_events(process, 'conductor', children))
    assert 'I fell' in capsys.readouterr().out


def test_a_conductor_that_breaks_is_named(tmp_path):
    with pytest.raises(DiffusionPolicyError, match='conductor ended unexpectedly, exit code 7'):
        _events(tmp_path, 'raise SystemExit(7)')
