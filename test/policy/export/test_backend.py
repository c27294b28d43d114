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
"""A policy served by another runtime draws its own chunks, from an export that is its own."""

from copy import deepcopy
import hashlib
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import CheckpointError, ConfigError, DiffusionPolicyError
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.action_chunk import Promise
from diffusion_policy_ros.policy.export import backend as export_backend, runtimes
from diffusion_policy_ros.policy.export.backend import served_policy
from diffusion_policy_ros.policy.planner import make_plans, PlanOptions
from diffusion_policy_ros.policy.row_encoder import RowEncoder
from folder_edits import edit_json
import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2]))
from damaged_json import damaged, PYTHON  # noqa: E402,I100

FORMATS = {'onnx': 'onnx', 'openvino': 'onnx', 'torchscript': 'torchscript'}
SAMPLERS = [Sampler('ddim', 4), Sampler('ddim', 4, eta=1.0), Sampler('unipc', 4),
            Sampler('adaptive'), Sampler('dpm_solver++', 4, temperature=0.5)]

# A signal, when the thread that computed lives on and the graphs do not.
SIGNALLED = """
import gc, signal, sys, threading
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.export.backend import served_policy
import numpy as np
policies = [served_policy(Policy.load(sys.argv[1]), sys.argv[1], backend=sys.argv[2])]
policies[0].sample({'observation.images.camera': np.zeros((1, 2, 96, 96, 3), np.uint8),
                    'observation.state': np.zeros((1, 2, 2), np.float32)})
thread = threading.Thread(target=lambda: (policies.clear(), gc.collect()))
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print('handled'))
signal.raise_signal(signal.SIGTERM)
"""


@pytest.fixture(scope='module')
def exported(export_tiny_policy):
    """Return a function that returns an exported checkpoint for a runtime, or skips."""
    def export(backend):
        pytest.importorskip('openvino' if backend == 'openvino' else 'torch')
        return export_tiny_policy(FORMATS.get(backend, backend))

    return export


@pytest.fixture
def own(exported, tmp_path):
    """Return a copy of a checkpoint that is exported as TorchScript."""
    return shutil.copytree(exported('torchscript'), tmp_path / 'model')


def window(count=1):
    """Return windows of a robot."""
    random = np.random.default_rng(0)
    return {'observation.images.camera': random.integers(0, 256, (count, 2, 96, 96, 3), np.uint8),
            'observation.state': random.uniform(0, 0.5, (count, 2, 2)).astype(np.float32)}


def seeded():
    """Return a generator of the same numbers every time."""
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize('backend', FORMATS)
def test_it_draws_the_policys_chunks_with_every_kind_of_solver(exported, backend):
    model = exported(backend)
    policy = Policy.load(model)
    served = served_policy(policy, model, backend=backend)
    assert served.device == policy.device
    for sampler in SAMPLERS:
        wanted, got = (one.sample(window(2), sampler=sampler, generator=seeded())
                       for one in (policy, served))
        torch.testing.assert_close(got, wanted, atol=1e-4 * 0.512, rtol=0)
    many, wanted = (one.sample_candidates(window(), 5, generator=seeded())
                    for one in (served, policy))
    torch.testing.assert_close(many, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize('backend', FORMATS)
def test_rows_encoded_one_by_one_and_promised_rows_work_as_ever(exported, backend):
    model = exported(backend)
    policy = Policy.load(model)
    served = served_policy(policy, model, backend=backend)
    seen = {key: value[0] for key, value in window().items()}
    conds = [RowEncoder(one).encode(seen) for one in (policy, served)]
    torch.testing.assert_close(*conds, atol=1e-5, rtol=0)
    rows = np.full((16, 2), np.nan)
    rows[:9] = (0.3, 0.1)
    wanted, got = (make_plans(one, conds[0], [Promise(rows, 4)], [seeded()],
                              PlanOptions(Sampler('ddim', 4), 'rtc', 3)).candidates
                   for one in (policy, served))
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=0)


def test_the_policy_it_was_made_of_stays_as_it_is_and_is_not_copied(own):
    policy = Policy.load(own)
    before = policy.sample(window(), generator=seeded())
    served = served_policy(policy, own, backend='torchscript')
    assert torch.equal(policy.sample(window(), generator=seeded()), before)
    assert not served.state_dict().keys() & policy.state_dict().keys()


@pytest.mark.parametrize('backend', ['onnx', 'openvino'])
def test_the_runtime_gets_as_many_threads_as_torch_has(exported, backend, monkeypatch):
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 1)
    run = runtimes._LOADERS[backend](exported(backend) / 'onnx' / 'denoiser.onnx')
    if backend == 'onnx':
        threads = run._session.get_session_options().intra_op_num_threads
    else:
        run(torch.zeros(1, 16, 2), torch.zeros(1), torch.zeros(1, 132))
        request, = run._requests.values()
        threads = request.get_compiled_model().get_property('INFERENCE_NUM_THREADS')
    assert threads == 1


@pytest.mark.parametrize('backend', FORMATS)
def test_signals_are_handled_as_ever_when_graphs_have_come_and_gone(exported, backend):
    words = [sys.executable, '-c', SIGNALLED, exported(backend), backend]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True,
                          timeout=120)
    assert (done.returncode, done.stdout) == (0, 'handled\n'), done.stderr


