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

"""A whole training run: from a dataset folder to a checkpoint folder."""

from contextlib import contextmanager, nullcontext
import hashlib
from pathlib import Path
import shlex
import shutil
import sys
import warnings

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.statistics import vector_statistics
from diffusion_policy_ros.diffusion import default_sampler, DiscreteVp
from diffusion_policy_ros.diffusion.sampling import LARGEST_ALPHA
from diffusion_policy_ros.errors import ConfigError, DatasetError
from diffusion_policy_ros.policy.backbone_weights import (
    imagenet_statistics, load_backbone_weights)
from diffusion_policy_ros.policy.device import memory_guard
from diffusion_policy_ros.policy.diffusion_networks import DiffusionNetworks
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.streams import ACTION_KEY, IMAGE_KEY_PREFIX
from diffusion_policy_ros.training.bad_batch import BAD_BATCHES
from diffusion_policy_ros.training.beginning import tell_beginning
from diffusion_policy_ros.training.loop import Loop
from diffusion_policy_ros.training.processes import Processes
from diffusion_policy_ros.training.record import check_wandb
from diffusion_policy_ros.training.run_folder import (
    best_folder, check_alike, check_dataset, prepared_folder, run_folder_of)
from diffusion_policy_ros.training.snapshot import FACTS, read_facts
from diffusion_policy_ros.training.split import Split
from diffusion_policy_ros.training.stages import Stages
from diffusion_policy_ros.training.without_effect import check_effects
import numpy as np
import torch
from tqdm import tqdm

# Levels times the last beta in the linear schedule of Ho et al. 2020 (arXiv:2006.11239).
LINEAR_NOISE = 1000 * 0.02


@memory_guard('lower batch_size, or policy.down_dims')
def train(dataset_dir, out, config, *, device, resume, stop_requested, cache_dir=None,
          processes=None, roll_out=None):
    """
    Train a policy, or go on with a run that was stopped.

    :param dataset_dir: LeRobotDataset v3.0 folder with its contract.
    :param out: Checkpoint folder to write; the run's own files go to ``<out>.run`` beside it.
    :param config: ``TrainConfig``.
    :param device: Torch device.
    :param resume: Go on from ``<out>.run``.
    :param stop_requested: Called after each step; True stops the run with a snapshot.
    :param cache_dir: Folder for the decoded dataset; by default inside the dataset.
    :param processes: ``Processes`` that train together, by default this one alone.
    :param roll_out: ``policy -> {'rollout_score': ..., 'rollout_success': ...}`` of episodes in
        simulation; needed where ``config.rollouts`` asks for them.
    :return: One sentence about the result.
    :raises DiffusionPolicyError: naming what does not fit.
    """
    out, processes = Path(out).resolve(), processes or Processes()
    run_folder = run_folder_of(out)
    reader = LeRobotReader(dataset_dir)
    policy_config = _policy_config(reader, config, is_new=not resume)
    with _begun(out, run_folder, config, resume, processes, device) as facts, \
            _kept_once_begun(run_folder, stop_requested, processes) as stop_requested:
        cache = _open_cache(dataset_dir, cache_dir, processes)
        identity = {'config': config.to_yaml(), 'dataset': _digest(cache)}
        check_dataset(run_folder, facts, identity)
        split = Split(cache.episode_ends, config.validation_episodes)
        _check_windows(config, policy_config, split, processes)
        policy = _build_policy(policy_config, reader, cache, split, config, processes,
                               is_new=not facts)
        tell_beginning(policy, config, split, processes, device, facts)
        loop = Loop(run_folder, config, identity=identity, stop_requested=stop_requested,
                    seconds_before=facts.get('seconds', 0.0), device=device, processes=processes)
        stages = Stages(
            policy.to(device), cache, split, config, loop, out=out, best=best_folder(out),
            device=device, processes=processes, roll_out=roll_out if config.rollouts.sim else None)
        figures = stages.run(resumed_stage=facts.get('stage'))
    return (f'{out}: trained {config.steps} steps in {loop.seconds / 60:.1f} min on '
            f'{split.train_episodes} episodes{_result(figures, loop.best, best_folder(out))}')


def _result(figures, best, folder):
    """Write the last figures of a run and its best one, as the rest of a sentence."""
    said = [', '.join(f'{name} {value:.4g}' for name, value in figures.items())] if figures else []
    if best:
        said.append(f'best, in {folder}: {best["figure"]} {best["value"]:.4g} after step '
                    f'{best["step"]}')
    return ''.join(f'; {text}' for text in said)


@contextmanager
def _begun(out, run_folder, config, resume, processes, device):
    """Let the first process prepare the folders; give the facts of the snapshot, or {}."""
    check_wandb(config.wandb_project)
    with prepared_folder(out, run_folder, config.to_yaml(), resume) if processes.is_first \
            else nullcontext() as facts:
        processes.wait()
        if not processes.is_first:
            facts = read_facts(run_folder) or {}
        if facts:
            check_alike(run_folder, processes, device)
        yield facts


