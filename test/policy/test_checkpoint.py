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
"""Tests of the checkpoint folder."""

import json
import os
from pathlib import Path

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy import Policy
from folder_edits import edit_json, edit_tensors
import pytest
from safetensors.torch import load_file
import torch

FILES = {'config.json', 'model.safetensors', 'contract.yaml', 'diffusion_policy_ros.json',
         'policy_preprocessor.json', 'policy_postprocessor.json',
         'policy_preprocessor_step_3_normalizer_processor.safetensors',
         'policy_postprocessor_step_0_unnormalizer_processor.safetensors'}


def chunk_of(policy, window):
    """Draw one chunk with a fixed seed."""
    return policy.sample(window, generator=torch.Generator().manual_seed(0))


def test_loaded_policy_draws_the_same_chunk(policy, saved, window):
    loaded = Policy.load(saved)
    assert torch.equal(chunk_of(loaded, window), chunk_of(policy, window))
    assert loaded.config == policy.config and loaded.contract == policy.contract
    assert not loaded.training


def test_folder_holds_exactly_the_known_files_readable_for_all(saved):
    assert {path.name for path in saved.iterdir()} == FILES
    mask = os.umask(0)
    os.umask(mask)
    assert all(path.stat().st_mode & 0o777 == 0o666 & ~mask for path in saved.iterdir())
    assert [path.name for path in saved.parent.iterdir()] == ['small']


def test_default_sampler_travels_along(make_policy, tmp_path):
    make_policy(sampler=Sampler('ddim', 16, eta=0.5)).save(tmp_path / 'model')
    assert Policy.load(tmp_path / 'model').sampler == Sampler('ddim', 16, eta=0.5)


def test_conditioning_dropout_travels_along_out_of_lerobots_sight(make_policy, tmp_path, window):
    make_policy(conditioning_dropout=0.1).save(tmp_path / 'model')
    assert 'conditioning_dropout' not in (tmp_path / 'model' / 'config.json').read_text()
    loaded = Policy.load(tmp_path / 'model')
    assert loaded.config.conditioning_dropout == 0.1
    assert torch.isfinite(loaded.sample(window, sampler=Sampler(guidance_scale=2.0))).all()


def test_a_checkpoint_from_before_there_was_dropout_loads_without(folder):
    edit_json(folder / 'diffusion_policy_ros.json', lambda document: document.pop('config'))
    assert Policy.load(folder).config.conditioning_dropout == 0


def test_a_policy_that_predicts_the_score_travels(make_policy, tmp_path, window):
    policy = make_policy(prediction_type='score').eval()
    policy.save(tmp_path / 'model')
    loaded = Policy.load(tmp_path / 'model')
    assert loaded.config == policy.config
    assert torch.equal(chunk_of(loaded, window), chunk_of(policy, window))


def test_patches_that_fit_only_these_images_travel(make_policy, tmp_path):
    """The other file alone says nothing that goes together."""
    policy = make_policy(vision_backbone='vit', crop_shape=(84, 84), observation_encoder={
        'vit_patch': 12, 'vit_dim': 18, 'vit_layers': 1})
    policy.save(tmp_path / 'model')
    assert Policy.load(tmp_path / 'model').config == policy.config


def test_half_precision_halves_the_file_and_loads_as_float32(policy, saved, tmp_path, window):
    policy.save(tmp_path / 'half', weights_dtype='float16')
    sizes = [(path / 'model.safetensors').stat().st_size for path in (saved, tmp_path / 'half')]
    assert sizes[1] < 0.6 * sizes[0]
    loaded = Policy.load(tmp_path / 'half')
    assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())
    torch.testing.assert_close(chunk_of(loaded, window), chunk_of(policy, window),
                               rtol=0, atol=5e-3)


def test_tensor_names_and_processors_are_those_of_lerobot(saved):
    names = load_file(saved / 'model.safetensors').keys()
    assert {'diffusion.rgb_encoder.backbone.0.weight', 'diffusion.rgb_encoder.pool.pos_grid',
            'diffusion.unet.final_conv.1.bias'} <= names
    assert all(name.startswith(('diffusion.rgb_encoder.', 'diffusion.unet.')) for name in names)
    before = json.loads((saved / 'policy_preprocessor.json').read_text())
    after = json.loads((saved / 'policy_postprocessor.json').read_text())
    assert [step['registry_name'] for step in before['steps']] == [
        'rename_observations_processor', 'to_batch_processor', 'device_processor',
        'normalizer_processor']
    assert [step['registry_name'] for step in after['steps']] == [
        'unnormalizer_processor', 'device_processor']
    assert before['steps'][3]['config'] == {
        'eps': 1e-8,
        'features': {'observation.images.camera': {'type': 'VISUAL', 'shape': [3, 96, 96]},
                     'observation.state': {'type': 'STATE', 'shape': [2]},
                     'action': {'type': 'ACTION', 'shape': [2]}},
        'norm_map': {'VISUAL': 'MEAN_STD', 'STATE': 'MIN_MAX', 'ENV': 'MIN_MAX',
                     'ACTION': 'MIN_MAX'}}
    state = load_file(saved / before['steps'][3]['state_file'])
    assert state['observation.images.camera.std'].flatten().tolist() == [0.5, 0.5, 0.5]
    assert state['observation.images.camera.mean'].shape == (3, 1, 1)
    torch.testing.assert_close(state['action.max'], torch.tensor([0.51, 0.49]))
    assert set(load_file(saved / after['steps'][0]['state_file'])) == {
        f'action.{name}' for name in ('min', 'max', 'mean', 'std')}


