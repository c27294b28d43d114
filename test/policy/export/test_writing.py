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
"""An export computes what the policy does, says so, and is there as a whole or not at all."""

import fcntl
import hashlib
import json
import math
import os
from pathlib import Path
import shutil

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.export import writing
from diffusion_policy_ros.policy.export.formats import is_written
from diffusion_policy_ros.policy.export.writing import export_policy
import numpy as np
import pytest
import torch

pytest.importorskip('onnxscript')
onnxruntime = pytest.importorskip('onnxruntime')

ROBOTS = Path(__file__).resolve().parents[3] / 'config' / 'robots'
CAMERA, STATE = 'observation.images.camera', 'observation.state'
TYPES = {'float32': 'tensor(float)', 'uint8': 'tensor(uint8)'}


@pytest.fixture(scope='module')
def model(export_tiny_policy):
    """Return a checkpoint that is exported as ONNX, which no test changes."""
    return export_tiny_policy('onnx')


@pytest.fixture(scope='module')
def policy(model):
    """Return its policy."""
    return Policy.load(model)


@pytest.fixture
def own(model, tmp_path):
    """Return a copy of it, without any export."""
    folder = shutil.copytree(model, tmp_path / 'model')
    shutil.rmtree(folder / 'onnx')
    return folder


def window(seed=0):
    """Return what a robot sees, a batch of one."""
    random = np.random.default_rng(seed)
    return {CAMERA: random.integers(0, 256, (1, 2, 96, 96, 3), dtype=np.uint8),
            STATE: random.uniform(0, 0.5, (1, 2, 2)).astype(np.float32)}


def session(folder, name):
    """Load a graph as any program would."""
    return onnxruntime.InferenceSession(str(folder / f'{name}.onnx'))


def record_of(folder):
    """Read what an export says."""
    return json.loads((folder / 'export.json').read_text())


def ddim(predict, noise, steps, config):
    """
    Sample as Song et al. 2021 (arXiv:2010.02502, Eq. 12) do, from first principles.

    The cosine schedule is that of Nichol and Dhariwal 2021 (arXiv:2102.09672, Eq. 17).
    """
    count = config.num_train_timesteps
    share = [math.cos((t / count + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(count + 1)]
    betas = [min(1 - after / before, 0.999) for before, after in zip(share, share[1:])]
    alpha_bars = np.cumprod(1 - np.array(betas))
    times = [round(count - k * count / steps) - 1 for k in range(steps)]
    x = noise.astype(np.float64)
    for t, following in zip(times, [*times[1:], None]):
        alpha_bar, after = alpha_bars[t], 1.0 if following is None else alpha_bars[following]
        output = predict(x.astype(np.float32), np.full(len(x), t, np.float32))
        clean = output if config.prediction_type == 'sample' else \
            (x - np.sqrt(1 - alpha_bar) * output) / np.sqrt(alpha_bar)
        clean = np.clip(clean, -1, 1)
        noise_hat = (x - np.sqrt(alpha_bar) * clean) / np.sqrt(1 - alpha_bar)
        x = np.sqrt(after) * clean + np.sqrt(1 - after) * noise_hat
    return x


def ddim_around(denoiser, cond, noise, policy, steps=5):
    """Sample around an exported denoiser, and unnormalize by the statistics; robot units."""
    chunk = ddim(lambda x, t: denoiser.run(
        None, {'x_t': x, 't': t, 'global_cond': cond})[0], noise, steps, policy.config)
    low, high = (policy.normalizer.statistics['action'][name].numpy() for name in ('min', 'max'))
    return (chunk + 1) / 2 * (high - low) + low


def test_the_networks_in_a_loop_of_numpy_alone_come_to_the_policys_chunk(model, policy):
    seen, noise = window(), np.random.default_rng(1).normal(size=(1, 16, 2)).astype(np.float32)
    pictures = (seen[CAMERA][0, :, 28:68, 26:70] / 127.5 - 1).transpose(0, 3, 1, 2)
    features, = session(model / 'onnx', 'encoder').run(
        None, {'pictures': pictures.astype(np.float32)})
    low, high = (policy.normalizer.statistics[STATE][name].numpy() for name in ('min', 'max'))
    states = 2 * (seen[STATE][0] - low) / (high - low) - 1
    cond = np.concatenate([states, features], axis=1).reshape(1, -1).astype(np.float32)
    got = ddim_around(session(model / 'onnx', 'denoiser'), cond, noise, policy)
    wanted = policy.sample(seen, sampler=Sampler('ddim', 5), noise=torch.from_numpy(noise))
    np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5 * 0.512)


def test_the_chunk_is_that_of_the_policy_for_the_same_noise(model, policy):
    chunk = session(model / 'onnx', 'chunk')
    for seed in range(4):
        seen = window(seed)
        noise = torch.randn(1, 16, 2, generator=torch.Generator().manual_seed(seed))
        got, = chunk.run(None, {**seen, 'noise': noise.numpy()})
        wanted = policy.sample(seen, noise=noise)
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5 * 0.512)


