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

"""Folders of LeRobot: of all times, silent ones, and damaged ones that one sentence refuses."""

import json
import re

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.checkpoint import read_description
from folder_edits import edit_json, edit_tensors
from lerobot_side import copy_fixture, differences, expected_of, FIXTURES
import pytest
from safetensors.torch import load_file
import torch

STATE, ENVIRONMENT = 'observation.state', 'observation.environment_state'
PRE, POST = 'policy_preprocessor', 'policy_postprocessor'
PRE_STATE = f'{PRE}_step_3_normalizer_processor.safetensors'
POST_STATE = f'{POST}_step_0_unnormalizer_processor.safetensors'


@pytest.fixture
def folder(tmp_path):
    """Return a folder of LeRobot's that a test may change; its policy has no camera."""
    return copy_fixture('vectors', tmp_path / 'vectors')


def assert_same_answer(folder):
    """Compare with what LeRobot answered from the untouched folder."""
    inputs, expected = expected_of(FIXTURES / 'vectors' / 'expected.npz')
    assert differences(Policy.load(folder), inputs, expected) < 1e-5


def make_legacy(folder):
    """Move the statistics among the weights, as they were before LeRobot had processors."""
    before, after = load_file(folder / PRE_STATE), load_file(folder / POST_STATE)

    def add(tensors):
        for prefix, entries in (('normalize_inputs', before), ('normalize_targets', after),
                                ('unnormalize_outputs', after)):
            for name, tensor in entries.items():
                key, _, statistic = name.rpartition('.')
                if (key == 'action') != (prefix == 'normalize_inputs'):
                    tensors[f'{prefix}.buffer_{key.replace(".", "_")}.{statistic}'] = \
                        tensor.clone()

    edit_tensors(folder / 'model.safetensors', add)
    for name in (f'{PRE}.json', f'{POST}.json', PRE_STATE, POST_STATE):
        (folder / name).unlink()


def test_sampler_is_the_one_lerobot_uses(folder):
    assert read_description(folder)[2] == Sampler('ddpm', 100, spacing='linspace')
    edit_json(folder / 'config.json', lambda d: d.update(
        noise_scheduler_type='DDIM', num_inference_steps=10, clip_sample=True,
        beta_schedule='squaredcos_cap_v2'))
    assert read_description(folder)[2] == Sampler('ddim_unclipped', 10, spacing='linspace',
                                                  start_timestep=90.0)


def test_a_run_that_starts_where_chunks_are_visible_is_refused(folder):
    edit_json(folder / 'config.json', lambda d: d.update(
        num_inference_steps=2, beta_schedule='squaredcos_cap_v2'))
    with pytest.raises(CheckpointError, match='num_inference_steps is 2, with which LeRobot'):
        Policy.load(folder)


def test_legacy_statistics_among_the_weights_are_found_by_the_features(folder):
    make_legacy(folder)  # "environment_state" holds an underscore of its own
    assert_same_answer(folder)


def test_features_without_types_of_2024_are_read(folder):
    make_legacy(folder)

    def change(document):
        for side in ('input', 'output'):
            features = document.pop(f'{side}_features')
            modes = document['normalization_mapping']
            document[f'{side}_shapes'] = {key: f['shape'] for key, f in features.items()}
            document[f'{side}_normalization_modes'] = {
                key: modes.get(f['type'], 'IDENTITY').lower() for key, f in features.items()}
        for name in ('type', 'normalization_mapping', 'resize_shape', 'crop_ratio'):
            document.pop(name)

    edit_json(folder / 'config.json', change)
    assert_same_answer(folder)


def test_names_of_a_compiled_network_are_read(folder):
    def compiled(tensors):
        for name in list(tensors):
            tensors[name.replace('diffusion.unet.', 'diffusion.unet._orig_mod.')] = \
                tensors.pop(name)

    edit_tensors(folder / 'model.safetensors', compiled)
    assert_same_answer(folder)


def test_statistics_are_read_where_the_pipeline_says(folder):
    (folder / PRE_STATE).rename(folder / 'elsewhere.safetensors')

    def insert_a_step(document):
        document['steps'].insert(0, {'registry_name': 'device_processor', 'config': {}})
        document['steps'][4]['state_file'] = 'elsewhere.safetensors'

    edit_json(folder / f'{PRE}.json', insert_a_step)
    assert_same_answer(folder)


def test_what_a_configuration_does_not_say_is_inferred_from_the_tensors(folder):
    edit_json(folder / 'config.json', lambda d: [d.pop(name) for name in (
        'down_dims', 'kernel_size', 'diffusion_step_embed_dim', 'use_film_scale_modulation',
        'use_separate_rgb_encoder_per_camera', 'use_group_norm', 'vision_backbone', 'n_obs_steps',
        'spatial_softmax_num_keypoints')])
    assert_same_answer(folder)


