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

"""
Evaluation in simulated time: many episodes advance together, under the live robot's own loop.

Observations pass through the same messages-to-window path as on the live robot, and commands come
from the same ``RecedingHorizon``; a plan arrives as late as it is told to. Each episode's start
noise depends on its own seed only: with a deterministic sampler, a result can be repeated one
episode at a time.
"""

from dataclasses import dataclass, field

from diffusion_policy_ros.contract import START_NS
from diffusion_policy_ros.control.joins import JoinSettings
from diffusion_policy_ros.control.replan import ReplanSettings
from diffusion_policy_ros.control.scheduler import RecedingHorizon
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.policy.action_chunk import TimedChunk
from diffusion_policy_ros.policy.planner import make_plans
import numpy as np
import torch


@dataclass(frozen=True)
class LoopSettings:
    """
    The loop that an episode runs under.

    :ivar replan: ``ReplanSettings``.
    :ivar join: ``JoinSettings``.
    :ivar delay_ms: Simulated time from an observation to the arrival of its plan, ms, from 0.
    :ivar jitter_ms: Up to this much is added to the delay of each plan, evenly distributed, ms.
    """

    replan: ReplanSettings
    join: JoinSettings = field(default_factory=JoinSettings)
    delay_ms: float = 0.0
    jitter_ms: float = 0.0

    @property
    def longest_delay_ms(self) -> float:
        """Return how late a plan may come, ms."""
        return self.delay_ms + self.jitter_ms


@dataclass(frozen=True)
class EpisodeResult:
    """
    What one episode reached.

    :ivar seed: Seed of the start and of the start noise.
    :ivar score: The task's score in [0, 1].
    :ivar success: Whether the task was solved.
    :ivar steps: Rows executed until success or the limit.
    """

    seed: int
    score: float
    success: bool
    steps: int


def check_delay(delay_ms, config, contract) -> None:
    """
    Refuse a delay under which nothing would ever be followed.

    :param delay_ms: From an observation to the arrival of its plan, ms.
    :param config: ``PolicyConfig``.
    :param contract: ``RobotContract``.
    :raises ConfigError: if plans would take as long as they last.
    """
    rows = config.horizon - config.n_obs_steps + 1
    lasts_ms = rows * 1e3 / contract.rate_hz
    if delay_ms >= lasts_ms:
        raise ConfigError(f'a delay of {delay_ms:g} ms is no shorter than a plan, whose {rows} '
                          f'rows last {lasts_ms:g} ms: nothing would move')


