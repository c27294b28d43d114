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

"""The stepper of the simulations ends soon, however many steps are due."""

import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes.sim_stepper import SimStepper  # noqa: E402,I100

STEP_NS = 10_000_000


def node():
    """Return what the stepper wants of a node, on the computer's own clock."""
    clock = SimpleNamespace(ros_time_is_active=False,
                            now=lambda: SimpleNamespace(nanoseconds=time.time_ns()))
    return SimpleNamespace(get_clock=lambda: clock, get_logger=pytest.fail)


def test_it_leaves_out_the_steps_that_are_due_when_it_is_told_to_end():
    stamps, behind = [], threading.Event()

    def on_step(step, stamp_ns):
        stamps.append(stamp_ns)
        if len(stamps) == 1:  # until ten steps are due
            while time.time_ns() < stamp_ns + 10 * STEP_NS:
                time.sleep(0.001)
        elif len(stamps) == 2:  # nine to go
            behind.set()
            while not stepper._clockwork.is_stopping:
                time.sleep(0.001)

    stepper = SimStepper(node(), STEP_NS, on_step, remedy='')
    stepper.start()
    assert behind.wait(timeout=60)
    stepper.stop()
    assert len(stamps) == 2
