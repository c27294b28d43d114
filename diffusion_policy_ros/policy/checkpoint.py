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
import json
import os
from pathlib import Path
from typing import Optional

from diffusion_policy_ros.checks import is_count, shown, told
from diffusion_policy_ros.config import own_fields, PolicyConfig
from diffusion_policy_ros.contract import parse_contract, RobotContract
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import CheckpointError, ConfigError, ContractError
from diffusion_policy_ros.policy import lerobot_config
from diffusion_policy_ros.policy.checkpoint_files import (
    CONFIG, file_beside, read_bytes, read_json, read_tensors, REMEDY, sha256_of, WEIGHTS)
from diffusion_policy_ros.policy.checkpoint_folder import check_place, write_folder
from diffusion_policy_ros.policy.diffusion_networks import DiffusionNetworks
from diffusion_policy_ros.policy.lerobot_folder import (
    read_lerobot_description, read_lerobot_tensors)
from diffusion_policy_ros.policy.processors import (
    processor_documents, processor_tensors, read_statistics)
from diffusion_policy_ros.settings import from_mapping
from safetensors.torch import save
import torch
from torch import nn

CONTRACT, EXTRAS = 'contract.yaml', 'diffusion_policy_ros.json'
FORMAT_VERSION = 1
# Fields of the sampler that every checkpoint holds; the others came later and have defaults.
SAMPLER_FIELDS = ('solver', 'num_inference_steps', 'order', 'spacing', 'eta')
OTHER_WEIGHTS = f'it is not the file that belongs to {CONFIG}; {REMEDY}'
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
    config = checkpoint.config
    documents = {CONFIG: lerobot_config.to_json(config), **processor_documents(config)}
    content = {CONTRACT: checkpoint.contract.to_yaml().encode(), **_as_bytes(documents),
               **_tensor_files(checkpoint, weights_dtype)}
    extras = {'format_version': FORMAT_VERSION, 'config': config.to_own_json(),
              'sampler': asdict(checkpoint.sampler),
              'sha256': {name: sha256_of(data) for name, data in content.items()}}
    write_folder(folder, {**content, **_as_bytes({EXTRAS: extras})})


def export_checkpoint(folder, checkpoint) -> dict:
    """
    Write the folder that LeRobot would have written for a policy, and no other file.

    :param folder: Path; nothing may be there yet, or an empty folder.
    :param checkpoint: Checkpoint; its contract stays behind.
    :return: The scheduler that LeRobot is told to use, as ``lerobot_config.scheduler_fields``.
    :raises CheckpointError: if LeRobot has no such policy, the path is taken, or the disk refuses.
    """
    folder, config = Path(folder).resolve(), checkpoint.config
    reasons = lerobot_config.refusals(config)
    if reasons:
        raise CheckpointError(f'LeRobot has no such policy: {"; ".join(reasons)}')
    check_place(folder)
    if (folder / CONFIG).exists():
        raise CheckpointError(f'{folder} holds a checkpoint already; choose another folder')
    scheduler = lerobot_config.scheduler_fields(asdict(checkpoint.sampler), config)
    documents = {CONFIG: {**lerobot_config.to_json(config), **scheduler},
                 **processor_documents(config)}
    write_folder(folder, {**_as_bytes(documents), **_tensor_files(checkpoint, 'float32')})
    return scheduler


def read_checkpoint(folder) -> Checkpoint:
    """
    Read a checkpoint folder, this package's or LeRobot's.

    :param folder: Path of the folder.
    :return: Checkpoint, its weights in float32.
    :raises CheckpointError: naming the file, what is wrong with it and the remedy.
    """
    folder = Path(folder)
    config, contract, sampler = read_description(folder)
    weights, statistics = (read_tensors(folder / WEIGHTS), read_statistics(folder, config)) \
        if _is_own(folder) else read_lerobot_tensors(folder, config)
    weights = {name: tensor.float() for name, tensor in weights.items()}
    return Checkpoint(config, statistics, weights, contract, sampler)


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
    if not _is_own(folder):
        config, sampler = read_lerobot_description(folder)
        return config, None, sampler
    return _read_own_description(folder)


def check_weights(config, weights, path, remedy=OTHER_WEIGHTS):
    """
    Check that weights are those of a configuration, all of them and no others.

    :param config: PolicyConfig.
    :param weights: Tensor name -> tensor.
    :param path: File that they came from, for error messages.
    :param remedy: What to do where they are not.
    :raises CheckpointError: if a name is missing or unknown, a shape differs, or a weight is not
        finite.
    """
    with torch.device('meta'):  # shapes only, so that absurd sizes cost no memory
        wanted = nn.ModuleDict({'diffusion': DiffusionNetworks(config)}).state_dict()
    for word, names in (('lacks', wanted.keys() - weights.keys()),
                        ('has the unknown tensor', weights.keys() - wanted.keys())):
        if names:
            raise CheckpointError(f'{path} {word} {min(names)!r} (and {len(names) - 1} more); '
                                  f'{remedy}')
    for name, tensor in weights.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(f'{path}: {name!r} has shape {tuple(tensor.shape)}, the '
                                  f'configuration wants {tuple(wanted[name].shape)}; {remedy}')
        _check_finite(path, name, tensor)