def test_saving_again_replaces_the_checkpoint_and_keeps_other_files(make_policy, folder, window):
    (folder / 'README.md').write_text('card')
    (folder / 'training').mkdir()
    (folder / 'training' / 'state').write_text('kept')
    policy = make_policy(prediction_type='sample')
    policy.save(folder)
    assert (folder / 'README.md').read_text() == 'card'
    assert (folder / 'training' / 'state').read_text() == 'kept'
    assert torch.equal(chunk_of(Policy.load(folder), window), chunk_of(policy, window))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_checkpoint_is_on_the_disk_before_the_old_one_goes(make_policy, folder, monkeypatch):
    happened, fsync, rename = [], os.fsync, Path.rename
    monkeypatch.setattr(os, 'fsync', lambda handle: happened.append(
        Path(os.readlink(f'/proc/self/fd/{handle}')).name) or fsync(handle))
    monkeypatch.setattr(Path, 'rename', lambda *paths: happened.append('rename') or rename(*paths))
    make_policy().save(folder)
    files = {path.name for path in folder.iterdir()}
    assert files | {f'.{folder.name}.new'} == set(happened[:happened.index('rename')])
    assert happened[-4:] == ['rename', 'rename', folder.parent.name, folder.name]


def test_failed_save_leaves_the_old_checkpoint_alone(make_policy, folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(Path, 'write_bytes',
                        lambda *_: (_ for _ in ()).throw(OSError('disk full')))
    with pytest.raises(CheckpointError, match='cannot be written: disk full'):
        make_policy().save(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize('killed_at', ['second rename', 'moving the other files'])
def test_a_save_that_was_killed_is_completed_by_the_next(
        make_policy, folder, monkeypatch, killed_at):
    (folder / 'README.md').write_text('the card')
    renames = iter([True, killed_at != 'second rename', False])
    rename = Path.rename

    def killed(path, target):
        if not next(renames):
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, 'rename', killed)
        make_policy().save(folder)
    make_policy().save(folder)
    assert (folder / 'README.md').read_text() == 'the card'
    assert [path.name for path in folder.parent.iterdir() if path.name.startswith('.')] == []
    Policy.load(folder)


def test_what_a_killed_save_left_unfinished_is_removed_by_the_next(make_policy, folder):
    unfinished = folder.with_name(f'.{folder.name}.new')
    unfinished.mkdir()
    (unfinished / 'half.safetensors').touch()
    make_policy().save(folder)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert not (folder / 'half.safetensors').exists()


def test_what_is_no_checkpoint_is_never_replaced(policy, tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(CheckpointError, match='is not empty and no checkpoint'):
        policy.save(tmp_path)
    with pytest.raises(CheckpointError, match='notes.txt is a file'):
        policy.save(tmp_path / 'notes.txt')
    assert (tmp_path / 'notes.txt').read_text() == 'mine'


def test_weights_that_half_precision_cannot_hold_are_refused(make_policy, tmp_path):
    policy = make_policy()
    with torch.no_grad():
        policy.diffusion.unet.final_conv[1].bias.fill_(1e6)
    with pytest.raises(CheckpointError, match="as float16: 'diffusion.unet.final_conv.1.bias'"):
        policy.save(tmp_path / 'model', weights_dtype='float16')
    with pytest.raises(CheckpointError, match="weights_dtype is 'int8'; choose one of: float32"):
        policy.save(tmp_path / 'model', weights_dtype='int8')
    assert not list(tmp_path.iterdir())


def test_policy_without_contract_is_not_saved(policy, tmp_path):
    bare = Policy(policy.config, policy.normalizer)
    with pytest.raises(CheckpointError, match='needs the robot contract'):
        bare.save(tmp_path / 'model')


@pytest.mark.parametrize('name', sorted(FILES))
def test_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f'{name} is missing; copy the whole checkpoint'):
        Policy.load(folder)


@pytest.mark.parametrize('name', sorted(FILES))
@pytest.mark.parametrize('content', [b'', b'\x00\xff\x00', b'[]', b'version https://git-lfs'])
def test_corrupt_file_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        Policy.load(folder)


@pytest.mark.parametrize('name', sorted(n for n in FILES if n.endswith(('json', 'yaml'))))
@pytest.mark.parametrize('opening', ['[', '{"a":'])
def test_deeply_nested_file_is_named(folder, name, opening):
    (folder / name).write_text(opening * 50_000)
    with pytest.raises(CheckpointError, match=f'{name}.* lie .*in each other'):
        Policy.load(folder)


@pytest.mark.parametrize('changes', [
    {'down_dims': [16384, 16384]}, {'kernel_size': 999}, {'n_obs_steps': 9},
    {'diffusion_step_embed_dim': 10_000}, {'spatial_softmax_num_keypoints': 10_000}])
def test_sizes_that_the_weights_do_not_have_cost_no_memory(folder, monkeypatch, changes):
    def fail(*_, **__):
        pytest.fail('the networks were built')

    edit_json(folder / 'config.json', lambda document: document.update(changes))
    monkeypatch.setattr(Policy, '__init__', fail)
    with pytest.raises(CheckpointError, match='model.safetensors.* config.json'):
        Policy.load(folder)


@pytest.mark.parametrize('keep', (4, 100, 0.5, 0.999))
def test_file_cut_short_is_named(folder, keep):
    path = folder / 'model.safetensors'
    whole = path.read_bytes()
    path.write_bytes(whole[:keep if keep > 1 else int(keep * len(whole))])
    with pytest.raises(CheckpointError, match='model.safetensors is no intact safetensors file'):
        Policy.load(folder)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(CheckpointError, match='nowhere is no folder; give the folder that holds'):
        Policy.load(tmp_path / 'nowhere')


BIAS = 'diffusion.unet.final_conv.1.bias'


@pytest.mark.parametrize('change, message', [
    (lambda t: t.pop(BIAS), f"lacks '{BIAS}'"),
    (lambda t: t.update(extra=torch.zeros(1)), "has the unknown tensor 'extra'"),
    (lambda t: t.update({BIAS: torch.zeros(3)}), rf"'{BIAS}' has shape \(3,\), .* wants \(2,\)"),
    (lambda t: t.update({BIAS: torch.full((2,), float('nan'))}), f"'{BIAS}' is not finite")])
def test_weights_that_do_not_fit_are_refused(folder, change, message):
    edit_tensors(folder / 'model.safetensors', change)
    with pytest.raises(CheckpointError, match=message):
        Policy.load(folder)


@pytest.mark.parametrize('name, change, message', [
    ('config.json', lambda d: d.update(horizon=10), 'config.json: horizon is 10'),
    ('config.json', lambda d: d.update(down_dims=[16, 64]), 'model.safetensors: .* has shape'),
    ('config.json', lambda d: d.update(type='act'), "config.json: type is 'act'"),
    ('config.json', lambda d: d['input_features']['observation.state'].update(shape=[3]),
     "statistics of 'observation.state'"),
    ('config.json', lambda d: d['normalization_mapping'].update(STATE='MEAN_STD'),
     r"norm_map\['STATE'\] is 'MIN_MAX', config.json says 'MEAN_STD'"),
    ('policy_preprocessor.json', lambda d: d['steps'].pop(), "no step 'normalizer_processor'"),
    ('policy_preprocessor.json', lambda d: d['steps'][3].update(state_file='../x.safetensors'),
     "state_file is '../x.safetensors'; it must name a file in the same folder"),
    ('policy_preprocessor.json', lambda d: d['steps'][3].update(state_file='gone/../x'),
     'state_file is .*; it must name a file in the same folder'),
    ('policy_preprocessor.json', lambda d: d['steps'][3].pop('state_file'), 'state_file is None'),
    ('policy_preprocessor.json', lambda d: d['steps'][3].update(config=3), 'has no norm_map'),
    ('diffusion_policy_ros.json', lambda d: d.update(format_version=2), 'format_version is 2'),
    ('diffusion_policy_ros.json', lambda d: d.update(format_version=True),
     'format_version is True'),
    ('diffusion_policy_ros.json', lambda d: d.update(config=3), 'json: config is 3; it must map'),
    ('diffusion_policy_ros.json', lambda d: d['config'].update(horizon=8),
     "json: config is .*'horizon': 8"),
    ('diffusion_policy_ros.json', lambda d: d['config'].update(conditioning_dropout=2),
     'diffusion_policy_ros.json with config.json: conditioning_dropout is 2; it must be'),
    ('diffusion_policy_ros.json', lambda d: d['sampler'].update(solver='x'), "solver is 'x'"),
    ('diffusion_policy_ros.json', lambda d: d['sampler'].update(pace=1),
     "sampler: unknown key 'pace'"),
    ('diffusion_policy_ros.json', lambda d: d['sampler'].update(num_inference_steps=500),
     'num_inference_steps is 500')])
def test_files_that_disagree_are_refused(folder, name, change, message):
    edit_json(folder / name, change)
    with pytest.raises(CheckpointError, match=message):
        Policy.load(folder)


def test_missing_statistics_are_refused(folder):
    edit_tensors(folder / 'policy_postprocessor_step_0_unnormalizer_processor.safetensors',
                 lambda tensors: tensors.pop('action.min'))
    with pytest.raises(CheckpointError, match="statistics of 'action' lack min"):
        Policy.load(folder)
