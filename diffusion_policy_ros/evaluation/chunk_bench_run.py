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

"""A policy measured under every setting of ``dpr bench chunk``, with all that can take part."""

from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
import tempfile
from types import SimpleNamespace

from diffusion_policy_ros.diffusion import check_start, DiscreteVp
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.chunk_bench import (
    bench_sampler, chunk_difference, ChunkRow, DIFFUSERS, LEROBOT, measure_in_turn,
    own_policies, PEERS, PLAIN, SERVED, served_name, Setting)
from diffusion_policy_ros.evaluation.chunk_bench_peers import PeerProcess
from diffusion_policy_ros.evaluation.chunk_bench_policy import random_noise, random_window
from diffusion_policy_ros.evaluation.roofline import chunk_work, roofline
from diffusion_policy_ros.policy import lerobot_config
from diffusion_policy_ros.policy.acceleration import accelerated
from diffusion_policy_ros.policy.checkpoint import Checkpoint, export_checkpoint
from diffusion_policy_ros.policy.export.backend import served_policy
from diffusion_policy_ros.policy.export.runtimes import FORMAT_OF
from diffusion_policy_ros.policy.export.writing import export_policy
import torch

# Beyond which two ways did not draw the same chunk. On a GPU all of them multiply float32 as
# TF32 in their convolutions, but not in the same order.
TOLERANCES = {'cpu': 1e-4, 'cuda': 1e-2}
NOBODY = SimpleNamespace(ways={})


@dataclass(frozen=True)
class ChunkPlan:
    """
    What is to be measured.

    :ivar solver: One of ``BENCH_SOLVERS``.
    :ivar evaluations: Numbers of denoiser calls.
    :ivar candidates: Numbers of chunks that are drawn at a time.
    :ivar precisions: Those that are served.
    :ivar backends: Runtimes by which it is served as well, in float32.
    :ivar repeats: How often every other way is timed.
    :ivar model: Checkpoint folder of the policy; None for an untrained one.
    :ivar python: Interpreter that has lerobot; None where there is none.
    """

    solver: str
    evaluations: tuple
    candidates: tuple
    precisions: tuple
    backends: tuple
    repeats: int
    model: Path = None
    python: str = None

    @property
    def settings(self) -> tuple:
        """Return every ``Setting``, in order."""
        return tuple(Setting(*pair) for pair in product(self.evaluations, self.candidates))