def test_any_number_of_chunks_is_denoised_at_once_each_with_a_timestep_of_its_own(model):
    denoiser, random = session(model / 'onnx', 'denoiser'), np.random.default_rng(0)
    shapes = {port.name: port.shape for port in denoiser.get_inputs()}
    inputs = {name: random.normal(size=(7, *shape[1:])).astype(np.float32)
              for name, shape in shapes.items()}
    inputs['t'] = np.arange(7, dtype=np.float32) * 14
    together, = denoiser.run(None, inputs)
    for row in range(7):
        alone, = denoiser.run(None, {name: value[row:row + 1] for name, value in inputs.items()})
        np.testing.assert_allclose(together[row], alone[0], atol=1e-5)


def test_the_record_says_what_the_files_hold(model, policy):
    folder, record = model / 'onnx', record_of(model / 'onnx')
    weights = hashlib.sha256((model / 'model.safetensors').read_bytes()).hexdigest()
    assert (record['format'], record['weights']) == ('onnx', weights)
    assert record['made_with']['torch'] == torch.__version__
    assert Sampler(**record['sampler']) == policy.sampler
    assert record['rows'] == {'n_obs_steps': 2, 'first_executable': 1, 'n_action_steps': 8,
                              'rate_hz': 10.0}
    assert list(record['graphs']) == ['denoiser', 'encoder', 'chunk']
    for name, graph in record['graphs'].items():
        loaded = session(folder, name)
        ports = [*loaded.get_inputs(), *loaded.get_outputs()]
        assert [(port.name, port.type, port.shape) for port in ports] == [
            (port['name'], TYPES[port['dtype']], port['shape'])
            for port in (*graph['inputs'], graph['output'])]
        assert 0 <= graph['largest_difference'] < 1e-5
        assert graph['sha256'] == {
            graph['file']: hashlib.sha256((folder / graph['file']).read_bytes()).hexdigest()}
    entries = [{'name': 'finger_x', 'unit': 'm'}, {'name': 'finger_y', 'unit': 'm'}]
    assert record['graphs']['chunk']['output']['entries'] == entries
    assert [(port['name'], port.get('encoding'), port.get('entries'))
            for port in record['graphs']['chunk']['inputs']] == [
        (CAMERA, 'rgb8', None), (STATE, None, entries), ('noise', None, None)]


def test_no_file_tells_where_on_this_machine_it_was_made(model):
    for path in (model / 'onnx').iterdir():
        assert b'diffusion_policy_ros/' not in path.read_bytes(), path


def test_another_sampler_and_another_folder_are_taken_and_an_earlier_export_goes(own, tmp_path):
    out = tmp_path / 'deep' / 'out'
    for steps in (2, 1):
        assert export_policy(own, 'torchscript', out=out, changes={
            'solver': 'heun', 'num_inference_steps': steps}) == out
        assert record_of(out)['sampler']['num_inference_steps'] == steps
        assert {path.name for path in out.iterdir()} == {
            'denoiser.ts', 'encoder.ts', 'chunk.ts', 'export.json'}
        (out / 'encoder_1.ts').touch()
    assert not (own / 'torchscript').exists()
    chunk, noise = torch.jit.load(str(out / 'chunk.ts')), torch.ones(1, 16, 2)
    seen = window()
    torch.testing.assert_close(
        chunk(*map(torch.from_numpy, seen.values()), noise),
        Policy.load(own).sample(seen, sampler=Sampler('heun', 1), noise=noise))


