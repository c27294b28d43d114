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

from contextlib import closing, contextmanager
import hashlib
from pathlib import Path
import shutil

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
from diffusion_policy_ros.data.datasets.statistics import vector_statistics
from diffusion_policy_ros.errors import CheckpointError, ConfigError, DatasetError
from diffusion_policy_ros.policy.checkpoint import check_place
from diffusion_policy_ros.policy.device import memory_guard
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.streams import ACTION_KEY, IMAGE_KEY_PREFIX
from diffusion_policy_ros.training import diffusion_stage, pretraining
from diffusion_policy_ros.training.loop import Loop
from diffusion_policy_ros.training.snapshot import FACTS, read_facts
from diffusion_policy_ros.yaml_text import parse_yaml
import numpy as np
import torch

SETTINGS = 'train.yaml'


@memory_guard('lower batch_size, or policy.down_dims')
def train(dataset_dir, out, config, *, device, resume, stop_requested, cache_dir=None):
    """
    Train a policy, or go on with a run that was stopped.

    :param dataset_dir: LeRobotDataset v3.0 folder with its contract.
    :param out: Checkpoint folder to write; the run's own files go to ``<out>.run`` beside it.
    :param config: ``TrainConfig``.
    :param device: Torch device.
    :param resume: Go on from ``<out>.run``.
    :param stop_requested: Called after each step; True stops the run with a snapshot.
    :param cache_dir: Folder for the decoded dataset; by default inside the dataset.
    :return: One sentence about the result.
    :raises DiffusionPolicyError: naming what does not fit.
    """
    out = Path(out).resolve()
    if not out.name:
        raise ConfigError(f'--out is {out}; name a folder that a checkpoint can be written to')
    run_folder = out.with_name(out.name + '.run')
    reader = LeRobotReader(dataset_dir)
    policy_config = _policy_config(reader, config)
    facts = _prepare(out, run_folder, config.to_yaml(), resume)
    with _kept_once_begun(run_folder, stop_requested) as stop_requested:
        cache = build_cache(dataset_dir, cache_dir)
        identity = {'config': config.to_yaml(), 'dataset': _digest(cache)}
        _check_dataset(run_folder, facts, identity)
        torch.manual_seed(config.seed)
        split = _Split(cache.episode_ends, config.validation_episodes)
        policy = _build_policy(policy_config, reader, cache, split).to(device)
        loop = Loop(run_folder, config, identity=identity, stop_requested=stop_requested,
                    seconds_before=facts.get('seconds', 0.0))
        figures = _run_stages(policy, cache, split, config, loop, out, device,
                              resumed_stage=facts.get('stage'))
    found = ', '.join(f'{name} {value:.4g}' for name, value in figures.items())
    return (f'{out}: trained {config.steps} steps in {loop.seconds / 60:.1f} min on '
            f'{split.train_episodes} episodes{"; " if found else ""}{found}')


@contextmanager
def _kept_once_begun(run_folder, stop_requested):
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
        if not begun and not (run_folder / FACTS).exists():
            shutil.rmtree(run_folder, ignore_errors=True)
        raise


class _Split:
    """Which rows are trained on and which are held out: the last episodes."""

    def __init__(self, episode_ends, validation_episodes):
        """Cut the rows at an episode's end."""
        self.train_episodes = len(episode_ends) - validation_episodes
        if self.train_episodes < 1:
            raise DatasetError(f'validation_episodes is {validation_episodes}, but the dataset '
                               f'has only {len(episode_ends)} episodes; hold out fewer')
        self.first_held_out = int(episode_ends[self.train_episodes - 1])

    def rows(self, rows):
        """Return ``(training rows, held-out rows)`` of an array of rows."""
        return rows[rows < self.first_held_out], rows[rows >= self.first_held_out]


