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
"""What writing a format needs, and what lies beside a large one."""

import sys

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.export import formats
from diffusion_policy_ros.policy.export.backend import served_policy
from diffusion_policy_ros.policy.export.formats import check_tools, write_graph
from diffusion_policy_ros.policy.export.graphs import chunk_graph, network_graphs
from diffusion_policy_ros.policy.export.parity import largest_difference
from diffusion_policy_ros.policy.export.runtimes import load_graph
from diffusion_policy_ros.policy.export.writing import export_policy
import pytest
import torch
import yaml

NUMBERS = {'min': [0.0, 0.0], 'max': [1.0, 1.0]}
SMALL = {'prediction_type': 'sample', 'denoiser': {'type': 'mlp', 'dim': 16, 'layers': 1}}


def test_a_missing_compiler_is_named_with_how_to_install_it(monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(ConfigError, match='aoti needs a C[+][+] compiler, and no-such-compiler is '
                       'not found; .*apt install g[+][+]'):
        check_tools('aoti')
    check_tools('torchscript')


def test_an_older_torch_writes_torchscript_alone(monkeypatch):
    monkeypatch.setattr(torch, '__version__', type(torch.__version__)('2.5.1+cpu'))
    for form in ('onnx', 'aoti'):
        with pytest.raises(ConfigError, match=f'{form} needs torch 2.6 .* here is 2.5.1'):
            check_tools(form)
    check_tools('torchscript')


@pytest.mark.parametrize('library', ['onnx', 'onnxscript', 'onnxruntime'])
def test_a_missing_library_is_told_before_anything_is_recorded(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError) as failure:
        check_tools('onnx')
    assert failure.value.name == library


def test_large_weights_lie_beside_the_file_and_are_found_there(
        save_tiny_policy, monkeypatch, tmp_path):
    for library in ('onnxscript', 'onnxruntime'):
        pytest.importorskip(library)
    monkeypatch.setattr(formats, 'LARGEST_ONNX', 0)
    policy = Policy.load(save_tiny_policy(**SMALL))
    graph = network_graphs(policy)[0]
    names = write_graph(graph, 'onnx', tmp_path)
    assert names == ['denoiser.onnx', 'denoiser.onnx.data']
    small, large = ((tmp_path / name).stat().st_size for name in names)
    assert 0 < small < large
    run = load_graph(tmp_path / names[0], 'onnx')
    assert largest_difference(graph, run, policy, policy.sampler) < 1e-5


@pytest.mark.parametrize('encoding, dtype', [('16UC1', torch.uint16), ('32FC1', torch.float32)])
def test_depth_pictures_go_in_as_they_come(contract, make_policy, tmp_path, encoding, dtype):
    document = contract.to_dict()
    document['observations'][0]['image']['encoding'] = encoding
    policy = make_policy(parse_contract(yaml.safe_dump(document)), {
        'observation.images.camera': {'mean': [900.0], 'std': [300.0]},
        'observation.state': NUMBERS, 'action': NUMBERS}, Sampler('ddim', 2), **SMALL).eval()
    graph = chunk_graph(policy, policy.sampler)
    assert graph.inputs[0].dtype == dtype and graph.inputs[0].shape == (1, 2, 96, 96, 1)
    run = load_graph(tmp_path / write_graph(graph, 'torchscript', tmp_path)[0], 'torchscript')
    assert largest_difference(graph, run, policy, policy.sampler) < 1e-5


@pytest.mark.slow
def test_compiled_ahead_of_time_it_computes_the_same_for_any_batch(
        save_tiny_policy):
    model = save_tiny_policy(2, **SMALL)
    try:
        check_tools('aoti')
    except ConfigError as reason:
        pytest.skip(str(reason))
    export_policy(model, 'aoti')
    policy = Policy.load(model)
    served = served_policy(policy, model, backend='aoti')
    for count in (1, 3):
        cond = torch.randn(count, policy.config.global_cond_dim)
        noise = torch.randn(count, 16, 2)
        torch.testing.assert_close(served.sample_from(cond, noise=noise),
                                   policy.sample_from(cond, noise=noise), atol=1e-5, rtol=0)
