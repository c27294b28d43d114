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
"""Graphs written as ONNX or TorchScript, or compiled ahead of time."""

from contextlib import contextmanager
from importlib import import_module
import io
import logging
import os
import re
import shutil
import warnings

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.networks.traced import traced
from diffusion_policy_ros.policy.export.graphs import BATCH, CHUNK, DENOISER, ENCODER
import torch

SUFFIXES = {'onnx': '.onnx', 'torchscript': '.ts', 'aoti': '.pt2'}
DATA = '.data'  # behind the name of an ONNX file: its weights, where they do not fit
OPSET = 18
OLDEST_TORCH = '2.6'  # with torch.onnx's present exporter and with ahead-of-time packages
# Bytes of weights from which on they lie beside an ONNX file, which holds 2 GiB at most.
LARGEST_ONNX = 2**30
CHATTY = ('torch.onnx', 'onnxscript', 'torch.export', 'torch._inductor')


def check_tools(form):
    """
    Refuse a format that cannot be written here, before anything that takes long.

    :param form: One of ``EXPORT_FORMATS``.
    :raises ConfigError: if torch is too old, or there is no C++ compiler.
    :raises ModuleNotFoundError: if a library is missing.
    """
    if form != 'torchscript' and torch.__version__ < OLDEST_TORCH:
        raise ConfigError(f'the format {form} needs torch {OLDEST_TORCH} or newer; here is '
                          f'{torch.__version__}. Take --format torchscript, or update torch')
    if form == 'onnx':
        for name in ('onnx', 'onnxscript', 'onnxruntime'):
            import_module(name)
    compiler = os.environ.get('CXX', 'g++')
    if form == 'aoti' and shutil.which(compiler) is None:
        raise ConfigError(f'the format aoti needs a C++ compiler, and {compiler} is not found; on '
                          'Debian and Ubuntu: apt install g++')


def is_written(name) -> bool:
    """
    Tell whether ``write_graph`` may have written a file.

    :param name: Its name.
    """
    stem, dot, ends = name.partition('.')
    return re.fullmatch(f'{DENOISER}|{ENCODER}(_[0-9]+)?|{CHUNK}', stem) is not None and (
        dot + ends.removesuffix(DATA) in SUFFIXES.values())


def write_graph(graph, form, folder) -> list:
    """
    Record a graph and write it.

    :param graph: Graph.
    :param form: One of ``EXPORT_FORMATS``; ``check_tools`` was content with it.
    :param folder: pathlib.Path of the folder to write to.
    :return: Names of the files, the one to load first.
    :raises ConfigError: if it cannot be compiled.
    :raises OSError: if the disk refuses.
    """
    path = folder / f'{graph.name}{SUFFIXES[form]}'
    # Two samples, because one would be taken for a number that never changes.
    example = graph.example(batch=2)
    with torch.no_grad(), _quiet():
        graph.network(*example)  # what it computes of numbers alone must not be recorded
        _WRITERS[form](graph, example, path)
    return sorted((file.name for file in folder.glob(f'{path.name}*')), key=len)


def _write_onnx(graph, example, path):
    """Write ONNX by torch's maintained exporter."""
    program = torch.onnx.export(
        graph.network, example, dynamo=True, input_names=[port.name for port in graph.inputs],
        output_names=[graph.output.name], dynamic_shapes=_dynamic_shapes(graph),
        opset_version=OPSET, verbose=False)
    for node in program.model.graph:
        node.metadata_props.clear()  # in which file of this machine each was called
    size = sum(tensor.numel() * tensor.element_size() for tensor in graph.network.parameters())
    program.save(str(path), external_data=size > LARGEST_ONNX)


def _write_torchscript(graph, example, path):
    """Write TorchScript; through memory, as torch tells no other error than that it failed."""
    content = io.BytesIO()
    torch.jit.save(traced(graph.network, example), content)
    path.write_bytes(content.getvalue())


def _write_aoti(graph, example, path):
    """Compile for this machine."""
    from torch import _inductor
    program = torch.export.export(graph.network, example, dynamic_shapes=_dynamic_shapes(graph))
    try:
        _inductor.aoti_compile_and_package(
            program, package_path=str(path),
            inductor_configs={'cpp.dynamic_threads': True})  # as many as torch then has
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f'{path.name} cannot be compiled: {reason}') from error


def _dynamic_shapes(graph):
    """Return what torch.export is told of shapes: any batch, or exactly these."""
    if not graph.is_batched:
        return None
    batch = torch.export.Dim(BATCH, min=1)
    return tuple({0: batch} for _ in graph.inputs)


@contextmanager
def _quiet():
    """Keep what exporters say of themselves from the user, who can do nothing about it."""
    loggers = [logging.getLogger(name) for name in CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)


_WRITERS = {'onnx': _write_onnx, 'torchscript': _write_torchscript, 'aoti': _write_aoti}
