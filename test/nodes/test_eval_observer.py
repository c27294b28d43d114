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

"""What ``eval_observer`` tells of the safety node after an episode."""

import json

import pytest

pytest.importorskip('rclpy')
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue  # noqa: E402,I100
from diffusion_policy_ros.nodes.demo_observer import DemoObserver  # noqa: E402
from diffusion_policy_ros.nodes.eval_observer import EvalObserver  # noqa: E402

CLAMPED = 'joint_commands clamped steps'


class Observer(EvalObserver):
    """One without ROS: the safety node's status comes when a test says so."""

    def __init__(self):
        self.coming = []

    def hear(self, text, facts):
        """Take a status in."""
        self._on_guard(DiagnosticStatus(message=text, values=[
            KeyValue(key=name, value=value) for name, value in facts.items()]), None)

    def until(self, condition, what, limit_s):
        while not condition():
            self.coming.pop(0)()

    def _change_guard(self, name):
        if name == 'DEACTIVATE':
            self.coming = [
                lambda: self.hear('STOPPING: deactivating', {CLAMPED: '7 of 60'}),
                lambda: self.hear('inactive', {'e-stop': 'armed'})]


def test_what_was_counted_up_to_the_end_is_told_but_the_end_is_no_hold(monkeypatch, capsys):
    observer = Observer()
    monkeypatch.setattr(DemoObserver, '_play', lambda self, number: self.hear(
        'FOLLOWING', {CLAMPED: '5 of 40'}))
    observer._play(3)
    event = json.loads(capsys.readouterr().out)
    assert event['said'] == ['FOLLOWING'] and event['episode'] == 3
    assert event['facts'] == {CLAMPED: '7 of 60'}