def test_without_an_export_the_command_to_run_is_named(own):
    shutil.rmtree(own / 'torchscript')
    with pytest.raises(ConfigError, match=f'not exported as torchscript; run: dpr export {own} '
                       '--format torchscript'):
        served_policy(Policy.load(own), own, backend='torchscript')
    with pytest.raises(ConfigError, match=f'run: dpr export {own} --format onnx'):
        served_policy(Policy.load(own), own, backend='openvino')


def test_an_export_of_other_weights_is_refused_with_the_command_to_repeat(own):
    policy = Policy.load(own)
    with torch.no_grad():
        next(policy.parameters()).add_(1e-3)
    policy.save(own)
    assert (own / 'torchscript').is_dir()  # files that are not the checkpoint's are kept
    with pytest.raises(ConfigError, match='exported of other weights .* run: dpr export'):
        served_policy(Policy.load(own), own, backend='torchscript')


def test_an_export_of_another_horizon_is_refused(own):
    policy = deepcopy(Policy.load(own))
    object.__setattr__(policy.config, 'horizon', 32)
    with pytest.raises(ConfigError, match='other inputs of denoiser than .* run: dpr export'):
        served_policy(policy, own, backend='torchscript')


@pytest.mark.parametrize('name', ['denoiser.ts', 'encoder.ts', 'export.json'])
@pytest.mark.parametrize('damage', [
    lambda path: path.unlink(), lambda path: path.write_bytes(b''),
    lambda path: path.write_bytes(path.read_bytes()[:-9]),
    lambda path: (path.unlink(), path.mkdir())])
def test_a_damaged_export_is_refused_with_the_command_to_repeat(own, name, damage):
    damage(own / 'torchscript' / name)
    with pytest.raises(DiffusionPolicyError, match='run: dpr export .* --format torchscript'):
        served_policy(Policy.load(own), own, backend='torchscript')


def test_whatever_is_wrong_in_the_record_is_said_for_people(own, monkeypatch):
    monkeypatch.setattr(export_backend, 'load_graph', lambda path, runtime: None)
    path, policy, refused = own / 'torchscript' / 'export.json', Policy.load(own), 0
    record = json.loads(path.read_text())
    record['graphs'] = {'denoiser': record['graphs']['denoiser'],
                        'encoder': record['graphs']['encoder']}
    for place, document in damaged(record):
        path.write_text(json.dumps(document))
        if document == record:
            continue
        try:
            served_policy(policy, own, backend='torchscript')
        except DiffusionPolicyError as error:
            refused += 1
            assert not PYTHON.search(str(error)), error
            assert 'dpr export' in str(error), error
        else:
            assert place[0] in ('made_with', 'processor', 'sampler', 'rows') or place[2:3] in (
                ('output',), ('largest_difference',)), place
    assert refused > 100


def test_a_file_that_the_runtime_cannot_load_is_an_error_in_one_line(own):
    path = own / 'torchscript' / 'encoder.ts'
    path.write_bytes(b'what another version wrote')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_json(own / 'torchscript' / 'export.json', lambda record: record['graphs']['encoder'][
        'sha256'].update({'encoder.ts': digest}))
    with pytest.raises(CheckpointError, match='encoder.ts cannot be loaded by torchscript .*; '
                       'export it again') as failure:
        served_policy(Policy.load(own), own, backend='torchscript')
    assert '\n' not in str(failure.value)


def test_a_file_that_the_runtime_cannot_run_is_an_error_in_one_line(own):
    path = shutil.copy(own / 'torchscript' / 'encoder.ts', own / 'torchscript' / 'denoiser.ts')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_json(own / 'torchscript' / 'export.json', lambda record: record['graphs']['denoiser'][
        'sha256'].update({'denoiser.ts': digest}))
    served = served_policy(Policy.load(own), own, backend='torchscript')
    with pytest.raises(CheckpointError, match='denoiser.ts cannot be run by torchscript .*; '
                       'export it again') as failure:
        served.sample(window())
    assert '\n' not in str(failure.value)


def test_code_for_another_processor_or_torch_is_never_loaded(own):
    os.rename(own / 'torchscript', own / 'aoti')
    path = own / 'aoti' / 'export.json'
    edit_json(path, lambda record: record.update(format='aoti'))
    policy = Policy.load(own)
    with pytest.raises(CheckpointError, match='denoiser.ts cannot be loaded by aoti'):
        served_policy(policy, own, backend='aoti')
    for change in ({'processor': 'a 6502'}, {'made_with': {'torch': '2.4'}}, {'made_with': 3}):
        edit_json(path, lambda record: record.update(change))
        with pytest.raises(ConfigError, match='was compiled for .*; here is .* run: dpr export'):
            served_policy(policy, own, backend='aoti')


@pytest.mark.parametrize('backend, library', [('onnx', 'onnxruntime'), ('openvino', 'openvino')])
def test_a_missing_runtime_is_named_with_how_to_install_it(
        exported, monkeypatch, backend, library):
    model = exported(backend)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=rf'{library}.* missing; .*pip install ".*\[export\]"'):
        served_policy(Policy.load(model), model, backend=backend)


def test_what_does_not_go_together_is_refused_before_anything_is_loaded(own):
    policy = Policy.load(own)
    with pytest.raises(ConfigError, match="backend is 'tensorrt'; choose one of: auto, onnx"):
        served_policy(policy, own, backend='tensorrt')
    with pytest.raises(ConfigError, match="precision is 'bfloat16' with backend 'onnx'"):
        served_policy(policy, own, backend='onnx', precision='bfloat16')
    with pytest.raises(ConfigError, match='runs on the CPU, and the policy is on meta; set dev'):
        served_policy(policy.to('meta'), own, backend='torchscript')
