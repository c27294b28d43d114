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
"""What an export says of itself, and whether it is still the policy's."""

from dataclasses import asdict
from pathlib import Path

from diffusion_policy_ros.checks import is_count, shown
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.machine import package_versions, processor
from diffusion_policy_ros.policy.checkpoint import weights_digest
from diffusion_policy_ros.policy.checkpoint_files import (
    file_beside, read_bytes, read_json, sha256_of)
from diffusion_policy_ros.policy.export.graphs import CHUNK

RECORD = 'export.json'
FORMAT_VERSION = 1
SOFTWARE = ('diffusion_policy_ros', 'torch', 'onnx', 'onnxscript', 'onnxruntime')


def export_record(policy, form, weights, sampler, graphs) -> dict:
    """
    Describe an export.

    :param policy: The ``Policy``.
    :param form: One of ``EXPORT_FORMATS``.
    :param weights: SHA-256 of the checkpoint's weights.
    :param sampler: ``Sampler`` of the chunk.
    :param graphs: List of what ``graph_entry`` returned.
    :return: Document for ``export.json``.
    """
    config, contract = policy.config, policy.contract
    return {
        'format_version': FORMAT_VERSION, 'format': form, 'weights': weights,
        'made_with': package_versions(SOFTWARE), 'processor': processor(),
        'sampler': asdict(sampler),
        'rows': {'n_obs_steps': config.n_obs_steps, 'first_executable': config.n_obs_steps - 1,
                 'n_action_steps': config.n_action_steps,
                 'rate_hz': contract.rate_hz if contract else None},
        'graphs': {entry.pop('name'): entry for entry in graphs}}


def graph_entry(graph, folder, files, difference, contract) -> dict:
    """
    Describe one graph.

    :param graph: Graph.
    :param folder: pathlib.Path of the folder that its files are in.
    :param files: Their names, the one to load first.
    :param difference: From ``largest_difference``.
    :param contract: RobotContract, whose names and units a chunk's entries have; may be None.
    :return: Its part of ``export.json``, with its ``name``.
    """
    ports = [port.as_json() for port in (*graph.inputs, graph.output)]
    if graph.name == CHUNK and contract is not None:
        for port in ports:
            port.update(_meaning(port['name'], contract))
    return {'name': graph.name, 'file': files[0],
            'sha256': {name: sha256_of(read_bytes(folder / name)) for name in files},
            'inputs': ports[:-1], 'output': ports[-1], 'largest_difference': difference}


def _meaning(name, contract):
    """Return what the last axis of a chunk's input or output is."""
    parts = contract.actions if name == 'actions' else contract.streams_of(name)
    if parts and getattr(parts[0], 'is_image', False):
        return {'encoding': parts[0].image.encoding}
    return {'entries': [{'name': entry, 'unit': part.unit} for part in parts
                        for entry in part.names]} if parts else {}


def exported_files(model, form, graphs) -> dict:
    """
    Find the files of graphs, and check that they are those that were exported of these weights.

    :param model: Path of the checkpoint folder.
    :param form: One of ``EXPORT_FORMATS``.
    :param graphs: List of Graph of the policy.
    :return: Name of a graph -> pathlib.Path of the file to load.
    :raises ConfigError: if there is no export, or one of other weights or for another machine.
    :raises CheckpointError: if it is damaged.
    """
    command = f'run: dpr export {model} --format {form}'
    path = Path(model) / form / RECORD
    if not path.is_file():
        raise ConfigError(f'{path} is missing: the model is not exported as {form}; {command}')
    record = read_json(path, command)
    version = record.get('format_version')
    if not is_count(version) or version != FORMAT_VERSION or record.get('format') != form:
        raise CheckpointError(f'{path} is of format {shown(record.get("format"))}, version '
                              f'{shown(version)}; wanted {form}, version {FORMAT_VERSION}; '
                              f'{command}')
    if record.get('weights') != weights_digest(model):
        raise ConfigError(f'{path} was exported of other weights than {model} now has; {command}')
    if form == 'aoti':
        _check_machine(path, record, command)
    return {graph.name: _checked_file(path, record, graph, command) for graph in graphs}


def _check_machine(path, record, command):
    """Refuse what was compiled for another processor, which may stop at its instructions."""
    made_with = record.get('made_with')
    made = [record.get('processor'),
            made_with.get('torch') if isinstance(made_with, dict) else None]
    here = [processor(), package_versions(['torch']).get('torch')]
    if made != here:
        then, now = (' with torch '.join(map(str, place)) for place in (made, here))
        raise ConfigError(f'{path} was compiled for {then}; here is {now}; {command}')


def _checked_file(path, record, graph, command):
    """Return the file of a graph, of which nothing may have changed."""
    entries = record.get('graphs')
    entry = entries.get(graph.name) if isinstance(entries, dict) else None
    digests = entry.get('sha256') if isinstance(entry, dict) else None
    if not isinstance(digests, dict) or entry.get('file') not in list(digests):
        raise CheckpointError(f'{path} does not tell the files of {graph.name}; {command}')
    if entry.get('inputs') != [port.as_json() for port in graph.inputs]:
        raise ConfigError(f"{path} tells other inputs of {graph.name} than the policy's; "
                          f'{command}')
    for name, digest in digests.items():
        file = file_beside(path, name, f'a file of {graph.name}')
        if sha256_of(read_bytes(file, command)) != digest:
            raise CheckpointError(f'{file} is not the file that was exported; {command}')
    return path.parent / entry['file']