@pytest.mark.parametrize('name', ('image_ddpm', 'two_cameras_ddim'))
def test_what_it_does_not_say_of_the_encoder_is_inferred(tmp_path, name):
    folder = copy_fixture(name, tmp_path / name)
    whole = read_description(folder)
    edit_json(folder / 'config.json', lambda d: [d.pop(field) for field in (
        'use_separate_rgb_encoder_per_camera', 'use_group_norm', 'vision_backbone', 'n_obs_steps',
        'spatial_softmax_num_keypoints')])
    assert read_description(folder) == whole


def test_defaults_are_those_of_the_time_of_the_configuration(folder):
    edit_json(folder / 'config.json', lambda d: [d.pop(name) for name in (
        'horizon', 'n_action_steps')])
    late, *_ = read_description(folder)
    edit_json(folder / 'config.json', lambda d: d.pop('resize_shape'))
    early, *_ = read_description(folder)
    assert (late.horizon, late.n_action_steps) == (64, 32)
    assert (early.horizon, early.n_action_steps) == (16, 8)


def test_states_that_lerobot_does_not_look_at_are_left_out(folder):
    edit_json(folder / 'config.json', lambda d: d['input_features'].update(
        {'observation.velocity': {'type': 'STATE', 'shape': [3]}}))
    assert_same_answer(folder)


def test_fields_about_training_and_the_hub_do_not_matter(folder):
    edit_json(folder / 'config.json', lambda d: d.update(
        device='cuda', repo_id='somebody/something', tags=['a'], optimizer_lr=1.0,
        compile_model=True, drop_n_last_frames=7))
    assert_same_answer(folder)


@pytest.mark.parametrize('change, message', [
    (lambda d: d.update(new_field=3), "unknown field 'new_field', which may change what"),
    (lambda d: d.update(use_peft=True), 'use_peft is true'),
    (lambda d: d.update(noise_scheduler_type='EDM'), "noise_scheduler_type is 'EDM'; choose one"),
    (lambda d: d.update(num_inference_steps=101), 'num_inference_steps is 101'),
    (lambda d: d.update(num_inference_steps='10'), "num_inference_steps is '10'"),
    (lambda d: d.update(down_dims=[16, 16]), r'down_dims is \[16, 16\], but the tensors'),
    (lambda d: d.update(kernel_size=7), 'kernel_size is 7, but the tensors are those of'),
    (lambda d: d.update(vision_backbone='resnet50'), "vision_backbone is 'resnet50'; choose one"),
    (lambda d: d.update(num_train_timesteps=True), 'num_train_timesteps is True'),
    (lambda d: d.update(horizon=[16]), r'horizon is \[16\]'),
    (lambda d: d.update(down_dims='big'), "down_dims is 'big'"),
    (lambda d: d.update(down_dims=10**20), 'down_dims is 1000'),
    (lambda d: d.update(input_features=[]), r'input_features is \[\]'),
    (lambda d: d['input_features'][STATE].update(shape=[10**9]), 'shape is .*1000000000'),
    (lambda d: d['input_features'].update({'task': {'type': 'LANGUAGE', 'shape': [1]}}),
     "task.type is 'LANGUAGE'; choose one of"),
    (lambda d: d.update(normalization_mapping=3), 'normalization_mapping is 3'),
    (lambda d: d.update(resize_shape=[0, 4]), r'resize_shape is'),
    (lambda d: d.update(resize_shape=[40, 40], crop_ratio=7), 'crop_ratio is 7'),
    (lambda d: d.update(type='diffusion_policy_ros'), 'whose other files are missing')])
def test_configuration_that_cannot_be_followed_is_refused(folder, change, message):
    if 'resize' in message or 'crop' in message:  # of no meaning without cameras
        folder = copy_fixture('image_ddpm', folder.with_name('image'))
    edit_json(folder / 'config.json', change)
    with pytest.raises(CheckpointError, match=message) as caught:
        Policy.load(folder)
    assert '\n' not in str(caught.value)


def step_of(document, index=-1):
    """Return the normalization step of a pipeline."""
    return document['steps'][index]


