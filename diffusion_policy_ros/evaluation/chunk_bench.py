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

"""Whole chunks, timed in turn: a policy as it is served, and the same weights run by others."""

from dataclasses import dataclass
from functools import partial
import time

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.evaluation.chunk_bench_policy import random_noise
from diffusion_policy_ros.evaluation.roofline import Roofline
from diffusion_policy_ros.policy.lerobot_config import scheduler_sampler
from diffusion_policy_ros.policy.row_encoder import RowEncoder
from diffusion_policy_ros.streams import ACTION_KEY
import torch

SERVED, PLAIN, DIFFUSERS, LEROBOT = 'served', 'plain', 'diffusers', 'lerobot'
# Who is compared with what is served, in this order.
PEERS = (PLAIN, DIFFUSERS, LEROBOT)
WARM_UP_CHUNKS = 3
# Threads of the one before may still turn in a loop and wait for work.
PAUSE_S = 0.01


@dataclass(frozen=True)
class Setting:
    """
    What is drawn.

    :ivar evaluations: Denoiser calls of a chunk.
    :ivar candidates: Chunks that are drawn at a time for one observation.
    """

    evaluations: int
    candidates: int


@dataclass(frozen=True)
class ChunkRow:
    """
    What was measured of one way to draw chunks.

    :ivar network: What the policy is called.
    :ivar shape: What it sees and makes, by name.
    :ivar setting: ``Setting``.
    :ivar name: ``served``, with its precision unless that is float32 or with its runtime, or one
        of ``PEERS``.
    :ivar times_ms: Time of every chunk, ms.
    :ivar ratios: Of what is served: peer -> how many times as long the peer took, in each pair.
    :ivar difference: Largest difference from the plain chunk, over the rows that may be executed,
        in normalized units, relative above 1.
    :ivar bound: ``Roofline``.
    """

    network: str
    shape: dict
    setting: Setting
    name: str
    times_ms: tuple
    ratios: dict
    difference: float
    bound: Roofline


class OwnPolicy:
    """A policy in this process, from a window to a chunk in robot units on the CPU."""

    def __init__(self, policy, encode, solver, noise):
        """
        Hold on to what chunks are made from.

        :param policy: ``Policy``.
        :param encode: Function without arguments that encodes a window of one observation, to
            float32 (1, global_cond_dim).
        :param solver: One of ``BENCH_SOLVERS``.
        :param noise: Start noise of the most candidates, float32.
        """
        self.policy = policy
        self._encode, self._solver, self._noise = encode, solver, noise

    @torch.inference_mode()
    def draw(self, setting) -> torch.Tensor:
        """
        Draw the candidates; the window is encoded once for all of them.

        :param setting: ``Setting``.
        :return: float32 (candidates, horizon, action_dim).
        """
        cond = self._encode().repeat_interleave(setting.candidates, dim=0)
        sampler = bench_sampler(self._solver, setting.evaluations, self.policy.config)
        return self.policy.sample_from(cond, sampler=sampler,
                                       noise=self._noise[:setting.candidates]).cpu()

    def seconds(self, setting) -> float:
        """
        Time that.

        :param setting: ``Setting``.
        """
        started_s = time.perf_counter()
        self.draw(setting)
        return time.perf_counter() - started_s

    def executable(self, setting) -> torch.Tensor:
        """
        Draw, and return the rows that may be executed.

        :param setting: ``Setting``.
        :return: float32 (candidates, n_action_steps, action_dim).
        """
        return self.policy.executable(self.draw(setting))


def bench_sampler(solver, evaluations, config) -> Sampler:
    """
    Return the sampler of a setting; ``ddim`` visits LeRobot's levels, so that chunks are equal.

    :param solver: One of ``BENCH_SOLVERS``.
    :param evaluations: Denoiser calls.
    :param config: PolicyConfig.
    :raises ConfigError: if there is no such sampler.
    """
    if solver == 'ddim':
        return Sampler(**scheduler_sampler('DDIM', evaluations, config.num_train_timesteps,
                                           config.clip_sample))
    return Sampler(solver, num_inference_steps=evaluations)


def own_policies(policy, solver, window, served, candidates) -> dict:
    """
    Return the ways of this package to draw a chunk.

    What is served encodes a window as the policy server does where none of its rows was in the
    one before.

    :param policy: ``Policy`` in eval mode, which becomes the plain loop.
    :param solver: One of ``BENCH_SOLVERS``.
    :param window: Window of one observation.
    :param served: Name -> ``Policy`` that the policy server would make of it.
    :param candidates: The most that are drawn at a time.
    :return: Name -> ``OwnPolicy``.
    """
    noise = random_noise(policy, candidates)
    rows = {key: value[0] for key, value in window.items()}
    return {**{name: OwnPolicy(fast, partial(RowEncoder(fast).encode, rows), solver, noise)
               for name, fast in served.items()},
            PLAIN: OwnPolicy(policy, partial(policy.encode, window), solver, noise)}


def served_name(way) -> str:
    """
    Return what a served policy is called.

    :param way: Precision of its weights, or the runtime that computes it.
    """
    return SERVED if way == 'float32' else f'{SERVED} {way}'


def measure_in_turn(ways, setting, repeats) -> tuple:
    """
    Time all ways in turn: before each peer, what is served.

    :param ways: Name -> object with ``seconds(setting)``; those in ``PEERS`` are peers.
    :param setting: ``Setting``.
    :param repeats: How often each peer is timed.
    :return: Name -> times in s, and name of what is served -> peer -> ratios of a pair.
    """
    served = [name for name in ways if name not in PEERS]
    peers = [name for name in ways if name in PEERS]
    times = {name: [] for name in ways}
    ratios = {name: {peer: [] for peer in peers} for name in served}
    for way in ways.values():
        for _ in range(WARM_UP_CHUNKS):
            way.seconds(setting)
    for peer in repeats * peers:
        for name in (*served, peer):
            time.sleep(PAUSE_S)
            times[name].append(ways[name].seconds(setting))
        for name in served:
            ratios[name][peer].append(times[peer][-1] / times[name][-1])
    return times, ratios


def chunk_difference(policy, chunk, reference) -> float:
    """
    Compare chunks in normalized units, relative where those exceed 1.

    :param policy: ``Policy``, for its normalizer.
    :param chunk: float32 (candidates, rows, action_dim) in robot units.
    :param reference: What it should be.
    """
    ours, theirs = (policy.normalizer.normalize(ACTION_KEY, one.to(policy.device))
                    for one in (chunk, reference))
    return float(((ours - theirs).abs() / theirs.abs().clamp(min=1)).max())
