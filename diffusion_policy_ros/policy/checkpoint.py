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
"""The checkpoint folder: safetensors, JSON and YAML that LeRobot 0.6 also loads."""

from dataclasses import asdict, dataclass
import hashlib
import json
import os
from pathlib import Path
import shutil
from typing import Optional

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import parse_contract, RobotContract
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import CheckpointError, ConfigError, ContractError
from diffusion_policy_ros.policy.checkpoint_files import (
    read_bytes, read_json, read_tensors, REMEDY)
from diffusion_policy_ros.policy.processors import (
    processor_documents, processor_tensors, read_statistics)
from safetensors.torch import save
import torch

CONFIG, WEIGHTS, CONTRACT = 'config.json', 'model.safetensors', 'contract.yaml'
EXTRAS = 'diffusion_policy_ros.json'
FORMAT_VERSION = 1
WEIGHT_DTYPES = {'float32': torch.float32, 'float16': torch.float16}


@dataclass(frozen=True)
class Checkpoint:
    """
    What a checkpoint folder holds.

    :ivar config: PolicyConfig.
    :ivar statistics: Key -> statistic -> float32 tensor.
    :ivar weights: Tensor name -> tensor.
    :ivar contract: RobotContract; None in a folder that this package did not write.
    :ivar sampler: Default Sampler.
    """

    config: PolicyConfig
    statistics: dict
    weights: dict
    contract: Optional[RobotContract]
    sampler: Sampler


def write_checkpoint(folder, checkpoint, *, weights_dtype='float32'):
    """
    Write a checkpoint folder beside its place, then put it there by renaming.

    :param folder: Path; a checkpoint there is replaced, its other files (a model card, training
        state) are carried over.
    :param checkpoint: Checkpoint with a contract.
    :param weights_dtype: ``float32`` or ``float16``: how weights are stored.
    :raises CheckpointError: if the path holds something else, a weight does not fit the dtype, or
        the disk refuses.
    """
    folder = Path(folder).resolve()
    check_place(folder)
    if checkpoint.contract is None:
        raise CheckpointError(f'{folder}: a checkpoint needs the robot contract of its training')
    weights = _stored_weights(checkpoint.weights, weights_dtype)
    fresh = folder.with_name(f'.{folder.name}.new')
    try:
        shutil.rmtree(fresh, ignore_errors=True)  # left by a process that was killed
        fresh.mkdir(parents=True)
        _write_files(fresh, checkpoint, weights)
        _put_in_place(fresh, folder)
    except OSError as error:
        raise CheckpointError(f'{folder} cannot be written: {error}') from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_checkpoint(folder) -> Checkpoint:
    """
    Read a checkpoint folder, this package's or LeRobot's.

    :param folder: Path of the folder.
    :return: Checkpoint, its weights in float32.
    :raises CheckpointError: naming the file, what is wrong with it and the remedy.
    """
    folder = Path(folder)
    config, contract, sampler = read_description(folder)
    weights = {name: tensor.float() for name, tensor in read_tensors(folder / WEIGHTS).items()}
    return Checkpoint(config, read_statistics(folder, config), weights, contract, sampler)


