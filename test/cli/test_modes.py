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

"""``dpr modes`` as a user runs it."""

import json

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('gym_pusht')
pytest.importorskip('matplotlib')


def test_the_shipped_policy_knows_both_answers(tmp_path, capsys):
    pytest.importorskip('torch').set_num_threads(1)
    out, figures = tmp_path / 'modes.png', tmp_path / 'modes.json'
    assert main(['modes', str(share_path('models', 'pusht_image')), '--samples', '40',
                 '--out', str(out), '--json', str(figures)]) == 0
    said = capsys.readouterr().out.strip()
    found = json.loads(figures.read_text())
    assert found['sentence'] == said
    assert '40 chunks for a table that is its own mirror image:' in said
    assert found['two_modes'] and 4 <= found['left'] <= 36
    # The measured groups are those on the left and on the right.
    agree = sum(bool(label) == is_left for label, is_left in zip(found['labels'],
                                                                 found['is_left']))
    assert max(agree, 40 - agree) >= 38
    assert out.read_bytes()[:4] == b'\x89PNG'


def test_less_noise_leaves_one_answer(tmp_path, capsys):
    pytest.importorskip('torch').set_num_threads(1)
    assert main(['modes', str(share_path('models', 'pusht_image')), '--samples', '20',
                 '--sampler', 'temperature=0.01', '--out', str(tmp_path / 'a.png')]) == 0
    said = capsys.readouterr().out
    assert 'one mode (p ' in said


@pytest.mark.parametrize('arguments, code, reason', [
    (('--samples', '5'), 2, '--samples is 5; it must be from 10 to 10000'),
    (('--row', '5'), 2, 'name the --dataset too'),
    (('--dataset', 'x', '--row', '1'), 2, '--dataset needs --episode and --row'),
    (('--out', 'x.jpg'), 2, 'the picture is a PNG'),
    (('--out', 'none/x.png'), 1, '--out is none/x.png; name a file in a folder that exists'),
    (('--sampler', 'eta'), 2, 'not of the form name=value')])
def test_what_cannot_be_is_refused_before_anything_is_loaded(arguments, code, reason, capsys,
                                                             tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['modes', 'none', *arguments]) == code
    assert reason in capsys.readouterr().err


@pytest.fixture(scope='module')
def recorded(save_tiny_policy, tmp_path_factory):
    """Return a small policy and a dataset of two episodes whose states tell episode and row."""
    pytest.importorskip('av')
    pytest.importorskip('pyarrow')
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
    model = save_tiny_policy()
    contract = load_contract(model / 'contract.yaml')
    folder = tmp_path_factory.mktemp('demonstrations') / 'dataset'
    with LeRobotWriter(folder, contract) as writer:
        for episode in range(2):
            for row in range(3 + episode):
                writer.add_row(
                    {'observation.images.camera': np.full((96, 96, 3), 40 * row, np.uint8),
                     'observation.state': np.array([episode, row], np.float32),
                     'observation.environment_state': np.zeros(9, np.float32),
                     'action': np.array([episode, row + 0.5], np.float32)},
                    tick_ns=row * 100_000_000 + 1,
                    ages_ns={s.topic: 0 for s in (*contract.observations, *contract.actions)})
            writer.save_episode('Push.')
    return model, folder


def test_the_window_is_that_of_the_named_row(recorded):
    from diffusion_policy_ros.evaluation.recorded_window import recorded_window
    from diffusion_policy_ros.policy.policy import Policy
    model, dataset = recorded
    window, rate_hz = recorded_window(Policy.load(model), dataset, 1, 2)
    assert window['observation.state'][0].tolist() == [[1, 1], [1, 2]] and rate_hz == 10
    assert window['action'][0, :3].tolist() == [[1, 1.5], [1, 2.5], [1, 3.5]]


def test_a_recorded_observation_is_measured_and_drawn(recorded, tmp_path, capsys):
    model, dataset = recorded
    out, figures = tmp_path / 'modes.png', tmp_path / 'modes.json'
    assert main(['modes', str(model), '--dataset', str(dataset), '--episode', '1', '--row', '2',
                 '--samples', '30', '--out', str(out), '--json', str(figures)]) == 0
    assert capsys.readouterr().out.startswith('30 chunks at row 2 of episode 1: ')
    found = json.loads(figures.read_text())
    assert np.shape(found['chunks']) == (30, 15, 2) and len(found['labels']) == 30
    assert out.read_bytes()[:4] == b'\x89PNG'


@pytest.mark.parametrize('episode, row, reason', [
    (2, 0, '--episode is 2; '), (0, 3, '--row is 3; episode 0 has the rows 0 to 2')])
def test_a_row_that_does_not_exist_is_refused(recorded, episode, row, reason, capsys, tmp_path):
    model, dataset = recorded
    assert main(['modes', str(model), '--dataset', str(dataset), '--episode', str(episode),
                 '--row', str(row), '--out', str(tmp_path / 'a.png')]) == 1
    assert reason in capsys.readouterr().err
