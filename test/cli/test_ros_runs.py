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

"""Runs of ``dpr bench joins --ros``: real nodes over ROS 2 on a clock that waits for them."""

from diffusion_policy_ros.cli.ros_runs import ros_runs
import pytest

pytest.importorskip('rclpy')

HORIZON = 4


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy, whose plans are as good as any here; its folder."""
    return save_tiny_policy(n_action_steps=HORIZON)


@pytest.mark.slow
def test_a_run_gives_the_same_commands_every_time_and_so_does_a_delay_within_the_same_row(model):
    first, again = (_run(model, 0.0, episodes=2) for _ in range(2))
    assert first.traces == again.traces and first.episodes == again.episodes
    assert [episode.seed for episode in first.episodes] == [7, 8]
    (commands, borders), _ = first.traces
    assert len(commands) > 290 and len({tuple(command) for command in commands}) > 100
    assert _run(model, 50.0).traces[0] == (commands, borders)


@pytest.mark.slow
@pytest.mark.parametrize('delay_ms, rows_late', [(0.0, 1), (200.0, 3)])
def test_plans_are_taken_over_as_many_rows_late_as_they_take(model, delay_ms, rows_late):
    (_, borders), = _run(model, delay_ms).traces
    # The second plan comes when the rows before it are executed; the next are asked for in time.
    gaps = [after - before for before, after in zip(borders, borders[1:], strict=False)]
    assert gaps[0] == HORIZON + rows_late and set(gaps[1:]) == {HORIZON}


def _run(model, delay_ms, episodes=1):
    """Run episodes over ROS."""
    counted = []
    run = ros_runs(model, range(7, 7 + episodes), execute_horizon=HORIZON, num_candidates=1)
    evaluation = run('rtc', delay_ms, counted.append)
    assert counted == [1] * episodes
    return evaluation
