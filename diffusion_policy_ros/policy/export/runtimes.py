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
"""Exported graphs computed by other runtimes, on the CPU."""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
import warnings

from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.requirements import install_command
import torch

# Runtime: the format that it reads.
FORMAT_OF = {'onnx': 'onnx', 'openvino': 'onnx', 'torchscript': 'torchscript', 'aoti': 'aoti'}


def load_graph(path, runtime):
    """
    Load a graph into a runtime, which gets as many threads as torch has.

    :param path: pathlib.Path of the file.
    :param runtime: A key of ``FORMAT_OF``.
    :return: Function from the graph's inputs, tensors on the CPU, to its output; it raises
        CheckpointError where the runtime cannot compute it.
    :raises ConfigError: if the runtime's library is missing.
    :raises CheckpointError: if the runtime cannot load the file.
    """
    try:
        graph = _LOADERS[runtime](path)
    except ModuleNotFoundError as error:
        raise ConfigError(f'the runtime {runtime} needs the Python package {error.name!r}, which '
                          f'is missing; install it with: {install_command("export")}') from error
    except Exception as error:  # those of onnxruntime have no other base
        raise _refusal(path, 'loaded', runtime, error) from error

    def run(*tensors):
        try:
            # Compiled code takes the order in memory for granted, without a look.
            return graph(*(tensor.contiguous() for tensor in tensors))
        except Exception as error:
            raise _refusal(path, 'run', runtime, error) from error

    return run


def _refusal(path, done, runtime, error):
    """Return the error that says what a runtime could not do with a file."""
    reason = (str(error).strip() or repr(error)).splitlines()[0]
    return CheckpointError(f'{path} cannot be {done} by {runtime} ({reason}); export it again on '
                           'this machine')


class _OnnxRuntime:
    """A graph in onnxruntime."""

    def __init__(self, path):
        """Load it."""
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # errors; warnings are of what it cannot fold
        # A thread that turns in a loop between plans takes its core from the robot's commands.
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=['CPUExecutionProvider'])
        self._names = [port.name for port in self._session.get_inputs()]

    def __call__(self, *tensors):
        """Compute the output."""
        arrays = {name: tensor.numpy() for name, tensor in zip(self._names, tensors)}
        return torch.from_numpy(self._session.run(None, arrays)[0])


class _OpenVino:
    """
    A graph in OpenVINO, compiled for each batch that comes.

    For a batch that is known it is half as fast again; a new one takes a moment once. Its
    tokenizer of small operations, which gains nothing here, fails at Mish (2026.4).
    """

    def __init__(self, path):
        """Read it."""
        import openvino
        self._core = _shared_core(openvino)
        self._model = self._core.read_model(str(path))
        self._requests = {}

    def __call__(self, *tensors):
        """Compute the output."""
        arrays = [tensor.numpy() for tensor in tensors]
        shapes = tuple(array.shape for array in arrays)
        if shapes not in self._requests:
            self._requests[shapes] = self._compiled(shapes)
        return torch.from_numpy(self._requests[shapes].infer(arrays, share_inputs=True)[0])

    def _compiled(self, shapes):
        """Return a request of the graph for some shapes."""
        model = self._model.clone()
        model.reshape({port.any_name: shape for port, shape in zip(model.inputs, shapes)})
        return self._core.compile_model(model, 'CPU', {
            'INFERENCE_NUM_THREADS': torch.get_num_threads(), 'PERFORMANCE_HINT': 'LATENCY',
            'INFERENCE_PRECISION_HINT': 'f32', 'ENABLE_CPU_PINNING': False,
            'SNIPPETS_MODE': 'DISABLE',
        }).create_infer_request()


@lru_cache(maxsize=1)
def _shared_core(openvino):
    """
    Return OpenVINO's one core, which all graphs share up to the end of the process.

    The thread that opens its CPU device gets another stack for signals, which goes with the core:
    the next signal would end the process. So that thread is one that ends at once.
    """
    core = openvino.Core()
    with ThreadPoolExecutor(1) as short_lived:
        short_lived.submit(core.get_property, 'CPU', 'FULL_DEVICE_NAME').result()
    return core


def _load_torchscript(path):
    """Return a graph in TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of its successors, see traced
        return torch.jit.load(str(path), map_location='cpu').eval()


def _load_aoti(path):
    """Return a graph that was compiled ahead of time."""
    from torch import _inductor
    return _inductor.aoti_load_package(str(path))


_LOADERS = {'onnx': _OnnxRuntime, 'openvino': _OpenVino, 'torchscript': _load_torchscript,
            'aoti': _load_aoti}