@pytest.mark.parametrize('changes, words', [
    ({'solver': 'ddpm'}, "'ddpm' draws noise on the way.*take dpm_solver"),
    ({'eta': 1.0}, "'ddim', eta 1.0 draws noise"),
    ({'solver': 'adaptive'}, "'adaptive' chooses its steps"),
    ({'num_inference_steps': 101}, 'num_inference_steps is 101'),
    ({'guidance_scale': 2.0}, 'guidance_scale is 2.0')])
def test_a_sampler_that_cannot_be_unrolled_is_refused(own, changes, words):
    with pytest.raises(ConfigError, match=words):
        export_policy(own, 'torchscript', changes=changes)
    assert not (own / 'torchscript').exists()


@pytest.mark.parametrize('wrong', [1e-3, math.nan])
def test_a_graph_that_computes_something_else_is_refused_and_leaves_nothing(
        own, monkeypatch, wrong):
    load = writing.load_graph
    monkeypatch.setattr(writing, 'load_graph', lambda path, runtime: lambda *tensors: load(
        path, runtime)(*tensors) + (wrong if path.name == 'chunk.ts' else 0))
    before = set(own.iterdir())
    with pytest.raises(ConfigError, match='chunk.ts computes something else .* nothing was'):
        export_policy(own, 'torchscript')
    assert set(own.iterdir()) == before


def test_a_disk_that_refuses_leaves_what_was_there(own, monkeypatch):
    export_policy(own, 'torchscript')
    before = {path: path.read_bytes() for path in (own / 'torchscript').iterdir()}
    monkeypatch.setattr(writing, 'put_in_place', lambda built, place: (_ for _ in ()).throw(
        OSError('disk full')))
    with pytest.raises(CheckpointError, match='cannot be written: disk full; make room'):
        export_policy(own, 'torchscript')
    assert {path: path.read_bytes() for path in (own / 'torchscript').iterdir()} == before
    assert not [path for path in own.iterdir() if path.name.startswith('.')]


def test_a_stop_in_the_last_moment_leaves_the_earlier_export(own, monkeypatch):
    export_policy(own, 'torchscript')
    before = {path: path.read_bytes() for path in (own / 'torchscript').iterdir()}

    def stopped(built, place):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, 'put_in_place', stopped)
    with pytest.raises(KeyboardInterrupt):
        export_policy(own, 'torchscript')
    assert {path: path.read_bytes() for path in (own / 'torchscript').iterdir()} == before
    assert not [path for path in own.iterdir() if path.name.startswith('.')]


def test_two_exports_into_one_folder_do_not_meet(own, tmp_path):
    unfinished = tmp_path / '.out.new'
    unfinished.mkdir()
    (unfinished / 'chunk.ts').touch()
    (unfinished / 'folder').mkdir()
    number = os.open(unfinished, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match='out is being written by another dpr export; wait'):
            export_policy(own, 'torchscript', out=tmp_path / 'out')
        assert list(unfinished.iterdir())
    finally:
        os.close(number)  # it was killed
    export_policy(own, 'torchscript', out=tmp_path / 'out')
    assert not unfinished.exists() and (tmp_path / 'out' / 'export.json').is_file()


@pytest.mark.parametrize('name, is_own', [
    ('denoiser.onnx', True), ('encoder_12.onnx.data', True), ('encoder.pt2', True),
    ('chunk.ts', True), ('chunk.cpp', False), ('chunk', False), ('chunk.ts.bak', False),
    ('encoder_.ts', False), ('my_chunk.ts', False)])
def test_the_files_of_an_export_are_known_by_their_names(name, is_own):
    assert is_written(name) == is_own


