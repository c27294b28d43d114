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

"""How sure a policy is of its plans over held-out episodes, and the limits that follow."""

from dataclasses import dataclass
import math

from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.training_windows import TrainingWindows
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.conformal import (
    conformal_threshold, false_alarm_range, rounded_up)
from diffusion_policy_ros.evaluation.evaluate import evaluate
from diffusion_policy_ros.evaluation.rollout import roll_out, Rollout
from diffusion_policy_ros.policy.latent_space import confidence
from diffusion_policy_ros.streams import ACTION_KEY
import torch


@dataclass(frozen=True)
class EpisodeScore:
    """
    How sure the policy was in one episode.

    :ivar number: Seed of a simulated episode, number of a recorded one.
    :ivar success: Whether the task was solved.
    :ivar spreads: Spread of the candidates of every plan, normalized units.
    :ivar log_likelihoods: Log-likelihood of every plan, nats per entry; empty where not measured.
    """

    number: int
    success: bool
    spreads: tuple
    log_likelihoods: tuple


@dataclass(frozen=True)
class Limit:
    """
    A limit for one of the scores, and what it would have done.

    :ivar parameter: The parameter of the policy server.
    :ivar value: Its value.
    :ivar held: Successes among the held-out episodes with a plan beyond it.
    :ivar held_failures: Failures likewise.
    :ivar false_alarms_95: Range of the share of successes to come that have a plan beyond it,
        right for 95 % of all calibrations.
    """

    parameter: str
    value: float
    held: int
    held_failures: int
    false_alarms_95: tuple


class ScoreWatch:
    """Notes how sure a policy is of its plans, as the policy server tells it."""

    def __init__(self, policy, likelihood_steps):
        """
        Begin.

        :param policy: The ``Policy``.
        :param likelihood_steps: As the parameter of the policy server; 0 for no likelihoods.
        """
        self._policy, self._steps = policy, likelihood_steps
        self._generator = torch.Generator().manual_seed(0)
        self._plans = {}  # number of the episode to [(spread, log-likelihood)]

    def __call__(self, rollouts, global_cond, plans):
        """
        Note the plans of a batch; the ``watch`` of ``roll_out``.

        :param rollouts: The ``Rollout`` objects that plan.
        :param global_cond: Their conditions, float32 (B, global_cond_dim).
        :param plans: ``Plans``.
        """
        nats = [None] * len(rollouts)
        if self._steps:
            nats = confidence(self._policy, global_cond, plans.chunks, steps=self._steps,
                              generator=self._generator).tolist()
        for rollout, *scores in zip(rollouts, plans.spread.tolist(), nats):
            self._plans.setdefault(rollout.seed, []).append(scores)

    def scores(self, results) -> tuple:
        """
        Return what was noted.

        :param results: ``EpisodeResult`` of every episode.
        :return: One ``EpisodeScore`` each.
        """
        found = []
        for result in results:
            spreads, nats = zip(*self._plans[result.seed])
            found.append(EpisodeScore(result.seed, result.success, spreads,
                                      nats if self._steps else ()))
        return tuple(found)


class Demonstration:
    """A robot that does what was demonstrated, whatever it is told."""

    def __init__(self, contract, windows, first, end):
        """
        Take an episode.

        :param contract: ``RobotContract`` of the policy.
        :param windows: ``TrainingWindows`` of the dataset.
        :param first: Its first row in the dataset.
        :param end: The row after its last one.
        """
        self.contract = contract
        self._windows, self._first, self._end = windows, first, end

    def reset(self, seed):
        """Go to the first row; nothing is drawn."""
        del seed
        self._row = self._first

    def step(self, action):
        """Go to the next row."""
        del action
        self._row += 1

    def wait(self):
        """Go to the next row."""
        self._row += 1

    def observation(self):
        """Show nothing: windows are cut out of the dataset, as for training."""
        return {}

    def window(self):
        """Return the window of the present row, dataset key to array (n_obs_steps, ...)."""
        found = self._windows.gather([self._row])
        return {key: value[0] for key, value in found.items() if key != ACTION_KEY}

    def score(self):
        """Return 1: what was demonstrated is how it should be."""
        return 1.0

    @property
    def success(self):
        """Tell whether the episode is over."""
        return self._row >= self._end


class ShadowRollout(Rollout):
    """An episode that a policy plans along, while a demonstration goes on as it went."""

    def __init__(self, demonstration, config, number, loop):
        """
        Go to the first row.

        :param demonstration: ``Demonstration``.
        :param config: ``PolicyConfig``.
        :param number: Number of the episode, and seed of the start noise.
        :param loop: ``LoopSettings``.
        """
        self._demonstration = demonstration
        super().__init__(demonstration, config, number, lambda *shown: (), loop)

    def window(self):
        """Return the newest window, dataset key to array."""
        return self._demonstration.window()


