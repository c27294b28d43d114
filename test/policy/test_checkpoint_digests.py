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
"""Digests: files of a checkpoint that were exchanged or edited are refused."""

from dataclasses import replace
import json
import shutil

from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.checkpoint import check_unchanged
from folder_edits import edit_json, edit_tensors
import pytest

EXTRAS = 'diffusion_policy_ros.json'
TENSORS = ('model.safetensors', 'policy_preprocessor_step_3_normalizer_processor.safetensors',
           'policy_postprocessor_step_0_unnormalizer_processor.safetensors')
DOCUMENTS = ('config.json', 'policy_preprocessor.json', 'policy_postprocessor.json')


def forget(folder, names):
    """Take the digests of some files out."""
    edit_json(folder / EXTRAS, lambda d: [d['sha256'].pop(name) for name in names])


def test_every_file_has_a_digest_but_the_one_that_holds_them(saved):
    digests = json.loads((saved / EXTRAS).read_text())['sha256']
    assert {*digests, EXTRAS} == {path.name for path in saved.iterdir()}


def test_edited_contract_is_refused(folder, contract):
    changed = replace(contract, rate_hz=20.0)
    (folder / 'contract.yaml').write_text(changed.to_yaml())
    with pytest.raises(CheckpointError, match='contract.yaml is not the file that'):
        Policy.load(folder)


@pytest.mark.parametrize('name', TENSORS)
def test_tensors_of_another_policy_that_fit_are_refused(make_policy, folder, tmp_path, name):
    make_policy().save(tmp_path / 'other')
    edit_tensors(tmp_path / 'other' / name, lambda tensors: tensors.update(
        {key: tensor * 2 for key, tensor in tensors.items()}))
    shutil.copy(tmp_path / 'other' / name, folder / name)
    with pytest.raises(CheckpointError, match=f'{name} is not the file'):
        check_unchanged(folder)
    with pytest.raises(CheckpointError, match=f'{name} is not the file|two different max of'):
        Policy.load(folder)


@pytest.mark.parametrize('change', [
    {'prediction_type': 'sample'}, {'beta_schedule': 'linear'}, {'clip_sample_range': 2.0},
    {'horizon': 8000}])
def test_a_configuration_of_another_policy_whose_weights_fit_is_refused(folder, change):
    edit_json(folder / 'config.json', lambda document: document.update(change))
    with pytest.raises(CheckpointError, match='config.json is not the file .* on purpose, delete'):
        Policy.load(folder)


def test_a_configuration_can_be_edited_on_purpose(folder):
    edit_json(folder / 'config.json', lambda document: document.update(n_action_steps=3))
    forget(folder, ['config.json'])
    assert Policy.load(folder).config.n_action_steps == 3


def test_the_sampler_can_be_edited(folder):
    edit_json(folder / EXTRAS, lambda document: document['sampler'].update(num_inference_steps=7))
    assert Policy.load(folder).sampler.num_inference_steps == 7


def test_a_checkpoint_from_before_json_files_had_digests_loads(folder):
    forget(folder, DOCUMENTS)
    Policy.load(folder)


def test_a_checkpoint_without_digests_is_refused(folder):
    edit_json(folder / EXTRAS, lambda d: d.pop('sha256'))
    with pytest.raises(CheckpointError, match='lacks the digests'):
        Policy.load(folder)


@pytest.mark.parametrize('name', (
    '/dev/null', '/etc/passwd', '../copy/config.json', '', '..', 'a\0b', 'a\ud800'))
def test_digests_of_what_lies_elsewhere_are_never_computed(folder, name):
    edit_json(folder / EXTRAS, lambda document: document['sha256'].update({name: '0'}))
    with pytest.raises(CheckpointError, match='a name in sha256 is .*; it must name a file in'):
        Policy.load(folder)


@pytest.mark.parametrize('text', ('[]', 'null', '3'))
def test_digests_in_a_document_of_another_kind_are_named(folder, text):
    (folder / EXTRAS).write_text(text)
    with pytest.raises(CheckpointError, match=f'{EXTRAS} holds .*; it must map names to values'):
        check_unchanged(folder)