class ChunkBench:
    """
    Measures policies.

    :ivar notes: Sentences about what takes no part, or drew another chunk.
    :ivar versions: Package -> version in the other Python.
    :ivar is_equal: Whether all drew the same chunks, where they should.
    """

    def __init__(self, plan, limits, folder):
        """
        Begin.

        :param plan: ``ChunkPlan``.
        :param limits: ``MachineLimits``.
        :param folder: Folder with room for checkpoints, which are removed again.
        """
        self._plan, self._limits, self._folder = plan, limits, folder
        self.notes, self.versions, self.is_equal = {}, {}, True

    def measure(self, name, policy):
        """
        Measure a policy, setting by setting.

        :param name: What it is called.
        :param policy: ``Policy`` in eval mode.
        :return: Iterator of ``ChunkRow``.
        :raises DiffusionPolicyError: if it cannot be served so, or the other Python fails.
        """
        plan, window = self._plan, random_window(policy)
        with tempfile.TemporaryDirectory(prefix='dpr_bench_', dir=self._folder) as folder, \
                self._others(policy, window, Path(folder)) as others:
            ways = {**own_policies(policy, plan.solver, window, self._served(
                policy, Path(folder)), max(plan.candidates)), **others.ways}
            for setting in plan.settings:
                yield from self._rows(name, ways, setting, window)

    def _served(self, policy, folder):
        """Return what the policy server would make of a policy, by name."""
        plan, model = self._plan, self._plan.model or folder / SERVED
        served = {served_name(precision): accelerated(policy, precision=precision)
                  for precision in plan.precisions}
        if plan.backends and not plan.model:
            export_checkpoint(model, self._checkpoint(policy))
            for form in {FORMAT_OF[backend] for backend in plan.backends}:
                export_policy(model, form)
        return {**served, **{served_name(backend): served_policy(policy, model, backend=backend)
                             for backend in plan.backends}}

    def _checkpoint(self, policy):
        """Return a policy as LeRobot's folders hold it."""
        sampler = bench_sampler(self._plan.solver, self._plan.evaluations[0], policy.config)
        return Checkpoint(policy.config, policy.normalizer.statistics, policy.state_dict(), None,
                          sampler)

    def _others(self, policy, window, folder):
        """Return a context with the process of the other libraries."""
        plan, reasons = self._plan, lerobot_config.refusals(policy.config)
        if plan.python is None:
            self._note(f'{DIFFUSERS} and {LEROBOT} take no part: no Python was named that has '
                       'them')
            return nullcontext(NOBODY)
        if not reasons:
            export_checkpoint(folder / LEROBOT, self._checkpoint(policy))
        if plan.solver != 'ddim':
            reasons = [f'it has no {plan.solver}']
        others = PeerProcess(
            plan.python, folder, lerobot=None if reasons else folder / LEROBOT,
            checkpoint=plan.model or folder / LEROBOT, solver=plan.solver, window=window,
            noise=random_noise(policy, max(plan.candidates)), device=policy.device,
            threads=torch.get_num_threads())
        self.versions = others.versions
        for peer, reason in {**others.left_out,
                             **({LEROBOT: '; '.join(reasons)} if reasons else {})}.items():
            self._note(f'{peer} takes no part: {reason}')
        return closing(others)

    def _rows(self, name, ways, setting, window):
        """Measure one setting."""
        plan, policy = self._plan, ways[PLAIN].policy
        reference = ways[PLAIN].executable(setting)
        differences = {way: chunk_difference(policy, ways[way].executable(setting), reference)
                       for way in ways}
        self._compare(name, setting, differences, policy.device)
        times, ratios = measure_in_turn(ways, setting, plan.repeats)
        work = chunk_work(policy, window, setting.candidates)
        precisions = {served_name(precision): precision for precision in plan.precisions}
        for way in ways:
            yield ChunkRow(
                name, shape_of(policy, work), setting, way,
                tuple(1e3 * seconds for seconds in times[way]), ratios.get(way, {}),
                differences[way], roofline(work, setting.evaluations,
                                           precisions.get(way, 'float32'), self._limits))

    def _compare(self, name, setting, differences, device):
        """Note which ways did not draw the plain chunk, of those that should."""
        should = differences.keys() & {
            *map(served_name, ('float32', *self._plan.backends)), *PEERS}
        if self._plan.solver != 'ddim' and self._plan.model and DIFFUSERS in should:
            should.remove(DIFFUSERS)
            self._note(f'the DPM-Solver++ of {DIFFUSERS} clips no prediction, by which its chunk '
                       'may differ')
        for way in sorted(should):
            if differences[way] > TOLERANCES[device.type]:
                self.is_equal = False
                self._note(f'WARNING: {way} drew another chunk of {name}, {setting.evaluations} '
                           f'evaluations: difference {differences[way]:.1e}')

    def _note(self, sentence):
        """Keep a sentence once."""
        self.notes[sentence] = None


def check_plan(plan, config):
    """
    Refuse settings that a policy has no sampler for.

    :param plan: ``ChunkPlan``.
    :param config: PolicyConfig.
    :raises ConfigError: naming the number of evaluations.
    """
    for evaluations in plan.evaluations:
        try:
            if evaluations > config.num_train_timesteps:
                raise ConfigError('at most one for each timestep of the training, of which there '
                                  f'are {config.num_train_timesteps}')
            check_start(DiscreteVp.of(config),
                        bench_sampler(plan.solver, evaluations, config))
        except ConfigError as error:
            raise ConfigError(
                f'--evaluations {evaluations} with {plan.solver}: {error}') from error


def shape_of(policy, work) -> dict:
    """
    Say what a policy sees and makes.

    :param policy: ``Policy``.
    :param work: Its ``ChunkWork``.
    :return: Name -> number or text.
    """
    config = policy.config
    shape = {'denoiser': config.denoiser.type, 'denoiser weights': work.denoiser_weights,
             'encoder weights': work.encoder_weights, 'observed rows': config.n_obs_steps,
             'horizon': config.horizon, 'cameras': len(config.image_keys)}
    if config.image_keys:
        shape.update({'backbone': config.vision_backbone,
                      'image size': 'x'.join(map(str, config.encoded_shape[1:]))})
    return shape
