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
"""``dpr export``: graphs beside the checkpoint, and what is said of them."""

import json
import shutil
import sys

from diffusion_policy_ros.cli.main import main
import pytest

pytest.importorskip('torch')


@pytest.fixture
def model(export_tiny_policy, tmp_path):
    """Return a checkpoint without any export."""
    folder = shutil.copytree(export_tiny_policy('torchscript'), tmp_path / 'model')
    shutil.rmtree(folder / 'torchscript')
    return folder


def test_it_says_how_far_each_graph_is_from_the_policy_and_where_it_is(model, capsys):
    assert main(['export', str(model), '--format', 'torchscript', '--solver', 'unipc',
                 '--steps', '2', '--sampler', 'temperature=0.5']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(':')[0] for line in lines[:-1:2]] == ['denoiser', 'encoder', 'chunk']
    assert all('largest difference' in line for line in lines[1:-1:2])
    assert lines[-1] == (f'{model}/torchscript: written; the policy server takes it with '
                         'backend:=torchscript')
    sampler = json.loads((model / 'torchscript' / 'export.json').read_text())['sampler']
    assert (sampler['solver'], sampler['num_inference_steps'], sampler['temperature']) == (
        'unipc', 2, 0.5)
    assert main(['info', str(model)]) == 0
    assert capsys.readouterr().out.endswith('exports    torchscript\n')


@pytest.mark.parametrize('argv, code, said', [
    (['--format', 'torchscript', '--solver', 'ddpm'], 1, "'ddpm' draws noise on the way"),
    (['--format', 'torchscript', '--steps', '0'], 2, '--steps is 0'),
    (['--format', 'torchscript', '--sampler', 'speed=1'], 2, "unknown sampler option 'speed'"),
    (['--format', 'torchscript', '--out', '/dev/null'], 1, '/dev/null is no folder')])
def test_what_cannot_be_exported_is_one_line(model, capsys, argv, code, said):
    assert main(['export', str(model), *argv]) == code
    error = capsys.readouterr().err
    assert said in error and error.count('\n') == 1
    assert not (model / 'torchscript').exists()


def test_an_unknown_format_and_a_folder_without_a_policy_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['export', str(tmp_path), '--format', 'tflite'])
    assert ended.value.code == 2
    assert main(['export', str(tmp_path / 'nothing'), '--format', 'torchscript']) == 1
    assert 'nothing is no folder; give the folder that holds config.json' in \
        capsys.readouterr().err
    assert not (tmp_path / 'nothing').exists()


def test_a_missing_library_is_named_with_how_to_install_it(model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    pytest.importorskip('onnx')
    assert main(['export', str(model), '--format', 'onnx']) == 1
    assert "'onnxscript' is missing; install it with: pip install" in capsys.readouterr().err
