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

"""Measure a policy over many seeded episodes and write down what it reached."""

from dataclasses import asdict, dataclass
import time

from diffusion_policy_ros.data.topic_messages import build_topic, observed_parts
from diffusion_policy_ros.evaluation.intervals import (
    bootstrap_interval, interval_text, success_interval)
from diffusion_policy_ros.evaluation.rollout import roll_out, Rollout
from diffusion_policy_ros.messages import PLAIN_TYPES
import numpy as np


@dataclass(frozen=True)
class Evaluation:
    """
    The result of an evaluation.

    :ivar episodes: One ``EpisodeResult`` per episode.
    :ivar seconds: Wall time, s.
    :ivar traces: ``(commands, borders)`` of each episode, as ``Rollout`` keeps them.
    :ivar seen: What ``look_at`` returned of each episode, as ``Rollout`` keeps it.
    :ivar is_whole: Whether all episodes were run; Ctrl-C may have come before.
    """

    episodes: tuple
    seconds: float
    traces: tuple = ()
    seen: tuple = ()
    is_whole: bool = True

    @property
    def mean_score(self) -> float:
        """Return the mean score, in [0, 1]."""
        return float(np.mean([e.score for e in self.episodes]))

    @property
    def success_rate(self) -> float:
        """Return the share of solved episodes, in [0, 1]."""
        return sum(e.success for e in self.episodes) / len(self.episodes)

    def to_dict(self) -> dict:
        """Return figures, intervals and every episode, ready for JSON."""
        successes = sum(e.success for e in self.episodes)
        return {
            'episodes': len(self.episodes),
            'mean_score': self.mean_score,
            'mean_score_95': bootstrap_interval([e.score for e in self.episodes]),
            'success_rate': self.success_rate,
            'success_rate_95': success_interval(successes, len(self.episodes)),
            'seconds': self.seconds,
            'results': [asdict(e) for e in self.episodes]}

    def sentence(self) -> str:
        """Return the result in one line, with its 95 % intervals."""
        figures = self.to_dict()
        return (f'{len(self.episodes)} episodes: mean score {self.mean_score:.3f} '
                f'(1 is best; 95 % {interval_text(figures["mean_score_95"], 1, 3)}), '
                f'success {100 * self.success_rate:.1f} % '
                f'(95 % {interval_text(figures["success_rate_95"], 100, 1)})')


def evaluate(policy, make_environment, seeds, *, options, loop, max_steps, batch_size=50,
             watch=None, progress=lambda count: None, sensors=None, look_at=None,
             keeps_finished=False):
    """
    Run seeded episodes in simulated time and collect what they reached.

    :param policy: The policy, on its device.
    :param make_environment: Called with the contract for each concurrent episode.
    :param seeds: Seeds of the episodes.
    :param options: ``PlanOptions``: how plans are made.
    :param loop: ``LoopSettings``: when, how late they arrive and how they are followed.
    :param max_steps: Rows per episode at most.
    :param batch_size: Episodes that advance together.
    :param watch: As for ``roll_out``.
    :param progress: Called with the number of newly finished episodes.
    :param sensors: Seed to what turns observations into messages; None for no noise.
    :param look_at: As for ``Rollout``.
    :param keeps_finished: Ctrl-C ends the evaluation, whole batches of episodes are kept.
    :return: The ``Evaluation``.
    """
    started = time.monotonic()
    environments = [make_environment(policy.contract)
                    for _ in range(min(batch_size, len(seeds)))]
    results, traces, seen = [], [], []
    try:
        for start in range(0, len(seeds), batch_size):
            batch = [Rollout(environment, policy.config, seed,
                             sensors(seed) if sensors else observation_messages, loop, look_at)
                     for environment, seed in zip(environments, seeds[start:start + batch_size])]
            finished = roll_out(policy, batch, options=options, max_steps=max_steps, watch=watch)
            results += finished
            traces += [(rollout.commands, rollout.borders) for rollout in batch]
            seen += [rollout.seen for rollout in batch]
            progress(len(finished))
    except KeyboardInterrupt:
        # Of an unfinished batch those that are through were the easy ones.
        if not keeps_finished or not results:
            raise
    return Evaluation(tuple(results), time.monotonic() - started, tuple(traces), tuple(seen),
                      len(results) == len(seeds))


def observation_messages(contract, observation, stamp_ns):
    """
    Yield an observation as the messages that the robot would publish.

    :param contract: The robot's contract.
    :param observation: Dataset key to array, as simulated robots give it.
    :param stamp_ns: Stamp for the headers, ns.
    :return: Iterator of ``(topic, message)``, policy inputs only.
    """
    for topic, parts in observed_parts(contract, observation).items():
        inputs = [part for part in parts if part[0].role == 'policy']
        if inputs:
            yield topic, build_topic(inputs, PLAIN_TYPES, stamp_ns)
