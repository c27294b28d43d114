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

"""What ``dpr eval`` and ``dpr compare`` do with the results of earlier runs."""

import json

from diffusion_policy_ros.cli.main import main
import pytest

pytest.importorskip('gym_pusht')


@pytest.fixture
def model(save_tiny_policy, monkeypatch):
    """Return the folder of a small policy, whose episodes are one step long."""
    from diffusion_policy_ros.cli.simulations import SIMULATIONS
    monkeypatch.setitem(SIMULATIONS, 'pusht', (*SIMULATIONS['pusht'][:2], 1))
    return save_tiny_policy(num_inference_steps=2)


def evaluate(model, *arguments):
    """Run one episode; the exit code."""
    return main(['eval', str(model), '--sim', 'pusht', '--episodes', '1', *map(str, arguments)])


def test_settings_that_differ_from_those_of_a_stored_result_are_named(model, tmp_path, capsys):
    assert evaluate(model, '--out', tmp_path / 'one.json') == 0
    assert evaluate(model, '--steps', '1', '--noise-images', '3', '--out', tmp_path / 'two.json',
                    '--against', tmp_path / 'one.json') == 0
    named = '; settings: {}sampler.num_inference_steps 1 against 2'
    said = capsys.readouterr().out
    assert named.format('noise_images 3.0 against 0.0, ') in said
    assert named.format('noise_images 3.0 against 0.0, ') in json.loads(
        (tmp_path / 'two.json').read_text())['comparison']['sentence']
    assert main(['compare', str(tmp_path / 'one.json'), str(tmp_path / 'two.json')]) == 0
    assert 'settings: noise_images 0.0 against 3.0, sampler.num' in capsys.readouterr().out
    assert main(['compare', str(tmp_path / 'one.json'), str(tmp_path / 'one.json')]) == 0
    assert '; settings: ' not in capsys.readouterr().out


def test_a_run_says_what_it_loads_and_that_it_replaces_an_earlier_result(model, tmp_path, capsys):
    for out in ('result.json', 'folder'):
        path = tmp_path / out / 'eval.json' if out == 'folder' else tmp_path / out
        assert evaluate(model, '--out', tmp_path / out) == 0
        said = capsys.readouterr().err
        assert f'loading {model} and the simulation pusht ...\n' in said
        assert 'replaced' not in said and path.is_file()
        assert ('writing the report and the videos to' in said) == (out == 'folder')
        assert evaluate(model, '--out', tmp_path / out) == 0
        assert f'{path} is of an earlier run and will be replaced' in capsys.readouterr().err


def test_a_file_that_is_no_result_is_not_replaced_in_a_folder_either(model, tmp_path, capsys):
    (tmp_path / 'eval.json').write_text('precious')
    assert evaluate(model, '--out', tmp_path) == 1
    assert 'eval.json is a file that is no result of dpr eval' in capsys.readouterr().err
    assert (tmp_path / 'eval.json').read_text() == 'precious'


@pytest.mark.parametrize('path, reason', [
    ('stopped', 'stopped holds no eval.json, which dpr eval writes at its end: that run was '
     'stopped'), ('none', 'none does not exist')])
def test_what_a_stopped_run_left_is_named(model, tmp_path, monkeypatch, capsys, path, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'stopped').mkdir()
    assert main(['compare', path, path]) == 1
    said = capsys.readouterr().err
    assert reason in said and 'Errno' not in said
    if path == 'stopped':
        assert evaluate(model, '--against', path) == 1
        assert reason in capsys.readouterr().err
