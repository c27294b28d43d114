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

"""What `dpr info` tells of a bag."""

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.cli.info_facts import describe_contract, size_of
from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.data.bags import mcap_file, ros1_file, sqlite3_file
from diffusion_policy_ros.data.bags.bag_files import BagFiles
from diffusion_policy_ros.data.bags.bag_paths import (
    find_bags, is_bag_folder, is_storage_name, storage_files)
from diffusion_policy_ros.data.bags.stored import ZSTD_MAGIC
from diffusion_policy_ros.data.progress import progress_bar
from diffusion_policy_ros.errors import BagError, ContractError

STORAGES = ((mcap_file.MAGIC, 'mcap'), (sqlite3_file.MAGIC, 'sqlite3'),
            (ros1_file.MAGIC, 'ROS 1 bag'))
# The first chunk of an mcap file comes before this many bytes of schemas.
HEAD_BYTES = 1 << 20


def holds_bags(path) -> bool:
    """
    Tell whether a path is one bag, or holds bags.

    :param path: ``pathlib.Path`` of something that exists.
    """
    try:
        find_bags(path, note=lambda sentence: None)
        return path.is_dir() or is_storage_name(path.name)
    except BagError:
        return False


def describe_bags(path) -> dict:
    """
    Describe a bag, or all bags in a folder; every message is found, none is decoded.

    :param path: Its path.
    :return: Facts by name, as ``info.describe``.
    :raises BagError: if nothing of it can be read.
    """
    notes = []
    found = find_bags(path, note=notes.append)
    if found == [path]:
        return _describe(path)
    if not found:
        raise BagError('; '.join(notes))
    rows = []
    with progress_bar('reading bags', len(found)) as bar:
        for bag in found:
            rows.append(_line(path, bag))
            bar.update()
    totals = {name: sum(row[name] or 0 for row in rows)
              for name in ('messages', 'duration_s', 'size_bytes')}
    return {'kind': 'bags', 'path': str(path), 'number of bags': len(found), **totals,
            **({'passed over': notes} if notes else {}), 'bags': rows}


def _line(path, bag):
    """Describe a bag in one line; one that cannot be read has only the reason."""
    try:
        facts = _describe(bag)
    except BagError as error:
        facts = {'losses': [str(error)], 'size_bytes': size_of(bag)}
    name = bag.relative_to(path) if bag.is_relative_to(path) else bag
    losses = facts['losses'] if isinstance(facts['losses'], list) else ['none']
    alarms, custom = facts.get('alarms', 'not watched'), facts.get('custom data')
    return {
        'bag': str(name), **{key: facts.get(key) for key in (
            'start_ns', 'duration_s', 'messages', 'size_bytes')},
        'outcome': custom.get('outcome') if isinstance(custom, dict) else None,
        'alarms': len(alarms) if isinstance(alarms, list) else alarms,
        'losses': first_of(losses, most=1)}


def _describe(path):
    """Describe one bag."""
    is_folder = path.is_dir() and is_bag_folder(path)
    bag = BagFiles(path, is_folder=is_folder)
    try:
        return _facts(path, bag, storage_files(path) if is_folder else [path])
    finally:
        bag.close()


def _facts(path, bag, files):
    """Collect the facts."""
    counts = bag.counts()
    times_ns, topics, _ = bag.index(counts)
    begin_ns, duration_s = None, None
    if len(times_ns):
        begin_ns = int(times_ns.min())
        duration_s = (int(times_ns.max()) - begin_ns) / 1e9
    custom = dict(bag.metadata.custom_data)
    losses, repaired = bag.losses(sorted(counts)), custom.pop('repaired', None)
    if repaired:
        losses.insert(0, f'the recorder repaired it: {repaired}')
    return {
        'kind': 'bag', 'path': str(path), 'storage': _storage(files[0]),
        'compression': _compression(bag, files[0]), 'files': len(files),
        'size_bytes': size_of(path), 'start_ns': begin_ns, 'duration_s': duration_s,
        'messages': len(times_ns), 'contract': _contract(path, custom.pop('contract', None)),
        **_alarms(custom), 'custom data': custom or 'none', 'losses': losses or 'none',
        'topics': [{'topic': topic, 'type': kind, 'messages': count,
                    'promised': 'not said' if promised is None else promised,
                    'rate_hz': _rate_hz(times_ns[topics == place])}
                   for place, (topic, (kind, promised, count)) in enumerate(counts.items())]}


def _alarms(custom):
    """Take the recorder's alarms out of a bag's custom data; no entry where nobody watched."""
    text = custom.pop('alarms', None)
    return {} if text is None else {'alarms': text.splitlines() or 'none'}


def _rate_hz(times_ns):
    """Return how many messages arrive per second on average; None with one."""
    span_ns = int(times_ns.max() - times_ns.min()) if len(times_ns) else 0
    return (len(times_ns) - 1) * 1e9 / span_ns if span_ns > 0 else None


def _contract(path, text):
    """Return the contract in one line."""
    try:
        return describe_contract(None if text is None else parse_contract(text, f'in {path}'))
    except ContractError as error:
        return f'one that cannot be used: {error}'


def _head(file):
    """Return the first bytes of a file; empty where it cannot be read."""
    try:
        with open(file, 'rb') as opened:
            return opened.read(HEAD_BYTES)
    except OSError:
        return b''


def _storage(file):
    """Return the kind of a storage file, by what it is and by its name where it is compressed."""
    head = _head(file)
    if head.startswith(ZSTD_MAGIC):
        return 'sqlite3' if '.db3' in file.name else 'mcap'
    return next((name for magic, name in STORAGES if head.startswith(magic)), 'unknown')


def _compression(bag, file):
    """Return what is compressed, and how."""
    head = _head(file)
    if head.startswith(ZSTD_MAGIC):
        return 'whole files, zstd'
    if head.startswith(mcap_file.MAGIC):
        name = _chunk_compression(head)
        return f'chunks, {name}' if name else 'none'
    mode, name = bag.metadata.compression
    return f'each message, {name}' if mode == 'message' else 'none'


def _chunk_compression(head):
    """Return the compression of the first chunk of an mcap file; empty for none."""
    position = len(mcap_file.MAGIC)
    while position + mcap_file.RECORD.size <= len(head):
        operation, length = mcap_file.RECORD.unpack_from(head, position)
        position += mcap_file.RECORD.size
        if operation == mcap_file.CHUNK and position + mcap_file.IN_CHUNK.size < len(head):
            size = mcap_file.IN_CHUNK.unpack_from(head, position)[-1]
            begin = position + mcap_file.IN_CHUNK.size
            return head[begin:begin + size].decode('ascii', 'replace')
        if operation == mcap_file.MESSAGE:
            return ''
        position += length
    return ''