def measure_simulated(policy, make_environment, seeds, *, likelihood_steps=0, **how) -> tuple:
    """
    Run seeded episodes and note how sure the policy is of each plan.

    :param policy: The ``Policy``, on its device.
    :param make_environment: Called with the contract for each concurrent episode.
    :param seeds: Seeds of the episodes.
    :param likelihood_steps: As for ``ScoreWatch``.
    :param how: As for ``evaluate``.
    :return: ``EpisodeScore`` of every episode.
    """
    watch = ScoreWatch(policy, likelihood_steps)
    return watch.scores(evaluate(policy, make_environment, seeds, watch=watch, **how).episodes)


def measure_recorded(policy, dataset_dir, numbers, *, options, loop, likelihood_steps=0,
                     batch_size=50, cache_dir=None, progress=lambda count: None) -> tuple:
    """
    Plan along demonstrations and note how sure the policy is of each plan.

    :param policy: The ``Policy``, on its device.
    :param dataset_dir: Folder of a LeRobotDataset v3.0.
    :param numbers: Numbers of the episodes.
    :param options: ``PlanOptions``.
    :param loop: ``LoopSettings``; what is planned is promised to the next plan, but not done.
    :param likelihood_steps: As for ``ScoreWatch``.
    :param batch_size: Episodes that advance together.
    :param cache_dir: Folder for the decoded dataset; by default inside the dataset.
    :param progress: Called with the number of newly finished episodes.
    :return: ``EpisodeScore`` of every episode, all of them successes.
    :raises ConfigError: if there is no such episode, or the dataset is of another robot.
    :raises DatasetError: if the dataset is damaged or its cache cannot be written.
    """
    _check_dataset(policy, dataset_dir, LeRobotReader(dataset_dir))
    cache, config = build_cache(dataset_dir, cache_dir), policy.config
    windows = TrainingWindows(cache.arrays, cache.episode_ends, n_obs_steps=config.n_obs_steps,
                              horizon=config.horizon)
    ends = [0, *cache.episode_ends.tolist()]
    if max(numbers) >= len(ends) - 1:
        raise ConfigError(f'{dataset_dir} has no episode {max(numbers)}; its {len(ends) - 1} '
                          'episodes count from 0')
    watch, results = ScoreWatch(policy, likelihood_steps), []
    for start in range(0, len(numbers), batch_size):
        shadows = [ShadowRollout(Demonstration(policy.contract, windows, *ends[k:k + 2]), config,
                                 k, loop) for k in numbers[start:start + batch_size]]
        results += roll_out(policy, shadows, options=options, max_steps=math.inf, watch=watch)
        progress(len(shadows))
    return watch.scores(results)


def choose_limits(scores, false_alarms) -> tuple:
    """
    Choose a limit for each score that was measured.

    :param scores: ``EpisodeScore`` of held-out episodes; the successes among them count.
    :param false_alarms: Share of the successes to come that each limit may hold, in (0, 1).
    :return: Tuple of ``Limit``.
    :raises ConfigError: if there are too few successes, or nothing was measured.
    """
    limits = []
    if any(max(score.spreads) for score in scores):
        limits.append(_limit('max_spread', scores, false_alarms, 1.0,
                             lambda score: max(score.spreads)))
    if scores[0].log_likelihoods:
        limits.append(_limit('min_log_likelihood', scores, false_alarms, -1.0,
                             lambda score: -min(score.log_likelihoods)))
    if not limits:
        raise ConfigError('there is nothing to limit: the candidates of every plan are all the '
                          'same, and no likelihood was measured')
    return tuple(limits)


def _limit(parameter, scores, false_alarms, sign, doubt):
    """Choose a limit for the largest doubt of an episode; the parameter has another sign."""
    good, bad = ([doubt(score) for score in scores if score.success == success]
                 for success in (True, False))
    limit = rounded_up(conformal_threshold(good, false_alarms))
    return Limit(parameter, sign * limit, sum(value > limit for value in good),
                 sum(value > limit for value in bad), false_alarm_range(len(good), false_alarms))


def _check_dataset(policy, dataset_dir, reader):
    """Refuse a dataset of another robot."""
    differences = policy.contract.disagreements(
        reader.contract, theirs='the dataset') if reader.contract else ()
    if differences:
        raise ConfigError(f'the dataset {dataset_dir} is not of the robot that the policy was '
                          f'trained for: {"; ".join(differences)}')
