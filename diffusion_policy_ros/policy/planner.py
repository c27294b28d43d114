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
"""From a condition and what is promised to the chunk that a robot is to follow next."""

from dataclasses import dataclass, replace

from diffusion_policy_ros.checks import check_choice, is_count, is_number, shown
from diffusion_policy_ros.choices import JOINS
from diffusion_policy_ros.diffusion import (
    draw_noise, has_levels, inference_levels, Inpainted, promise_weights, refine, Sampler, solve)
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np
import torch

MOST_CANDIDATES = 256
FIRST_COUNT = 2**32


@dataclass(frozen=True)
class PlanOptions:
    """
    How plans are made.

    :ivar sampler: ``Sampler``.
    :ivar join: One of ``choices.JOINS``. ``warm_start`` refines what is promised instead of
        starting from noise; ``rtc`` samples a chunk that agrees with it; ``shared_noise`` gives
        an action the same start noise in every plan that holds it; ``coherent`` chooses the
        candidate that is nearest to what is promised. The others do not look at it.
    :ivar num_candidates: Chunks sampled for each plan, of which one is followed.
    :ivar warm_start_level: Noise up to which ``warm_start`` begins, as a share of the training's
        timesteps, in (0, 1); it takes the same share of the sampler's steps.
    :raises ConfigError: naming the field and what it may be.
    """

    sampler: Sampler
    join: str = 'none'
    num_candidates: int = 1
    warm_start_level: float = 0.6

    def __post_init__(self):
        """Check every field."""
        check_choice('join', self.join, JOINS, ConfigError)
        if not is_count(self.num_candidates, most=MOST_CANDIDATES):
            raise ConfigError(f'num_candidates is {shown(self.num_candidates)}; it must be a '
                              f'whole number from 1 to {MOST_CANDIDATES}')
        if not is_number(self.warm_start_level) or not 0 < self.warm_start_level < 1:
            raise ConfigError(f'warm_start_level is {shown(self.warm_start_level)}; it must be '
                              'above 0 and below 1')

    def check(self, policy):
        """
        Refuse what the policy cannot do.

        :param policy: The ``Policy``.
        :raises ConfigError: if a sampler does not fit it.
        """
        policy.check_sampler(self.sampler)
        if self.join == 'warm_start':
            inference_levels(policy.process,
                             self.warm_sampler(policy.config.num_train_timesteps))

    def within(self, evaluations, promise, process):
        """
        Return the same options with as many steps as fit into a budget, never more.

        :param evaluations: Denoiser calls that a plan may cost, at least 1.
        :param promise: ``Promise`` that the plan shall agree with.
        :param process: ``DiscreteVp`` of the training.
        :return: ``PlanOptions`` with the most steps that fit and have levels; the same ones where
            none have, as of the adaptive solver, which chooses its own.
        """
        is_warm = self.join == 'warm_start' and not promise.is_empty
        for steps in range(self.sampler.num_inference_steps, 0, -1):
            options = replace(self, sampler=self.sampler.changed(num_inference_steps=steps))
            sampler = options.warm_sampler(process.num_train_timesteps) if is_warm \
                else options.sampler
            if sampler.evaluations <= evaluations and has_levels(process, sampler):
                return options
        return self

    def warm_sampler(self, num_train_timesteps) -> Sampler:
        """
        Return the sampler that ``warm_start`` refines with.

        :param num_train_timesteps: Timesteps of the training.
        """
        level = self.warm_start_level
        return self.sampler.changed(
            start_timestep=float(round(level * (num_train_timesteps - 1))),
            num_inference_steps=max(round(level * self.sampler.num_inference_steps), 1))


@dataclass(frozen=True, eq=False)
class Plans:
    """
    Plans for B windows.

    :ivar chunks: The chunks to follow, float32 (B, horizon, action_dim), robot units.
    :ivar candidates: All that were sampled, float32 (B, K, horizon, action_dim), robot units.
    :ivar spread: Root mean square distance of the candidates from their mean, over the rows that
        may be executed, float32 (B,), normalized units; 0 for a single candidate.
    :ivar evaluations: Denoiser calls.
    :ivar is_complete: Whether there was time for all of them.
    """

    chunks: torch.Tensor
    candidates: torch.Tensor
    spread: torch.Tensor
    evaluations: int
    is_complete: bool