def read_description(folder) -> tuple:
    """
    Read what a checkpoint folder says of its policy, without the weights.

    :param folder: Path of the folder.
    :return: ``config``, ``contract`` and ``sampler`` of a ``Checkpoint``.
    :raises CheckpointError: naming the file, what is wrong with it and the remedy.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):  # for any name; is_dir raises for one that is too long
        raise CheckpointError(f'{folder} is no folder; give the folder that holds {CONFIG}')
    try:
        config = PolicyConfig.from_lerobot_json(read_json(folder / CONFIG))
    except ConfigError as error:
        raise CheckpointError(f'{folder / CONFIG}: {error}') from error
    return _read_extras(folder, config)


def check_weights(wanted, weights, folder):
    """
    Check that a checkpoint's weights are those of a configuration, all of them and no others.

    :param wanted: Tensor name -> tensor of the wanted shape, whose values are not looked at.
    :param weights: Tensor name -> tensor.
    :param folder: Where they came from, for error messages.
    :raises CheckpointError: if a name is missing or unknown, a shape differs, or a weight is not
        finite.
    """
    path = Path(folder) / WEIGHTS
    for word, names in (('lacks', wanted.keys() - weights.keys()),
                        ('has the unknown tensor', weights.keys() - wanted.keys())):
        if names:
            raise CheckpointError(f'{path} {word} {min(names)!r} (and {len(names) - 1} more), so '
                                  f'it does not fit {CONFIG}; {REMEDY}')
    for name, tensor in weights.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(f'{path}: {name!r} has shape {tuple(tensor.shape)}, {CONFIG} '
                                  f'wants {tuple(wanted[name].shape)}; {REMEDY}')
        _check_finite(path, name, tensor)


def check_unchanged(folder):
    """
    Refuse files that were put into a checkpoint after it was written.

    Weights, statistics and contract of another policy may fit in shape and still drive the robot
    wrongly. A folder of LeRobot's carries no digests and is taken as it is.

    :param folder: Path of the folder.
    :raises CheckpointError: naming the file.
    """
    folder = Path(folder)
    if not (folder / EXTRAS).exists():
        return
    digests = read_json(folder / EXTRAS).get('sha256')
    if not isinstance(digests, dict) or not {CONTRACT, WEIGHTS} <= digests.keys():
        raise CheckpointError(f'{folder / EXTRAS} lacks the digests of the files; {REMEDY}')
    for name, digest in digests.items():
        if _sha256(read_bytes(folder / name)) != digest:
            raise CheckpointError(
                f'{folder / name} is not the file that the policy was saved with; {REMEDY}. A '
                'robot with other topics gets a contract file of its own')


def weights_digest(folder) -> str:
    """
    Return the SHA-256 of a checkpoint's weights, by which people tell models apart.

    :param folder: Path of the folder.
    """
    return _sha256(read_bytes(Path(folder) / WEIGHTS))


def _sha256(data):
    """Return the digest of some bytes as hexadecimal text."""
    return hashlib.sha256(data).hexdigest()


def check_place(folder):
    """
    Refuse to replace what is no checkpoint.

    :param folder: pathlib.Path at which a checkpoint is to be written.
    :raises CheckpointError: if something else is there.
    """
    try:
        is_file = folder.exists() and not folder.is_dir()
        is_foreign = folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).exists()
    except OSError as error:
        raise CheckpointError(f'{folder} cannot be written to ({error}); choose another folder'
                              ) from error
    if is_file:
        raise CheckpointError(f'{folder} is a file; choose another folder')
    if is_foreign:
        raise CheckpointError(f'{folder} is not empty and no checkpoint (it has no {CONFIG}); '
                              'choose another folder')


def _stored_weights(weights, dtype):
    """Return weights as they are stored, refusing those that the dtype cannot hold."""
    if dtype not in WEIGHT_DTYPES:
        raise CheckpointError(f'weights_dtype is {dtype!r}; choose one of: '
                              f'{", ".join(WEIGHT_DTYPES)}')
    stored = {name: tensor.detach().to('cpu', WEIGHT_DTYPES[dtype]).contiguous()
              for name, tensor in weights.items()}
    for name, tensor in stored.items():
        _check_finite(f'weights as {dtype}', name, tensor)
    return stored


def _check_finite(where, name, tensor):
    """Refuse weights that are infinite or not numbers."""
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f'{where}: {name!r} is not finite: the training diverged; use an '
                              'earlier checkpoint')


def _write_files(folder, checkpoint, weights):
    """Write every file of a checkpoint into a new folder."""
    config = checkpoint.config
    tensors = {WEIGHTS: weights, **processor_tensors(config, checkpoint.statistics)}
    content = {CONTRACT: checkpoint.contract.to_yaml().encode(),
               **{name: save(entries, metadata={'format': 'pt'})
                  for name, entries in tensors.items()}}
    extras = {'format_version': FORMAT_VERSION, 'config': config.to_own_json(),
              'sampler': asdict(checkpoint.sampler),
              'sha256': {name: _sha256(data) for name, data in content.items()}}
    documents = {CONFIG: config.to_lerobot_json(), EXTRAS: extras, **processor_documents(config)}
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2) + '\n', encoding='utf-8')
    for name, data in content.items():
        (folder / name).write_bytes(data)


def _put_in_place(fresh, folder):
    """
    Swap a finished folder in, and move over the files that it does not replace.

    A kill between two renames leaves the old folder under a hidden name, where the next write
    finds what is still to be moved.
    """
    old = folder.with_name(f'.{folder.name}.old')
    if folder.exists():
        _carry_over(old, folder)
        folder.rename(old)
    fresh.rename(folder)
    _carry_over(old, folder)


def _carry_over(old, folder):
    """Move the files that a folder lacks from its predecessor, and remove that."""
    if not old.exists():
        return
    for entry in old.iterdir():
        if not (folder / entry.name).exists():
            entry.rename(folder / entry.name)
    shutil.rmtree(old)


def _read_extras(folder, config):
    """Read our own fields, contract and sampler; a folder of LeRobot's has none of them."""
    path = folder / EXTRAS
    if not path.exists() and not (folder / CONTRACT).exists():
        return config, None, Sampler()
    extras = read_json(path)
    version = extras.get('format_version') if isinstance(extras, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(f'{path}: format_version is {shown(version)}, this package reads '
                              f'{FORMAT_VERSION}; update the package, or train anew')
    text = read_bytes(folder / CONTRACT)
    try:
        contract = parse_contract(text.decode(), source=str(folder / CONTRACT))
    except (ContractError, UnicodeDecodeError) as error:
        raise CheckpointError(f'{folder / CONTRACT} is not valid ({error}); {REMEDY}') from error
    try:
        config = config.with_own_json(extras.get('config', {}))
        return config, contract, Sampler(**extras['sampler'])
    except ConfigError as error:
        raise CheckpointError(f'{path}: {error}; {REMEDY}') from error
    except (KeyError, TypeError) as error:
        raise CheckpointError(f'{path}: the sampler is not valid ({error}); {REMEDY}') from error
