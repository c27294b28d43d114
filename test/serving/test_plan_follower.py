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
"""Plans on their way to being shown."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.control.scheduler import RecedingHorizon
from diffusion_policy_ros.serving.plan_follower import PlanFollower
import numpy as np

T0, PERIOD = 10**18, 10**8
NO_JOIN = JoinSettings()
CONTRACT = parse_contract("""
robot: r
rate_hz: 10
observations:
  - {key: observation.state, topic: s, type: sensor_msgs/msg/JointState, joints: [a],
     max_age_ms: 100}
actions:
  - {topic: arm, type: sensor_msgs/msg/JointState, joints: [a]}
""")


def _plan(tick_ns, epoch=0, error=None):
    return SimpleNamespace(rows=np.zeros((5, 1)), error=error,
                           request=SimpleNamespace(tick_ns=tick_ns, epoch=epoch))


def _follower():
    horizon = RecedingHorizon(CONTRACT, ReplanSettings(2))
    horizon.observed(T0)
    return PlanFollower(horizon, 10.0), horizon


def test_every_plan_is_shown_once_with_its_first_command():
    follower, _ = _follower()
    assert follower.take_over(_plan(T0), T0 + PERIOD // 10, NO_JOIN, grid={})
    assert follower.take_over(_plan(T0 + PERIOD), T0 + PERIOD, NO_JOIN, grid={})
    assert not list(follower.unshown())
    assert not follower.sent(T0)  # the first plan was late for this slot: it begins at the next
    assert follower.sent(T0 + PERIOD) and not follower.sent(T0 + PERIOD)
    shown = list(follower.unshown())
    assert [f.plan.request.tick_ns for f in shown] == [T0, T0 + PERIOD]
    assert {f.sent_ns for f in shown} == {T0 + PERIOD} and not list(follower.unshown())


def test_a_plan_that_comes_during_a_command_has_no_part_in_it_and_is_not_noted_with_it():
    follower, horizon = _follower()
    with ThreadPoolExecutor() as other:
        with follower.lock:
            coming = other.submit(follower.take_over, _plan(T0), T0, NO_JOIN, grid={})
            assert horizon.command(T0) is None and not follower.sent(T0)
            assert not coming.done()
        assert coming.result(timeout=10)
    horizon.observed(T0 + PERIOD)
    assert horizon.command(T0 + PERIOD) is not None and follower.sent(T0 + PERIOD)


def test_plans_that_are_out_of_date_or_dropped_are_never_shown():
    follower, horizon = _follower()
    horizon.reset()
    assert not follower.take_over(_plan(T0, epoch=0), T0, NO_JOIN, grid={})
    assert follower.take_over(_plan(T0, epoch=1), T0, NO_JOIN, grid={})
    follower.drop()
    assert not follower.sent(T0) and not list(follower.unshown())


def test_a_plan_that_was_dropped_while_it_was_taken_over_is_never_shown():
    follower, horizon = _follower()
    assert follower.take_over(_plan(T0), T0, NO_JOIN, grid={})
    horizon.reset()  # the other thread has not come to drop() yet
    assert not follower.sent(T0) and not list(follower.unshown())


def test_plans_may_be_dropped_while_they_are_shown():
    follower, _ = _follower()
    for tick in range(2):
        assert follower.take_over(_plan(T0 + tick * PERIOD), T0 + tick * PERIOD, NO_JOIN, grid={})
    assert follower.sent(T0 + PERIOD)
    seen = []
    for following in follower.unshown():
        follower.drop()
        seen.append(following.plan.request.tick_ns)
    assert seen == [T0, T0 + PERIOD] and not list(follower.unshown())


def test_a_plan_that_is_held_back_comes_out_once_when_its_time_has_come():
    follower, _ = _follower()
    plan = _plan(T0)
    assert not follower.holds_back(plan, T0, 0.0)
    assert not follower.holds_back(_plan(T0, error=RuntimeError()), T0, 1.0)
    assert not follower.is_holding_back
    assert follower.holds_back(plan, T0, 5e-6)
    assert follower.is_holding_back and follower.release(T0 + 4) is None
    assert follower.release(T0 + 5) is plan
    assert not follower.is_holding_back and follower.release(T0 + 6) is None
