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

"""What ``dpr info`` tells of training runs."""

import json

from diffusion_policy_ros.cli.main import main
import pytest

torch = pytest.importorskip('torch')


def write_run(folder, step, *, stage='diffusion', processes=1, best=None):
    """Write what a run of 2000 steps leaves when it is stopped."""
    from diffusion_policy_ros.training.config import load_train_config
    from diffusion_policy_ros.training.snapshot import save_snapshot
    config = load_train_config(None, [
        'steps=2000', 'pretraining.target=observation.state', 'pretraining.steps=300']).to_yaml()
    network = torch.nn.Linear(1, 1)
    save_snapshot(
        folder, modules={'network': network}, optimizer=torch.optim.AdamW(network.parameters()),
        generator=torch.Generator(), default_states=[[torch.get_rng_state()]] * processes,
        facts={'stage': stage, 'step': step, 'seconds': 90.0, 'config': config, 'dataset': '',
               'best': best})
    (folder / 'train.yaml').write_text(config)
    with open(folder / 'history.jsonl', 'w') as file:
        for figures in ({'step': 50, 'loss': 0.5}, {'step': 100, 'loss': 0.25},
                        {'step': 100, 'validation_loss': 0.3}):
            file.write(json.dumps({'stage': stage, **figures}) + '\n')


def told(path, capsys):
    """Return what is told of a path."""
    assert main(['info', str(path), '--json']) == 0
    return json.loads(capsys.readouterr().out)


def test_a_stopped_run_tells_how_far_it_came_and_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / 'my model.run', 309,
              best={'figure': 'validation_action_mse', 'value': 0.0125, 'step': 200})
    facts = told('my model.run', capsys)
    assert facts['kind'] == 'training run'
    assert facts['progress'] == 'step 309 of 2000 of stage "diffusion"'
    assert facts['trained for_s'] == 90 and facts['trained by'] == '1 process on cpu'
    assert facts['last figures'] == ['loss 0.25 at step 100', 'validation_loss 0.3 at step 100']
    assert facts['best'] == 'validation_action_mse 0.0125 after step 200'
    assert facts['to go on'] == (
        "dpr train DATASET --out 'my model' --config 'my model.run/train.yaml' --resume "
        '--device cpu')
    assert main(['info', 'my model.run']) == 0
    assert 'progress      step 309 of 2000' in capsys.readouterr().out


def test_a_run_in_several_processes_goes_on_with_torchrun(tmp_path, capsys):
    write_run(tmp_path / 'm.run', 12, stage='pretraining', processes=2)
    facts = told(tmp_path / 'm.run', capsys)
    assert facts['progress'] == 'step 12 of 300 of stage "pretraining"'
    assert facts['to go on'].startswith('torchrun --nproc-per-node 2 --no-python dpr train ')
    assert facts['best'] == 'none yet'


def test_a_finished_run_and_one_without_a_snapshot_say_so(tmp_path, capsys):
    write_run(tmp_path / 'm.run', 2000)
    facts = told(tmp_path / 'm.run', capsys)
    assert facts['progress'].endswith('"diffusion", finished')
    assert facts['to go on'] == 'nothing is left to do'
    (tmp_path / 'm.run' / 'snapshot.json').unlink()
    assert 'no snapshot yet' in told(tmp_path / 'm.run', capsys)['progress']


def test_a_run_that_was_renamed_is_told_where_it_belongs(tmp_path, capsys):
    write_run(tmp_path / 'copy', 7)
    assert told(tmp_path / 'copy', capsys)['to go on'].startswith('rename the folder to OUT.run')


def test_a_damaged_snapshot_is_named(tmp_path, capsys):
    write_run(tmp_path / 'm.run', 7)
    next((tmp_path / 'm.run').glob('*.safetensors')).write_bytes(b'x')
    assert main(['info', str(tmp_path / 'm.run')]) == 1
    assert 'is damaged' in capsys.readouterr().err