def _digest(cache):
    """Return a digest of what is trained on: episodes, vectors and actions, not pictures."""
    digest = hashlib.sha256(np.ascontiguousarray(cache.episode_ends).tobytes())
    for key, array in sorted(cache.arrays.items()):
        digest.update(key.encode() if array.ndim > 2 else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _prepare(out, run_folder, settings, resume):
    """Check the folders, make the run's, and return the facts of its snapshot, or {}."""
    check_place(out)
    facts = read_facts(run_folder)
    if resume:
        _check_resumable(run_folder, settings, facts)
    elif facts is not None:
        raise ConfigError(f'{run_folder} holds a run that can be resumed; add --resume, or delete '
                          f'it and {out} to start anew')
    elif out.exists() and any(out.iterdir()):
        raise ConfigError(f'{out} holds a checkpoint, which a new run would replace; choose '
                          'another --out, or delete that folder')
    try:
        if not resume:
            _clear(run_folder)
        run_folder.mkdir(parents=True, exist_ok=True)
        (run_folder / SETTINGS).write_text(settings)
    except OSError as error:
        raise ConfigError(f'{run_folder} cannot be written to ({error}); choose another --out'
                          ) from error
    return facts or {}


def _check_resumable(run_folder, settings, facts):
    """Refuse to resume what is not there, or with other settings."""
    if facts is None:
        raise ConfigError(f'{run_folder} holds no snapshot to resume from; leave out --resume')
    where = f'{run_folder / FACTS}: config'
    old = parse_yaml(facts['config'], where, CheckpointError)
    if not isinstance(old, dict):
        raise CheckpointError(f'{where} is {shown(old)}, which are no settings; delete the folder '
                              'to start anew')
    differences = _differences(_flat(old), _flat(parse_yaml(settings, SETTINGS, ConfigError)))
    if differences:
        raise ConfigError(f'the settings differ from those of the run in {run_folder} '
                          f'({", ".join(differences)}); resume with the same --config and --set '
                          'as it was started with')


def _differences(old, new):
    """Return ``key: old -> new`` for each setting that differs."""
    return [f'{key}: {_value(old, key)} -> {_value(new, key)}' for key in {**old, **new}
            if key not in old or key not in new or old[key] != new[key]]


def _value(settings, key):
    """Return a setting as a user would write it, shortened where it is long."""
    return shown(settings[key]) if key in settings else 'default'


def _flat(settings, prefix=''):
    """Return the settings of a nested mapping under their dotted names."""
    flat = {}
    for name, value in settings.items():
        key = f'{prefix}{name}'
        flat.update(_flat(value, f'{key}.') if isinstance(value, dict) else {key: value})
    return flat


def _check_dataset(run_folder, facts, identity):
    """Refuse to resume with another dataset."""
    if facts and facts['dataset'] != identity['dataset']:
        raise ConfigError(f'the dataset differs from that of the run in {run_folder}; resume '
                          'with the dataset that it was started with')


def _clear(run_folder):
    """Remove what a run left that ended before its first snapshot, and nothing else."""
    if not run_folder.exists():
        return
    if any(run_folder.iterdir()) and not (run_folder / SETTINGS).is_file():
        raise ConfigError(f'{run_folder} holds something else than a training run; choose '
                          'another --out')
    shutil.rmtree(run_folder)


def _policy_config(reader, config):
    """Return the policy's configuration, checked against the dataset before that is decoded."""
    if reader.contract is None:
        raise DatasetError(f'{reader.folder} has no meta/contract.yaml, so nobody could tell what '
                           'the policy needs; convert the bags with dpr convert')
    policy_config = PolicyConfig.from_contract(reader.contract, **config.policy)
    target = config.pretraining.target
    usable = [key for key in (*reader.contract.keys, ACTION_KEY)
              if not key.startswith(IMAGE_KEY_PREFIX)]
    if target is not None and (target not in usable or not policy_config.image_keys):
        raise ConfigError(f'pretraining.target is {target!r}; it needs a camera and one of the '
                          f'recorded vectors: {", ".join(usable)}')
    return policy_config


def _build_policy(policy_config, reader, cache, split):
    """Build an untrained policy for the dataset, normalized by its training episodes."""
    vectors = [key for key in (*policy_config.input_features, ACTION_KEY)
               if key not in policy_config.image_keys]
    statistics = {key: vector_statistics(cache.arrays[key][:split.first_held_out])
                  for key in vectors}
    return Policy.from_dataset(policy_config, {**reader.statistics(), **statistics},
                               reader.contract)


def _run_stages(policy, cache, split, config, loop, out, device, *, resumed_stage):
    """Run the stages that are still to do and return the figures of the last validation."""
    try:
        with closing(loop):
            if config.pretraining.target and resumed_stage != diffusion_stage.STAGE:
                _pretrain(policy, cache, split, config, loop, device)
            return _train_diffusion(policy, cache, split, config, loop, out, device)
    except OSError as error:
        raise ConfigError(f'{loop.folder} cannot be written to ({error}); make room there and run '
                          'the same command with --resume') from error


def _pretrain(policy, cache, split, config, loop, device):
    """Run the encoder's first stage."""
    target = config.pretraining.target
    frames = {key: cache.arrays[key] for key in policy.config.image_keys}
    rows, held_out = split.rows(np.arange(len(cache.arrays[target])))
    loop.run(pretraining.PretrainingStage(
        policy, frames, cache.arrays[target], rows, held_out, config, device).stage())


def _train_diffusion(policy, cache, split, config, loop, out, device):
    """Run the main stage and write the checkpoint folder with the averaged weights."""
    frozen = config.pretraining.target is not None and config.pretraining.freeze
    stage = diffusion_stage.DiffusionStage(policy, cache, split, config, device, frozen=frozen)

    def publish():
        with stage.ema.applied():
            policy.save(out, weights_dtype=config.storage)

    return loop.run(stage.stage(publish))
