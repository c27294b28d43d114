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
"""``dpr export``: a checkpoint's graphs, compared with it, in a folder of their own."""

from contextlib import contextmanager
import json
from pathlib import Path
import shutil

from diffusion_policy_ros.checks import check_choice
from diffusion_policy_ros.choices import EXPORT_FORMATS
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.on_disk import alone_in, put_in_place, sync_whole
from diffusion_policy_ros.policy.checkpoint import weights_digest
from diffusion_policy_ros.policy.export.formats import check_tools, is_written, write_graph
from diffusion_policy_ros.policy.export.graphs import chunk_graph, network_graphs
from diffusion_policy_ros.policy.export.parity import LARGEST, largest_difference
from diffusion_policy_ros.policy.export.record import export_record, graph_entry, RECORD
from diffusion_policy_ros.policy.export.runtimes import load_graph
from diffusion_policy_ros.policy.policy import Policy


def export_policy(model, form, *, changes=None, out=None, tell=lambda text: None) -> Path:
    """
    Write the graphs of a checkpoint; all of them appear, or nothing changes.

    :param model: Path of the checkpoint folder.
    :param form: One of ``EXPORT_FORMATS``.
    :param changes: For the sampler of the chunk, as for ``Sampler.changed``.
    :param out: Path of the folder to write, in which an earlier export is replaced; None for the
        one in the checkpoint where the policy server looks.
    :param tell: Called with lines of text on what is being done.
    :return: Path of the folder.
    :raises ConfigError: if the sampler is of no fixed sequence of operations, a tool is missing,
        or a graph computes something else than the policy.
    :raises CheckpointError: if the model cannot be read or the place not be written to.
    :raises ModuleNotFoundError: if a library is missing.
    """
    check_choice('format', form, EXPORT_FORMATS, ConfigError)
    check_tools(form)
    folder = Path(out) if out else Path(model) / form
    _check_place(folder)
    policy, weights = Policy.load(model), weights_digest(model)
    sampler = policy.sampler.changed(**(changes or {}))
    graphs = [*network_graphs(policy), chunk_graph(policy, sampler)]

    place = folder.resolve()
    try:
        with _unfinished(place) as fresh:
            entries = [_written(graph, form, fresh, policy, sampler, tell) for graph in graphs]
            record = export_record(policy, form, weights, sampler, entries)
            (fresh / RECORD).write_text(json.dumps(record, indent=1) + '\n')
            _check_place(place)  # again: minutes may have gone by
            _replace(place, fresh)
    except OSError as error:
        raise CheckpointError(f'{folder} cannot be written: {error}; make room, or choose another '
                              'folder with --out') from error
    return folder


@contextmanager
def _unfinished(place):
    """Make the empty folder that an export grows in; refuse where another one does."""
    fresh = place.with_name(f'.{place.name}.new')
    fresh.mkdir(parents=True, exist_ok=True)
    with alone_in(fresh, ConfigError(f'{place} is being written by another dpr export; wait for '
                                     'it, or choose another folder with --out')):
        for path in fresh.iterdir():  # left by a process that was killed
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _check_place(folder):
    """Refuse to replace anything but an earlier export."""
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise CheckpointError(f'{folder} is no folder; choose another place with --out')
        foreign = sorted(path.name for path in folder.iterdir()
                         if path.is_dir() or not _is_own(path))
    except OSError as error:
        raise CheckpointError(f'{folder} cannot be written to ({error}); choose another folder '
                              'with --out') from error
    if foreign:
        raise CheckpointError(f'{folder} holds {", ".join(foreign)}, which no export wrote; '
                              'choose another folder with --out')


def _is_own(path):
    """Tell whether a file is one of an export, a damaged record included."""
    if path.name != RECORD:
        return is_written(path.name)
    try:
        document = json.loads(path.read_bytes())
    except ValueError:
        return True
    return isinstance(document, dict) and 'format_version' in document


def _replace(place, fresh):
    """Put a finished folder in the place of an earlier one, which goes last."""
    old = place.with_name(f'.{place.name}.old')
    shutil.rmtree(old, ignore_errors=True)  # left by a process that was killed
    sync_whole(fresh)  # before, as it may take long
    try:
        if place.exists():
            place.rename(old)
        put_in_place(fresh, place)
    except BaseException:
        if old.exists() and not place.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _written(graph, form, folder, policy, sampler, tell):
    """Write one graph, load it back and compare it; return its part of the record."""
    tell(f'{graph.name}: recording ...')
    files = write_graph(graph, form, folder)
    difference = largest_difference(graph, load_graph(folder / files[0], form), policy, sampler)
    if not difference <= LARGEST:
        raise ConfigError(
            f'{files[0]} computes something else than the policy: the largest difference is '
            f'{difference:.2g}, at most {LARGEST:g} is rounding (normalized units); nothing was '
            'exported. Try another --format, or --solver and --steps where it is the chunk: some '
            'solvers amplify rounding')
    tell(f'{graph.name}: {files[0]}, largest difference {difference:.2g}')
    return graph_entry(graph, folder, files, difference, policy.contract)
