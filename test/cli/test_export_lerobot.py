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

"""``dpr export-lerobot``; that LeRobot loads the result is shown in test_lerobot_policies.py."""

import json
from pathlib import Path
import shutil
import sys

from diffusion_policy_ros.cli.main import main
import pytest

torch = pytest.importorskip('torch')
from diffusion_policy_ros.policy import lerobot_config, Policy  # noqa: E402,I100

sys.path.append(str(Path(__file__).resolve().parents[1] / 'policy'))
from folder_edits import edit_json, edit_tensors  # noqa: E402

FILES = {'config.json', 'model.safetensors', 'policy_preprocessor.json',
         'policy_postprocessor.json',
         'policy_preprocessor_step_3_normalizer_processor.safetensors',
         'policy_postprocessor_step_0_unnormalizer_processor.safetensors'}


def test_exactly_the_files_of_lerobot_are_written_and_hold_the_same_policy(
        save_tiny_policy, tmp_path, capsys):
    ours, out = save_tiny_policy(vision_backbone='resnet18'), tmp_path / 'out'
    assert main(['export-lerobot', str(ours), str(out)]) == 0
    assert capsys.readouterr().out.endswith(
        "LeRobot will sample with DDPM and all steps; of this checkpoint's sampler it cannot do "
        'solver ddim, num_inference_steps 4, spacing trailing\n')
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / 'config.json').read_text())['type'] == 'diffusion'
    first, second = Policy.load(ours), Policy.load(out)
    assert first.config == second.config
    assert all(torch.equal(tensor, second.state_dict()[name])
               for name, tensor in first.state_dict().items())
    assert main(['export-lerobot', str(ours), str(out)]) == 1
    assert 'holds a checkpoint already; choose another folder' in capsys.readouterr().err


def test_a_sampler_goes_along_where_lerobot_has_all_of_it_and_else_what_is_left_is_told(
        save_tiny_policy, tmp_path, capsys):
    ddim = {'solver': 'ddim_unclipped', 'num_inference_steps': 10, 'order': None,
            'spacing': 'linspace', 'start_timestep': 90.0}
    folder = shutil.copytree(save_tiny_policy(vision_backbone='resnet18'), tmp_path / 'model')
    for name, temperature in (('same', 1.0), ('other', 0.5)):
        edit_json(folder / 'diffusion_policy_ros.json', lambda d, temperature=temperature:
                  d['sampler'].update(ddim, temperature=temperature))
        assert main(['export-lerobot', str(folder), str(tmp_path / name)]) == 0
    same, other = capsys.readouterr().out.splitlines()
    assert same == f'{tmp_path}/same: LeRobot will sample with DDIM and 10 steps'
    assert 'DDPM and all steps; of this' in other and 'temperature 0.5' in other


def normalization_from_the_weights(folder):
    """Let the preprocessor read its statistics where there are none."""
    edit_json(folder / 'policy_preprocessor.json', lambda document: document['steps'][-1].update(
        state_file='model.safetensors'))


@pytest.mark.parametrize('spoil, message', [
    (lambda f: edit_json(f / 'config.json', lambda d: d.update(down_dims=[16384] * 8,
                                                               horizon=256)),
     'model.safetensors lacks'),
    (lambda f: edit_json(f / 'config.json', lambda d: d.update(horizon=10_000)),
     'config.json is not the file that the policy was saved with'),
    (normalization_from_the_weights, "statistics of 'observation.images.camera' lack"),
    (lambda f: edit_tensors(f / 'model.safetensors', lambda t: t.update(extra=torch.ones(1))),
     "has the unknown tensor 'extra'"),
    (lambda f: (f / 'diffusion_policy_ros.json').write_text('[]'), 'must map names to values')])
def test_a_checkpoint_whose_parts_do_not_fit_is_not_exported(
        save_tiny_policy, tmp_path, capsys, spoil, message):
    folder = shutil.copytree(save_tiny_policy(vision_backbone='resnet18'), tmp_path / 'copy')
    spoil(folder)
    assert main(['export-lerobot', str(folder), str(tmp_path / 'out')]) == 1
    said = capsys.readouterr().err
    assert message in said and said.count('\n') == 1
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('changes, field', [
    ({'vision_backbone': 'light_cnn'}, 'vision_backbone is light_cnn'),
    ({'prediction_type': 'v_prediction'}, 'prediction_type is v_prediction'),
    ({'denoiser': {'type': 'mlp', 'dim': 16, 'layers': 1, 'heads': 1}}, 'denoiser.type is mlp'),
    ({'observation_encoder': {'pooling': 'average'}},
     'observation_encoder.pooling is average'),
    ({'observation_encoder': {'state_dims': [8]}}, 'observation_encoder.state_dims'),
    ({'resize_shape': (64, 64), 'crop_shape': (60, 30)}, 'crop_shape is (60, 30), which is no')])
def test_what_lerobot_has_no_network_for_is_refused_by_name(
        save_tiny_policy, tmp_path, capsys, changes, field):
    ours = save_tiny_policy(**{'vision_backbone': 'resnet18', **changes})
    assert main(['export-lerobot', str(ours), str(tmp_path / 'out')]) == 1
    assert f'LeRobot has no such policy: {field}' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()
    raw = json.loads((Path(ours) / 'config.json').read_text())
    assert raw['type'] == 'diffusion_policy_ros'  # so that LeRobot refuses it too
    again = json.loads(json.dumps(lerobot_config.to_json(Policy.load(ours).config)))
    assert again == raw