@pytest.mark.parametrize('name, change, message', [
    (PRE, lambda d: d['steps'].append({'registry_name': 'relative_actions_processor'}),
     "the step 'relative_actions_processor' is not known here"),
    (PRE, lambda d: d['steps'].append({'class': 'my.Step', 'config': {}}), "step 'my.Step'"),
    (PRE, lambda d: d['steps'].pop(), "no step 'normalizer_processor'"),
    (PRE, lambda d: d['steps'].append(step_of(d)), "2 steps 'normalizer_processor', not one"),
    (PRE, lambda d: d.update(steps=7), 'steps is 7; it must be a list'),
    (PRE, lambda d: step_of(d).update(state_file='/etc/passwd'), 'must name a file in the same'),
    (PRE, lambda d: step_of(d).update(state_file='../x'), 'must name a file in the same folder'),
    (PRE, lambda d: step_of(d).update(state_file='.'), 'is no intact|must name a file'),
    (PRE, lambda d: step_of(d).update(state_file=None), 'state_file is None'),
    (PRE, lambda d: step_of(d).update(state_file='gone'), 'gone is missing'),
    (PRE, lambda d: step_of(d)['config'].update(eps=0.1), r'eps is 0.1; only 1e-08'),
    (PRE, lambda d: step_of(d)['config']['norm_map'].update(STATE='QUANTILE10'), 'norm_map'),
    (PRE, lambda d: step_of(d)['config']['features'].pop(STATE), f"leaves '{STATE}' as it is"),
    (PRE, lambda d: step_of(d)['config'].update(normalize_observation_keys=[]), 'as it is'),
    (PRE, lambda d: d['steps'][0]['config'].update(rename_map={STATE: ENVIRONMENT}),
     r'rename_map is .*environment_state.*--rename\), and make rename_map empty'),
    (POST, lambda d: step_of(d, 0)['config']['features'].clear(), "leaves 'action' as it is")])
def test_pipeline_that_does_something_else_is_refused(folder, name, change, message):
    edit_json(folder / f'{name}.json', change)
    edit_json(folder / 'config.json', lambda d: None)
    with pytest.raises(CheckpointError, match=message):
        Policy.load(folder)


def test_missing_statistics_are_refused_whoever_misses_them(folder):
    edit_tensors(folder / POST_STATE, lambda t: [t.pop(name) for name in list(t)
                                                 if re.search('action.(min|q|mean)', name)])
    with pytest.raises(CheckpointError, match="statistics of 'action' lack"):
        Policy.load(folder)
    (folder / f'{PRE}.json').unlink()
    with pytest.raises(CheckpointError, match='policy_preprocessor.json is missing'):
        Policy.load(folder)
    (folder / f'{POST}.json').unlink()
    with pytest.raises(CheckpointError, match='holds no statistics, neither in'):
        Policy.load(folder)


@pytest.mark.parametrize('change, message', [
    (lambda t: t.pop('unnormalize_outputs.buffer_action.mean') is None or [
        t.pop(name) for name in list(t) if '_action.' in name], "statistics of 'action' lack"),
    (lambda t: t.update({'normalize_inputs.buffer_observation_state.mean': torch.tensor(
        [float('inf')] * 4), 'normalize_inputs.buffer_observation_state.min': torch.tensor(
        [float('inf')] * 4)}), "statistics of 'observation.state': .* not finite|has shape"),
    (lambda t: t.update({'normalize_inputs.buffer_other.mean': torch.zeros(1)}),
     'belongs to no feature of config.json'),
    (lambda t: t['normalize_targets.buffer_action.mean'].add_(1), 'two different mean')])
def test_legacy_statistics_that_cannot_be_used_are_refused(folder, change, message):
    make_legacy(folder)
    edit_tensors(folder / 'model.safetensors', change)
    with pytest.raises(CheckpointError, match=message):
        Policy.load(folder)


def test_two_features_with_one_legacy_name_are_refused(folder):
    make_legacy(folder)
    edit_json(folder / 'config.json', lambda d: d['input_features'].update(
        {'observation_state': {'type': 'STATE', 'shape': [1]}}))
    with pytest.raises(CheckpointError, match='under one name, so nobody can tell'):
        Policy.load(folder)


@pytest.mark.parametrize('name', ('model.safetensors', PRE_STATE, POST_STATE))
@pytest.mark.parametrize('keep', (0, 5, 100))
def test_file_cut_short_is_named(folder, name, keep):
    path = folder / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=f'{name} is no intact safetensors file'):
        Policy.load(folder)


def test_header_that_promises_too_much_is_refused(folder):
    path = folder / 'model.safetensors'
    header = json.dumps({'a': {'dtype': 'F32', 'shape': [2**40], 'data_offsets': [0, 2**42]}})
    path.write_bytes(len(header).to_bytes(8, 'little') + header.encode())
    with pytest.raises(CheckpointError, match='is no intact safetensors file'):
        Policy.load(folder)


@pytest.mark.parametrize('name', ('config.json', f'{PRE}.json', f'{POST}.json'))
@pytest.mark.parametrize('text', ('', '[]', '{"steps": [1]}', 'null', '[' * 50_000))
def test_document_of_another_kind_is_named(folder, name, text):
    (folder / name).write_text(text)
    with pytest.raises(CheckpointError, match=name):
        Policy.load(folder)


def test_links_of_a_hub_cache_are_followed_and_broken_ones_named(folder):
    blobs = folder.parent / 'blobs'
    blobs.mkdir()
    for path in list(folder.iterdir()):
        path.rename(blobs / path.name)
        path.symlink_to(blobs / path.name)
    assert_same_answer(folder)
    (blobs / PRE_STATE).unlink()
    with pytest.raises(CheckpointError, match=f'{PRE_STATE} is missing'):
        Policy.load(folder)
