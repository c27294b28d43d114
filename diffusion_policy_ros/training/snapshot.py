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
Exact resume: everything a stopped run needs to go on as if it had never stopped.

One safetensors file holds weights, moving average, optimizer moments and generator states; one
JSON file holds the step and the settings. Nothing is pickled.
"""

import json
from pathlib import Path

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.on_disk import put_in_place
from safetensors import safe_open, SafetensorError
from safetensors.torch import load_file, save_file
import torch

FACTS = 'snapshot.json'
PART = '.part'
# Names of tensors: stage and step. Another file, such as weights to begin from, is the user's.
TENSORS = f'*-{"[0-9]" * 8}.safetensors'
FACT_KINDS = {'stage': str, 'step': int, 'seconds': (int, float), 'config': str, 'dataset': str,
              'tensors': str}


def default_states(device) -> list:
    """
    Return the states of torch's own generators: the CPU's, and a GPU's where one trains.

    :param device: Torch device of the training.
    """
    states = [torch.get_rng_state()]
    return states + ([torch.cuda.get_rng_state(device)] if device.type == 'cuda' else [])


def save_snapshot(folder, *, modules, optimizer, generator, default_states, facts):
    """
    Write a snapshot so that a kill or a loss of power at any moment leaves the old or the new one.

    :param folder: The run's folder; made where missing.
    :param modules: ``{name: module}`` whose state dicts are kept.
    :param optimizer: A torch optimizer over a fixed order of parameters.
    :param generator: The CPU generator of batches and noise.
    :param default_states: ``default_states`` of every process, in order.
    :param facts: JSON-able facts (``stage``, ``step``, the configuration).
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f'{name}/{key}': value.detach().cpu().contiguous()
               for name, module in modules.items() for key, value in module.state_dict().items()}
    for index, moments in optimizer.state_dict()['state'].items():
        for key, value in moments.items():
            tensors[f'optimizer/{index}/{key}'] = torch.as_tensor(value).cpu().contiguous()
    tensors['generator'] = generator.get_state()
    for rank, states in enumerate(default_states):
        for index, state in enumerate(states):
            tensors[f'default_generator/{rank}/{index}'] = state
    # Shared storage would be refused by safetensors; the facts carry the name of their tensors,
    # so that the pair is switched by one rename.
    tensors = {key: value.clone() for key, value in tensors.items()}
    try:
        _write(folder, tensors, facts)
    except (OSError, SafetensorError) as error:
        again = 'with --resume' if (folder / FACTS).exists() else 'again'
        raise CheckpointError(f'cannot write a snapshot to {folder}: {error}. Make room there and '
                              f'run the same command {again}') from error


def _write(folder, tensors, facts):
    """Write new tensors, let the facts name them, then remove the old ones."""
    name = f'{facts["stage"]}-{facts["step"]:08d}.safetensors'
    try:
        part = folder / (name + PART)
        save_file(tensors, part)
        put_in_place(part, folder / name)
        part = folder / (FACTS + PART)
        part.write_text(json.dumps({**facts, 'tensors': name}, indent=2))
        put_in_place(part, folder / FACTS)
    finally:
        _remove_others(folder)


def _remove_others(folder):
    """Remove older tensors, and what a full disk or a kill left half written."""
    facts = read_facts(folder)
    for path in (*folder.glob(TENSORS), *folder.glob(f'*{PART}')):
        if facts is None or path.name != facts['tensors']:
            path.unlink()


def read_facts(folder):
    """
    Return the facts of the snapshot in a folder, or None where there is none.

    :raises CheckpointError: if the file is there but not readable.
    """
    path = Path(folder) / FACTS
    try:
        facts = json.loads(path.read_text(encoding='utf-8'))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f'{path} is not readable ({error}); delete the folder to start '
                              'anew') from error
    for name, kind in FACT_KINDS.items():
        if not isinstance(facts, dict) or not isinstance(facts.get(name), kind):
            raise CheckpointError(f'{path} has no valid {name!r}, as it was edited or is of '
                                  'another program; delete the folder to start anew')
    return facts


def trained_by(folder):
    """
    Tell what wrote the snapshot in a folder.

    :param folder: The run's folder.
    :return: How many processes, and the type of their device.
    :raises CheckpointError: if the snapshot is damaged.
    """
    path = Path(folder) / read_facts(folder)['tensors']
    try:
        with safe_open(path, framework='pt') as tensors:
            states = [name.split('/')[1:] for name in tensors.keys()
                      if name.startswith('default_generator/')]
    except (OSError, SafetensorError) as error:
        raise _not_resumable(path, error) from error
    if not states:
        raise _not_resumable(path, 'it has no states of generators')
    ranks, indices = map(set, zip(*states))
    return len(ranks), 'cuda' if len(indices) > 1 else 'cpu'


def load_snapshot(folder, *, modules, optimizer, generator, device, rank):
    """
    Put a snapshot back in place.

    :param folder: The run's folder.
    :param modules: The same modules as saved, any values.
    :param optimizer: The same optimizer as saved, freshly made.
    :param generator: CPU generator to set.
    :param device: Torch device of the training.
    :param rank: Which process this is.
    :raises CheckpointError: if the snapshot is damaged or of another network.
    """
    path = Path(folder) / read_facts(folder)['tensors']
    try:
        tensors = load_file(path)
        for name, module in modules.items():
            module.load_state_dict(_under(tensors, f'{name}/'))
        _load_moments(optimizer, _under(tensors, 'optimizer/'))
        generator.set_state(tensors['generator'])
        torch.set_rng_state(tensors[f'default_generator/{rank}/0'])
        if device.type == 'cuda':
            torch.cuda.set_rng_state(tensors[f'default_generator/{rank}/1'], device)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise _not_resumable(path, error) from error


def _not_resumable(path, reason):
    """Return the error of a snapshot that cannot be loaded."""
    return CheckpointError(f'cannot resume from {path}: {reason}. It is damaged or belongs to '
                           'another network; delete the folder to start anew')


def _under(tensors, prefix):
    """Return the tensors below a prefix, without it."""
    return {key[len(prefix):]: value for key, value in tensors.items() if key.startswith(prefix)}


def _load_moments(optimizer, flat):
    """Give the optimizer its moments back."""
    state = optimizer.state_dict()
    state['state'] = {}
    for key, value in flat.items():
        index, name = key.split('/')
        state['state'].setdefault(int(index), {})[name] = value
    parameters = [one for group in optimizer.param_groups for one in group['params']]
    # torch looks at no shape, and the fused AdamW then reads beyond the end of a moment.
    found = {(index, value.shape) for index, moments in state['state'].items()
             for value in moments.values() if value.dim()}
    if not found <= {(index, one.shape) for index, one in enumerate(parameters)}:
        raise RuntimeError('its moments of the optimizer are those of other weights')
    optimizer.load_state_dict(state)
    for parameter, moments in optimizer.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:  # as the fused AdamW wants it: laid out alike
                moments[name] = torch.empty_like(parameter).copy_(value)