def test_what_is_no_export_is_never_replaced(own, tmp_path):
    (tmp_path / 'file').touch()
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'precious').touch()
    (tmp_path / 'beside').mkdir()
    for name in ('export.json', 'chunk.ts', 'main.cpp'):
        (tmp_path / 'beside' / name).write_text('{"format_version": 1}')
    (tmp_path / 'below' / 'src').mkdir(parents=True)
    (tmp_path / 'foreign').mkdir()
    (tmp_path / 'foreign' / 'export.json').write_text('{"mine": 1}')
    before = sorted(tmp_path.rglob('*'))
    for out, said in (('file', 'is no folder'), ('full', 'holds precious, which no export wrote'),
                      ('beside', 'holds main.cpp, which'), ('below', 'holds src, which'),
                      ('foreign', 'holds export.json, which')):
        with pytest.raises(CheckpointError, match=f'{said}.*; choose another|{said}; choose'):
            export_policy(own, 'torchscript', out=tmp_path / out)
    assert sorted(tmp_path.rglob('*')) == before
    with pytest.raises(CheckpointError, match='cannot be written: .*--out'):
        export_policy(own, 'torchscript', out=tmp_path / 'file' / 'below')
    assert (tmp_path / 'full' / 'precious').exists()


def test_a_policy_without_a_contract_is_exported_without_names(own, monkeypatch):
    policy = Policy.load(own)
    policy.contract = None
    monkeypatch.setattr(Policy, 'load', lambda folder: policy)
    record = record_of(export_policy(own, 'torchscript'))
    assert record['rows']['rate_hz'] is None
    assert 'entries' not in record['graphs']['chunk']['output']


NETWORKS = {
    'unet': {'down_dims': (16, 32)},
    'dit': {'denoiser': {'type': 'dit', 'dim': 32, 'layers': 2, 'heads': 2}},
    'transformer': {'denoiser': {'type': 'transformer', 'dim': 32, 'layers': 2, 'heads': 2}},
    'mlp': {'denoiser': {'type': 'mlp', 'dim': 16, 'layers': 2}}}
ENCODERS = {
    'state only': None,
    'resnet, resized': {'vision_backbone': 'resnet18', 'resize_shape': (60, 60)},
    'vit, separate': {
        'vision_backbone': 'vit', 'use_separate_rgb_encoder_per_camera': True,
        'observation_encoder': {'vit_patch': 4, 'vit_dim': 32, 'vit_layers': 2, 'vit_heads': 2}},
    'fusion': {'observation_encoder': {'fusion': 'transformer', 'fusion_dim': 32,
                                       'fusion_heads': 2, 'state_dims': (16, 16)}}}


@pytest.mark.slow
@pytest.mark.parametrize('network, encoder', list(zip(NETWORKS, ENCODERS)))
def test_every_network_computes_in_onnxruntime_what_the_policy_does(
        save_tiny_policy, network, encoder):
    seeing = ENCODERS[encoder]
    model = save_tiny_policy(
        2, contract=ROBOTS / ('arm6.yaml' if seeing else 'pusht_state.yaml'), **(seeing or {}),
        prediction_type='sample', **({'crop_shape': (40, 48)} if seeing else {}),
        **NETWORKS[network])
    policy = Policy.load(model)
    with torch.no_grad():  # weights that start as zeros shall take part, too
        for parameter in policy.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    policy.save(model)
    folder, config = export_policy(model, 'onnx'), policy.config
    graphs = record_of(folder)['graphs']
    assert len(graphs) == 2 + (len(config.image_keys) if 'separate' in encoder else bool(seeing))
    inputs = graphs['chunk']['inputs']
    random = np.random.default_rng(2)
    seen = {port['name']: (random.integers(0, 256, port['shape'], dtype=np.uint8)
                           if port['dtype'] == 'uint8'
                           else random.random(port['shape'], np.float32)) for port in inputs}
    noise = torch.from_numpy(seen['noise'])
    got, = session(folder, 'chunk').run(None, seen)
    np.testing.assert_allclose(got, policy.sample(seen, noise=noise).numpy(), atol=1e-4 * 0.512)
    with torch.inference_mode():
        cond = policy.encode(seen)
    got = ddim_around(session(folder, 'denoiser'), cond.numpy(), seen['noise'], policy)
    wanted = policy.sample(seen, sampler=Sampler('ddim', 5), noise=noise)
    np.testing.assert_allclose(got, wanted.numpy(), atol=1e-4 * 0.512)