def check_unchanged(folder):
    """
    Refuse files that were put into a checkpoint after it was written.

    Weights, statistics, contract and configuration of another policy may fit in shape and still
    drive the robot wrongly. Digests protect from mistakes, not from forgers: who edits a JSON file
    on purpose deletes its line. The file that holds them has none itself, so that the sampler in
    it can be changed. Checkpoints from before JSON files had digests are read without. A folder
    of LeRobot's carries none and is taken as it is.

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
        path = file_beside(folder / EXTRAS, name, 'a name in sha256')
        if sha256_of(read_bytes(path)) != digest:
            raise CheckpointError(
                f'{path} is not the file that the policy was saved with; {REMEDY}'
                f'{_instead(name)}')


def weights_digest(folder) -> str:
    """
    Return the SHA-256 of a checkpoint's weights, by which people tell models apart.

    :param folder: Path of the folder.
    """
    return sha256_of(read_bytes(Path(folder) / WEIGHTS))


def _instead(name):
    """Say what to do where a file was edited on purpose."""
    if name == CONTRACT:
        return '. A robot with other topics gets a contract file of its own'
    return f'. If you edited it on purpose, delete its line from sha256 in {EXTRAS}' \
        if name.endswith('.json') else ''


def _stored_weights(weights, dtype):
    """Return weights as they are stored, refusing those that the dtype cannot hold."""
    if dtype not in WEIGHT_DTYPES:
        raise CheckpointError(f'weights_dtype is {dtype!r}; choose one of: '
                              f'{", ".join(WEIGHT_DTYPES)}')
    stored = {name: _stored(tensor.detach().cpu(), WEIGHT_DTYPES[dtype])
              for name, tensor in weights.items()}
    for name, tensor in stored.items():
        _check_finite(f'weights as {dtype}', name, tensor)
    return stored


def _stored(tensor, dtype):
    """Return a tensor as it is stored; counts, as BatchNorm has one, stay whole numbers."""
    return (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()


def _check_finite(where, name, tensor):
    """Refuse weights that are infinite or not numbers."""
    if not torch.isfinite(tensor).all():
        raise CheckpointError(f'{where}: {name!r} is not finite: the training diverged; use an '
                              'earlier checkpoint')


def _tensor_files(checkpoint, weights_dtype):
    """Return the safetensors files of a checkpoint, name -> bytes."""
    tensors = {WEIGHTS: _stored_weights(checkpoint.weights, weights_dtype),
               **processor_tensors(checkpoint.config, checkpoint.statistics)}
    return {name: save(entries, metadata={'format': 'pt'}) for name, entries in tensors.items()}


def _as_bytes(documents):
    """Return JSON documents as the content of files."""
    return {name: (json.dumps(document, indent=2) + '\n').encode()
            for name, document in documents.items()}


def _is_own(folder):
    """Tell whether this package wrote a folder; LeRobot's have neither of these files."""
    return (folder / EXTRAS).exists() or (folder / CONTRACT).exists()


def _read_own_description(folder):
    """Read configuration, contract and sampler of a checkpoint of this package."""
    shared, path = read_json(folder / CONFIG), folder / EXTRAS
    try:
        lerobot_config.check_type(shared)
    except ConfigError as error:
        raise CheckpointError(f'{folder / CONFIG}: {error}') from error
    extras = read_json(path)
    version = extras.get('format_version')
    if not is_count(version) or version != FORMAT_VERSION:
        raise CheckpointError(f'{path}: format_version is {shown(version)}, this package reads '
                              f'{FORMAT_VERSION}; update the package, or train anew')
    text = read_bytes(folder / CONTRACT)
    try:
        contract = parse_contract(text.decode(), source=str(folder / CONTRACT))
    except (ContractError, UnicodeDecodeError) as error:
        raise CheckpointError(f'{folder / CONTRACT} is not valid ({told(error)}); {REMEDY}'
                              ) from error
    try:
        own = own_fields(extras.get('config', {}))
        sampler = _read_sampler(extras.get('sampler'))
    except ConfigError as error:
        raise CheckpointError(f'{path}: {error}; {REMEDY}') from error
    try:
        return lerobot_config.from_json(shared, own), contract, sampler
    except ConfigError as error:
        raise CheckpointError(f'{path} with {CONFIG}: {error}; {REMEDY}') from error


def _read_sampler(raw):
    """Read the default sampler; one without a field of its own would draw other chunks."""
    sampler = from_mapping(Sampler, 'sampler', raw)
    missing = [name for name in SAMPLER_FIELDS if name not in raw]
    if missing:
        raise ConfigError(f'sampler is {shown(raw)}, without {", ".join(missing)}')
    return sampler