class Rollout:
    """
    One simulated episode under a policy, from the policy's point of view.

    :ivar seed: Seed of the start and of the start noise.
    :ivar generator: torch.Generator of the episode's start noise.
    :ivar commands: What was commanded at each step, float64 (action_dim,); None where nothing was.
    :ivar borders: Steps at which a new plan was first followed.
    :ivar seen: What ``look_at`` returned, before the first step and after each.
    """

    def __init__(self, environment, config, seed, as_messages, loop, look_at=None):
        """
        Reset the environment and show the first observation.

        :param environment: A simulated robot (see ``sim.environment``).
        :param config: ``PolicyConfig``.
        :param seed: Seed of the start and of the start noise.
        :param as_messages: ``(contract, observation, stamp_ns)`` to ``(topic, message)`` pairs.
        :param loop: ``LoopSettings``.
        :param look_at: Called with the environment, for what is to be kept of its way.
        :raises ConfigError: if plans would take as long as they last.
        """
        self.seed = seed
        self.commands, self.borders, self.seen = [], [], []
        self.generator = torch.Generator().manual_seed(seed)
        self._environment, self._config, self._as_messages = environment, config, as_messages
        self._loop, self._look_at = loop, look_at
        check_delay(loop.longest_delay_ms, config, environment.contract)
        self._windows = WindowBuilder(environment.contract, config.n_obs_steps)
        self._horizon = RecedingHorizon(environment.contract, loop.replan, loop.join,
                                        expected_delay_rows=self._rows_late())
        self._pending = None  # (time of arrival in ns, chunk) of the plan that is being computed
        environment.reset(seed)
        self._observe()
        self._keep()

    @property
    def steps(self):
        """Return the number of steps so far."""
        return len(self.commands)

    @property
    def success(self):
        """Tell whether the task is solved."""
        return self._environment.success

    def window(self):
        """Return the newest window, dataset key to array."""
        return self._windows.window(self._tick_ns())[0]

    def look(self) -> bool:
        """Let a plan arrive that is due, and tell whether the next one starts at this tick."""
        self._arrive()
        self._horizon.observed(self._tick_ns())
        return self._pending is None and self._horizon.wants_plan(self._tick_ns())

    def promise(self):
        """Return what is promised on the rows of a plan that starts at this tick."""
        return self._horizon.promise(self._tick_ns(), self._config.horizon,
                                     self._config.n_obs_steps - 1)

    def plan(self, rows):
        """
        Take the plan that starts at this tick; it arrives after the delay.

        :param rows: Rows from this tick on, float64 (rows, action_dim), robot units.
        """
        tick_ns = self._tick_ns()
        chunk = TimedChunk(rows, tick_ns, self._environment.contract.rate_hz)
        self._pending = tick_ns + self._delay_ns(tick_ns), chunk
        self._arrive()

    def step(self):
        """Follow what is due for one period, and look where a plan may need to see it."""
        command = self._horizon.command(self._tick_ns())
        self.commands.append(command)
        if command is None:
            self._environment.wait()
        else:
            self._environment.step(command)
        if not self.success and self._may_be_seen():
            self._observe()
        self._keep()

    def result(self):
        """Return what the episode reached."""
        return EpisodeResult(self.seed, self._environment.score(), self.success, self.steps)

    def _arrive(self):
        """Take over a plan whose time has come."""
        if self._pending is not None and self._pending[0] <= self._tick_ns():
            arrival_ns, chunk = self._pending
            self._pending = None
            self._horizon.accept(chunk, self._horizon.epoch, arrival_ns)
            self.borders.append(self.steps)

    def _delay_ns(self, tick_ns):
        """Return how late the plan of a tick arrives: the same in every run of the episode."""
        late = np.random.default_rng((self.seed, tick_ns)).random() if self._loop.jitter_ms else 0
        return round((self._loop.delay_ms + late * self._loop.jitter_ms) * 1e6)

    def _rows_late(self):
        """Return the rows that are due before a plan arrives, at the latest."""
        longest_ns = round(self._loop.longest_delay_ms * 1e6)
        return -(-longest_ns // self._environment.contract.period_ns)

    def _keep(self):
        """Keep what is to be known of the way."""
        if self._look_at is not None:
            self.seen.append(self._look_at(self._environment))

    def _may_be_seen(self):
        """Tell whether a window may hold this tick; others need not be rendered."""
        to_come = [self._tick_ns(later) for later in range(self._config.n_obs_steps)]
        return self._pending is not None or any(map(self._horizon.wants_plan, to_come))

    def _tick_ns(self, later=0):
        """Return the simulated time; ticks start at 1 s because stamp 0 means unset."""
        return self._environment.contract.tick_ns(START_NS, self.steps + later)

    def _observe(self):
        """Show the present observation to the window, as messages."""
        now_ns = self._tick_ns()
        for topic, message in self._as_messages(
                self._environment.contract, self._environment.observation(), now_ns):
            self._windows.push(topic, message, now_ns)


def roll_out(policy, rollouts, *, options, max_steps, watch=None):
    """
    Run episodes together until each is solved or out of steps.

    The fresh noise of a stochastic sampler is shared by the episodes of a batch and comes from
    the first one; start noise belongs to each episode.

    :param policy: The policy.
    :param rollouts: Freshly made ``Rollout`` objects.
    :param options: ``PlanOptions``.
    :param max_steps: Rows per episode at most.
    :param watch: Called with the rollouts that plan, their conditions (B, global_cond_dim) and
        the ``Plans``, of each batch.
    :return: One ``EpisodeResult`` per rollout, in order.
    """
    running = list(rollouts)
    while running:
        asking = [rollout for rollout in running if rollout.look()]
        promises = [rollout.promise() for rollout in asking]
        for is_empty in (True, False):
            _plan(policy, [(rollout, promise) for rollout, promise in zip(asking, promises)
                           if promise.is_empty == is_empty], options, watch)
        for rollout in running:
            rollout.step()
        running = [r for r in running if not r.success and r.steps < max_steps]
    return [rollout.result() for rollout in rollouts]


def _plan(policy, asking, options, watch):
    """Make plans for episodes that all follow something, or none of which does."""
    if not asking:
        return
    rollouts, promises = zip(*asking)
    windows = [rollout.window() for rollout in rollouts]
    batch = {key: torch.from_numpy(np.stack([w[key] for w in windows])).to(policy.device)
             for key in windows[0]}
    with torch.inference_mode():
        global_cond = policy.encode(batch)
    plans = make_plans(policy, global_cond, promises, [r.generator for r in rollouts], options)
    if watch is not None:
        watch(rollouts, global_cond, plans)
    first = policy.config.n_obs_steps - 1
    for rollout, rows in zip(rollouts, plans.chunks[:, first:].double().cpu().numpy()):
        rollout.plan(rows)