@torch.inference_mode()
def make_plans(policy, global_cond, promises, generators, options, *, is_late=None) -> Plans:
    """
    Sample chunks that follow what is promised, as the options say.

    A plan depends on its own condition, promise and generator only, as far as the solver is
    deterministic; a stochastic one draws fresh noise for the whole batch from the first one.

    :param policy: The ``Policy``.
    :param global_cond: From ``Policy.encode``, float32 (B, global_cond_dim).
    :param promises: ``Promise`` of each window; for ``warm_start``, all of them empty or none.
    :param generators: torch.Generator on the CPU for the noise of each window. ``shared_noise``
        only takes its initial seed, which must be the same as long as plans follow each other.
    :param options: ``PlanOptions``.
    :param is_late: As for ``diffusion.integrate``.
    :return: ``Plans``.
    :raises ConfigError: if a sampler does not fit the policy.
    :raises SamplingError: as ``Policy.sample``.
    """
    shape = (options.num_candidates, policy.config.horizon, policy.config.action_dim)
    if options.join == 'shared_noise':
        noise = [_row_noise(generator.initial_seed(), promise, shape)
                 for generator, promise in zip(generators, promises)]
    else:
        noise = [draw_noise(shape, generator=generator) for generator in generators]
    known, weights = _known(policy, promises)  # (B, horizon, action_dim) both
    solution = _solve(policy, global_cond, torch.cat(noise), known, weights, options,
                      generator=generators[0], is_late=is_late)
    normalized = solution.x.unflatten(0, (len(promises), -1))  # (B, K, horizon, action_dim)
    chosen = torch.zeros(len(promises), dtype=torch.int64, device=normalized.device)
    if options.join == 'coherent':
        chosen = _distance(normalized, known, weights).argmin(dim=1)
    candidates = policy.normalizer.unnormalize(ACTION_KEY, normalized)
    return Plans(candidates[torch.arange(len(promises), device=chosen.device), chosen], candidates,
                 _spread(policy.executable(solution.x).unflatten(0, (len(promises), -1))),
                 solution.evaluations, solution.is_complete)


def _solve(policy, global_cond, noise, known, weights, options, **how):
    """Run the sampler for all candidates of all windows in one batch."""
    k, sampler = options.num_candidates, options.sampler
    cond, noise = global_cond.repeat_interleave(k, dim=0), noise.to(global_cond.device)
    known, weights = (part.repeat_interleave(k, dim=0) for part in (known, weights))
    if options.join == 'warm_start' and bool((weights > 0).any()):
        sampler = options.warm_sampler(policy.config.num_train_timesteps)
        return refine(policy.denoiser(cond, sampler), known, noise, policy.process, sampler, **how)
    denoiser = policy.denoiser(cond, sampler)
    if options.join == 'rtc':
        denoiser = Inpainted(denoiser, known, weights)
    return solve(denoiser, noise, policy.process, sampler, **how)


def _known(policy, promises):
    """Return what is promised, normalized, to the end of the chunk, and how firmly."""
    is_velocity = _velocities(policy)
    rows = torch.from_numpy(np.stack(
        [_filled(promise.rows, is_velocity) for promise in promises])).float()
    known = policy.normalizer.normalize(ACTION_KEY, rows.to(policy.device))
    weights = []
    for promise in promises:
        is_known = torch.from_numpy(np.isfinite(promise.rows))  # (horizon, action_dim)
        end = 0 if promise.is_empty else int(is_known.any(dim=1).nonzero().max()) + 1
        weights.append(promise_weights(promise.frozen, end, len(is_known))[:, None] * is_known)
    return known, torch.stack(weights).to(known)


def _velocities(policy):
    """Tell which entries of the action are velocities, bool (action_dim,)."""
    if policy.contract is None:
        return np.zeros(policy.config.action_dim, dtype=bool)
    outputs = policy.contract.actions
    return np.repeat([o.is_velocity for o in outputs], [len(o.names) for o in outputs])


def _filled(rows, is_velocity):
    """
    Replace what is not promised by the nearest earlier row, else by the nearest later one.

    After the last promised row velocities are 0: a plan that ends does not say to go on.
    """
    filled = np.array(rows)
    has_ended = ~np.isfinite(rows[::-1]).cumsum(axis=0, dtype=bool)[::-1]
    filled[has_ended & is_velocity] = 0.0
    for order in (range(1, len(rows)), range(len(rows) - 2, -1, -1)):
        for row in order:
            before = row - 1 if order.step == 1 else row + 1
            filled[row] = np.where(np.isnan(filled[row]), filled[before], filled[row])
    return np.nan_to_num(filled)


def _row_noise(seed, promise, shape):
    """Draw noise that belongs to the due time of each row, float32 (K, horizon, action_dim)."""
    count, rows, entries = shape
    # Rows before the first tick have numbers below 0, which a counter cannot.
    first = promise.first_row + FIRST_COUNT
    drawn = [np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, row]))
             .standard_normal((count, entries), dtype=np.float32)
             for row in range(first, first + rows)]
    return torch.from_numpy(np.stack(drawn, axis=1))


def _distance(candidates, known, weights):
    """Return how far each candidate is from what is promised, (B, K), normalized units."""
    apart = (candidates - known[:, None]).square() * weights[:, None]
    return apart.sum(dim=(-2, -1))


def _spread(candidates):
    """Return the root mean square distance from the mean, (B,)."""
    apart = candidates - candidates.mean(dim=1, keepdim=True)
    return apart.square().sum(dim=-1).mean(dim=(1, 2)).sqrt()
