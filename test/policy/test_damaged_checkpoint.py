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

"""A checkpoint with any damaged value loads as it says, or ends in one sentence for people."""

from dataclasses import asdict
import json
import math
from pathlib import Path
import sys

from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.policy import checkpoint, lerobot_config
from diffusion_policy_ros.policy.checkpoint import read_description
from diffusion_policy_ros.policy.lerobot_config import SHARED
from diffusion_policy_ros.policy.processors import read_statistics
from folder_edits import edit_json
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))
from damaged_json import damaged, holds, PYTHON  # noqa: E402,I100

EXTRAS = 'diffusion_policy_ros.json'
LEROBOT = {
    'type': 'diffusion', 'n_obs_steps': 2, 'horizon': 16, 'n_action_steps': 8,
    'input_features': {'observation.state': {'type': 'STATE', 'shape': [2]},
                       'observation.image': {'type': 'VISUAL', 'shape': [3, 96, 96]}},
    'output_features': {'action': {'type': 'ACTION', 'shape': [2]}},
    'normalization_mapping': {'STATE': 'MIN_MAX', 'VISUAL': 'MEAN_STD', 'ACTION': 'MIN_MAX'},
    'resize_shape': [96, 96], 'crop_ratio': 0.9, 'down_dims': [512, 1024], 'clip_sample': True,
    'noise_scheduler_type': 'DDIM', 'num_train_timesteps': 100, 'num_inference_steps': 10}
OF_2024 = {
    'input_shapes': {'observation.state': [2], 'observation.image': [3, 96, 96]},
    'output_shapes': {'action': [2]}, 'crop_shape': [84, 84], 'n_obs_steps': 2,
    'input_normalization_modes': {'observation.state': 'min_max',
                                  'observation.image': 'mean_std'},
    'output_normalization_modes': {'action': 'min_max'}}


def as_json(value):
    """Return what a dataclass holds as a JSON document holds it."""
    return json.loads(json.dumps(asdict(value)))


def check_document(folder, name, is_right, read=read_description):
    """Load the folder with every damage of one file; return how many of them load."""
    path, loaded = folder / name, 0
    for place, document in damaged(json.loads(path.read_text())):
        path.write_text(json.dumps(document))
        try:
            found = read(folder)
        except CheckpointError as error:
            assert not PYTHON.search(str(error)), (place, str(error))
            assert str(folder) in str(error), (place, str(error))
        else:
            assert is_right(document, found), (place, document)
            loaded += 1
    return loaded


@pytest.fixture
def parsed_once(folder, monkeypatch):
    """Take the contract as it is, which takes most of the time that a description takes."""
    contract = read_description(folder)[1]
    monkeypatch.setattr(checkpoint, 'parse_contract', lambda text, source: contract)


@pytest.mark.usefixtures('parsed_once')
def test_the_own_document(folder):
    edit_json(folder / EXTRAS, lambda document: document.pop('sha256'))  # is not read here

    def is_right(document, found):
        config, _, sampler = found
        said = {name: value for name, value in document['sampler'].items()
                if (name, value) != ('order', None)}  # which means the usual one of the solver
        return holds(as_json(sampler), said) and holds(
            as_json(config), document.get('config', {}))

    assert check_document(folder, EXTRAS, is_right) > 20


@pytest.mark.usefixtures('parsed_once')
def test_the_document_that_lerobot_shares(folder):
    def is_right(document, found):
        return holds(as_json(found[0]), {name: document[name] for name in SHARED
                                         if name in document})

    assert check_document(folder, 'config.json', is_right) > 20


@pytest.mark.parametrize('name', ['policy_preprocessor.json', 'policy_postprocessor.json'])
def test_the_processors(folder, saved, name):
    config = read_description(saved)[0]
    wanted = read_statistics(saved, config)

    def is_right(document, found):
        return all(statistic.equal(wanted[key][kind]) for key, kinds in found.items()
                   for kind, statistic in kinds.items())

    assert check_document(folder, name, is_right,
                          lambda place: read_statistics(place, config)) > 20


@pytest.mark.parametrize('document', [LEROBOT, OF_2024])
def test_documents_of_lerobot(document):
    lerobot_config.from_json(document)
    for place, changed in damaged(document):
        try:
            config = lerobot_config.from_json(changed)
            sampler = Sampler(**lerobot_config.sampler_fields(changed))
        except ConfigError as error:
            assert not PYTHON.search(str(error)), (place, str(error))
        else:
            assert holds(as_json(config), {
                name: changed[name] for name in SHARED
                if name in changed and name not in ('crop_shape', 'normalization_mapping')}), place
            steps = changed.get('num_inference_steps') or changed.get('num_train_timesteps', 100)
            assert sampler.num_inference_steps == steps


@pytest.mark.parametrize('value, complaint', [
    (None, 'sampler is None; it must be a group of settings'),
    ([], r'sampler is \[\]; it must be a group'),
    ({}, r'sampler is \{\}, without solver, num_inference_steps, order'),
    ({'solver': None}, 'sampler.solver is None; it must be a text'),
    ({'eta': 'x'}, "sampler.eta is 'x'; it must be a number"),
    ({'eta': math.nan}, 'eta is nan; it must be from 0 to 1'),
    ({'pace': 1}, "sampler: unknown key 'pace'")])
def test_a_sampler_that_is_none_is_named_with_what_it_must_be(folder, value, complaint):
    path = folder / EXTRAS
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, 'sampler': value}))
    with pytest.raises(CheckpointError, match=f'{EXTRAS}: {complaint}.*; copy the whole'):
        read_description(folder)


@pytest.mark.parametrize('data, complaint', [
    (b'', 'it is no JSON: Expecting value'),
    (b'\xc3(', 'it is no JSON: byte 0 belongs to no text'),
    (b'[' * 100_000, 'more than 100 lists or groups lie in each other'),
    (b'{"a":' * 101 + b'1' + b'}' * 101, 'more than 100 lists or groups'),
    (b'1' * 9000, 'a number in it has thousands of digits')])
def test_what_is_no_json_is_said_in_words(folder, data, complaint):
    (folder / 'config.json').write_bytes(data)
    with pytest.raises(CheckpointError, match=f'json cannot be read: {complaint}') as found:
        read_description(folder)
    assert not PYTHON.search(str(found.value))
