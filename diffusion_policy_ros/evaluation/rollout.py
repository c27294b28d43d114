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
Lock-step evaluation: many simulated episodes advance together, with no latency at all.

Observations pass through the same messages-to-window path as on the live robot, and each
episode's start noise depends on its own seed only: with a deterministic sampler, a result can be
repeated one episode at a time.
"""

from dataclasses import dataclass

from diffusion_policy_ros.observation.window import WindowBuilder
import numpy as np
import torch


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


class Rollout:
    """
    One simulated episode under a policy, from the policy's point of view.

    :param environment: A simulated robot (see ``sim.environment``).
    :param n_obs_steps: Observations per window.
    :param seed: Seed of the start and of the start noise.
    :param as_messages: ``(contract, observation, stamp_ns)`` to ``(topic, message)`` pairs.
    """

    def __init__(self, environment, n_obs_steps, seed, as_messages):
        """Reset the environment and show the first observation."""
        self.seed = seed
        self.steps = 0
        self._environment = environment
        self._as_messages = as_messages
        self._windows = WindowBuilder(environment.contract, n_obs_steps)
        self._generator = torch.Generator().manual_seed(seed)
        environment.reset(seed)
        self._observe()

    @property
    def success(self):
        """Tell whether the task is solved."""
        return self._environment.success

    def window(self):
        """Return the newest window, dataset key to array."""
        return self._windows.window(self._tick_ns())[0]

    def noise(self, shape):
        """Draw the start noise of the next chunk from this episode's own generator."""
        return torch.randn(shape, generator=self._generator)

    def execute(self, actions, observe_last):
        """
        Follow some actions, one period each, until the task is solved.

        :param actions: (rows, action_dim), in robot units.
        :param observe_last: Number of rows at the end after which an observation is shown; the
            policy never looks at the others, so they are not rendered.
        """
        for row, action in enumerate(actions):
            self._environment.step(action)
            self.steps += 1
            if self.success:
                return
            if row >= len(actions) - observe_last:
                self._observe()

    def result(self):
        """Return what the episode reached."""
        return EpisodeResult(self.seed, self._environment.score(), self.success, self.steps)

    def _tick_ns(self):
        """Return the simulated time; ticks start at 1 s because stamp 0 means unset."""
        return self._environment.contract.tick_ns(1_000_000_000, self.steps)

    def _observe(self):
        """Show the present observation to the window, as messages."""
        now_ns = self._tick_ns()
        for topic, message in self._as_messages(
                self._environment.contract, self._environment.observation(), now_ns):
            self._windows.push(topic, message, now_ns)


def roll_out(policy, rollouts, *, sampler, execute_horizon, max_steps):
    """
    Run episodes together until each is solved or out of steps.

    The fresh noise of a stochastic sampler is shared by the episodes of a batch and seeded by the
    first one; start noise belongs to each episode.

    :param policy: The policy.
    :param rollouts: Freshly made ``Rollout`` objects.
    :param sampler: How chunks are sampled.
    :param execute_horizon: Rows executed between two plans.
    :param max_steps: Rows per episode at most.
    :return: One ``EpisodeResult`` per rollout, in order.
    """
    shape = (policy.config.horizon, policy.config.action_dim)
    generator = torch.Generator().manual_seed(rollouts[0].seed)
    running = list(rollouts)
    while running:
        windows = [rollout.window() for rollout in running]
        batch = {key: torch.from_numpy(np.stack([w[key] for w in windows])).to(policy.device)
                 for key in windows[0]}
        noise = torch.stack([rollout.noise(shape) for rollout in running]).to(policy.device)
        chunk = policy.sample(batch, sampler=sampler, generator=generator, noise=noise)
        actions = policy.executable(chunk)[:, :execute_horizon].double().cpu().numpy()
        for rollout, rows in zip(running, actions):
            rollout.execute(rows[:max_steps - rollout.steps], policy.config.n_obs_steps)
        running = [r for r in running if not r.success and r.steps < max_steps]
    return [rollout.result() for rollout in rollouts]