def _open_cache(dataset_dir, cache_dir, processes):
    """Let the first process build the cache, if need be; the others only open it."""
    if processes.is_first:
        cache = build_cache(dataset_dir, cache_dir)
    processes.wait()
    return cache if processes.is_first else build_cache(dataset_dir, cache_dir, progress=False)


def _check_windows(config, policy_config, split, processes):
    """Refuse more windows than there are, and chunks that no episode is long enough for."""
    if policy_config.horizon > split.longest:
        raise ConfigError(
            f'policy.horizon is {policy_config.horizon}, and the longest training episode has '
            f'{split.longest} rows, so that every chunk would end in repetitions of its last row; '
            f'take at most {split.longest}, or record longer episodes')
    wanted = config.windows_per_step(processes.count)
    if wanted > split.first_held_out:  # each row has a window
        raise ConfigError(
            f'a step learns from {wanted} windows (batch_size * accumulation_steps * processes), '
            f'and the training episodes have only {split.first_held_out}; lower one '
            'of them')


@contextmanager
def _kept_once_begun(run_folder, stop_requested, processes):
    """
    Remove the run's folder if the run ends before its first step: it would hold nothing of use.

    :return: Gives what to call after each step in place of ``stop_requested``.
    """
    begun = False

    def after_step():
        nonlocal begun
        begun = True
        return stop_requested()

    try:
        yield after_step
    except BaseException:  # Ctrl-C too
        is_useful = any((run_folder / name).exists() for name in (FACTS, BAD_BATCHES))
        if processes.is_first and not begun and not is_useful:
            shutil.rmtree(run_folder, ignore_errors=True)
        raise


def _digest(cache):
    """Return a digest of what is trained on: episodes, vectors and actions, not pictures."""
    digest = hashlib.sha256(np.ascontiguousarray(cache.episode_ends).tobytes())
    for key, array in sorted(cache.arrays.items()):
        digest.update(key.encode() if array.ndim > 2 else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _policy_config(reader, config, *, is_new):
    """
    Return the policy's configuration, checked against the dataset before that is decoded.

    A run that goes on must have the settings that it began with, whatever a newer version thinks.
    """
    if reader.contract is None:
        raise DatasetError(f'{reader.folder} has no meta/contract.yaml, so nobody could tell what '
                           'the policy needs; give it one that fits its columns: dpr convert '
                           f'{shlex.quote(str(reader.folder))} --contract YAML --out NEW '
                           '(docs/datasets.md, "Train on data of others")')
    policy_config = PolicyConfig.from_contract(reader.contract, **config.policy)
    target = config.pretraining.target
    usable = [key for key in (*reader.contract.keys, ACTION_KEY)
              if not key.startswith(IMAGE_KEY_PREFIX)]
    if target is not None and (target not in usable or not policy_config.image_keys):
        raise ConfigError(f'pretraining.target is {target!r}; it needs a camera and one of the '
                          f'recorded vectors: {", ".join(usable)}')
    if is_new:
        check_effects(config, policy_config, reader.contract)
        _check_schedule(policy_config)
    if config.encoder_weights is not None:
        _check_encoder_weights(policy_config, config.encoder_weights)
    return policy_config


def _check_schedule(policy_config):
    """Refuse noise levels that never become noise alone, which is what sampling starts from."""
    process = DiscreteVp.of(policy_config)
    alpha, levels = process.level(process.t_max).alpha, process.num_train_timesteps
    if alpha > LARGEST_ALPHA:
        # As much noise in all as over the levels of the default; one level has the first beta.
        beta_end = f'policy.beta_end={min(LINEAR_NOISE / levels, 0.99):.2g} or ' \
            if levels > 1 else ''
        raise ConfigError(
            f'policy.beta_end is {policy_config.beta_end:g}: with policy.beta_schedule '
            f'{policy_config.beta_schedule} and {levels} levels alpha is {alpha:.2f} at the last '
            'one, where chunks are visible still, and sampling starts there from noise alone; '
            f'set {beta_end}policy.beta_schedule=squaredcos_cap_v2')


def _check_encoder_weights(policy_config, path):
    """Refuse weights that the encoder cannot start from."""
    with torch.device('meta'), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that nothing is copied
        load_backbone_weights(DiffusionNetworks(policy_config).encoders, path)


def _build_policy(policy_config, reader, cache, split, config, processes, *, is_new):
    """Build the policy to train, normalized by the training episodes; equal in all processes."""
    torch.manual_seed(config.seed)
    vectors = [key for key in (*policy_config.input_features, ACTION_KEY)
               if key not in policy_config.image_keys]
    statistics = {key: vector_statistics(cache.arrays[key][:split.first_held_out])
                  for key in vectors}
    policy = Policy.from_dataset(
        policy_config, {**reader.statistics(), **statistics}, reader.contract,
        sampler=default_sampler(DiscreteVp.of(policy_config)),
        image_statistics=imagenet_statistics() if config.encoder_weights else None)
    if config.encoder_weights is not None and is_new:
        said = load_backbone_weights(policy.diffusion.encoders, config.encoder_weights)
        if processes.is_first:
            tqdm.write(said, file=sys.stderr)
    if processes.rank:  # from here on each process drops activations of its own
        torch.manual_seed(config.seed + processes.rank)
    return policy
