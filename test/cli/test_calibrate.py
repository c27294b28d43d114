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

"""``dpr calibrate``: what is asked for is measured, and what is printed can be set."""

import json

from diffusion_policy_ros.cli import main as dpr
import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('tqdm')
from diffusion_policy_ros.evaluation import calibration  # noqa: E402,I100
from diffusion_policy_ros.evaluation.calibration import EpisodeScore  # noqa: E402
from diffusion_policy_ros.sim.pusht import PushT  # noqa: E402


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy()


@pytest.fixture(scope='module')
def dataset(model, tmp_path_factory):
    """Write nine short demonstrations for that policy; their folder."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
    folder = tmp_path_factory.mktemp('demonstrations') / 'dataset'
    contract = load_contract(model / 'contract.yaml')
    random, rows = np.random.default_rng(0), 3
    with LeRobotWriter(folder, contract) as writer:
        for _ in range(9):
            for row in range(rows):
                writer.add_row(
                    {'observation.images.camera': random.integers(
                        0, 256, (96, 96, 3), dtype=np.uint8),
                     'observation.state': random.random(2, np.float32) / 2,
                     'observation.environment_state': np.zeros(9, np.float32),
                     'action': random.random(2, np.float32) / 2},
                    tick_ns=row * 100_000_000 + 1,
                    ages_ns={s.topic: 0 for s in (*contract.observations, *contract.actions)})
            writer.save_episode('Push.')
    return folder


@pytest.fixture
def measured(monkeypatch):
    """Stand in for what is measured: 40 solved and 10 unsolved episodes; remember the calls."""
    calls = []

    def measure(*what, likelihood_steps=0, **how):
        calls.append((what, {'likelihood_steps': likelihood_steps, **how}))
        nats = (0.5,) if likelihood_steps else ()
        return [EpisodeScore(number, number < 40, (0.1, (number + 1) / 100), nats)
                for number in range(50)]

    monkeypatch.setattr(calibration, 'measure_simulated', measure)
    monkeypatch.setattr(calibration, 'measure_recorded', measure)
    return calls


def calibrated(capsys, *arguments):
    """Run the command; what it printed."""
    assert dpr.main(['calibrate', *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_what_is_printed_can_be_set_in_this_order(model, measured, capsys):
    said = calibrated(capsys, model, '--sim', 'pusht')
    # ceil(41 * 0.95) = 39 of 40: one success and all failures lie beyond 0.39.
    assert '40 of 50 episodes were solved' in said
    assert 'holds 1 of these 40, and 10 of the 10 that were not solved' in said
    settings = [line.split()[-2:] for line in said.splitlines() if line.startswith('ros2')]
    assert settings == [['num_candidates', '8'], ['join', 'none'], ['execute_horizon', '8'],
                        ['max_spread', '0.3901']]
    (policy, environment, seeds), how = measured[0]
    assert environment is PushT and seeds == list(range(200_000, 200_100))
    assert how['options'].num_candidates == 8 and how['options'].join == 'none'
    assert (how['likelihood_steps'], how['batch_size']) == (0, 50)


def test_all_that_a_limit_depends_on_is_printed_and_written(model, measured, capsys, tmp_path):
    out = tmp_path / 'calibration.json'
    said = calibrated(
        capsys, model, '--sim', 'pusht', '--join', 'rtc', '--candidates', 4, '--steps', 3,
        '--sampler', 'spacing=karras', '--execute-horizon', 6, '--likelihood-steps', 5,
        '--false-alarms', 0.1, '--episodes', '10-69', '--seed', 5, '--out', out)
    report = json.loads(out.read_text())
    assert report['parameters'] == {
        'num_inference_steps': 3, 'sampler.spacing': 'karras', 'join': 'rtc',
        'execute_horizon': 6, 'num_candidates': 4, 'likelihood_steps': 5,
        'max_spread': pytest.approx(0.37, abs=1e-4), 'min_log_likelihood': 0.5}
    assert all(f'ros2 param set /policy_server {name} ' in said for name in report['parameters'])
    assert report['false_alarms'] == 0.1 and report['join']['name'] == 'rtc'
    assert len(report['episodes']) == 50 and report['episodes'][7]['spreads'] == [0.1, 0.08]
    (_, _, seeds), how = measured[0]
    assert seeds == list(range(15, 75)) and how['loop'].replan.execute_horizon == 6


@pytest.mark.parametrize('join, candidates, first', [
    ('coherent', 8, 'num_candidates'), ('rtc', 1, 'join')])
def test_candidates_are_set_while_the_join_allows_them(model, measured, capsys, join, candidates,
                                                       first):
    """The server refuses ``coherent`` with one candidate, whichever of them comes first."""
    said = calibrated(capsys, model, '--sim', 'pusht', '--join', join, '--candidates', candidates,
                      '--likelihood-steps', 5)
    names = [line.split()[-2] for line in said.splitlines() if line.startswith('ros2')]
    assert [name for name in names if name in ('join', 'num_candidates')][0] == first


@pytest.mark.parametrize('text, numbers', [
    ('30', range(30)), ('180-205', range(180, 206)), (None, range(9))])
def test_episodes_of_a_dataset_are_counted_or_named(model, dataset, measured, capsys, text,
                                                    numbers):
    named = () if text is None else ('--episodes', text)
    said = calibrated(capsys, model, '--dataset', dataset, *named, '--cache', 'elsewhere',
                      '--false-alarms', 0.1)
    (_, folder, asked), how = measured[0]
    assert (folder, asked, str(how['cache_dir'])) == (dataset, numbers, 'elsewhere')
    assert 'episodes count: what was demonstrated is good' in said


def test_without_enough_successes_it_says_how_many_are_needed(model, monkeypatch, capsys):
    monkeypatch.setattr(calibration, 'measure_simulated', lambda *what, **how: [
        EpisodeScore(number, number < 18, (0.1,), ()) for number in range(100)])
    assert dpr.main(['calibrate', str(model), '--sim', 'pusht']) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert '18 episodes are too few' in said and 'at least 19' in said


@pytest.mark.parametrize('arguments, code, message', [
    (['--episodes', '18'], 2, '18 episodes are too few for a share of 0.05 false alarms'),
    (['--candidates', '1'], 2, 'has no spread'),
    (['--candidates', '257'], 2, '--candidates is 257'),
    (['--likelihood-steps', '101'], 2, '--likelihood-steps is 101; it must be from 0 to 100'),
    (['--false-alarms', '0'], 2, '--false-alarms is 0; it must be above 0 and below 1'),
    (['--false-alarms', 'nan'], 2, '--false-alarms is nan'),
    (['--cache', 'x'], 2, 'name the --dataset too'),
    (['--seed', '-1'], 2, '--seed is -1'),
    (['--out', '/dev/null/x'], 1, '--out is'),
    (['--out', 'x' * 300], 1, 'name a file in a folder that exists'),
    (['--sampler', 'eta=7'], 2, 'eta is 7')])
def test_mistakes_are_one_line_before_anything_is_measured(model, measured, capsys, arguments,
                                                           code, message):
    assert dpr.main(['calibrate', str(model), '--sim', 'pusht', *arguments]) == code
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1 and not measured


@pytest.mark.parametrize('arguments, complaint', [
    (['m'], '--sim'), (['m', '--sim', 'pusht', '--dataset', 'd'], 'not allowed with'),
    *((['m', '--sim', 'pusht', '--episodes', text], 'neither a number of episodes')
      for text in ('none', '0', '5-2', '-3', '1-2-3', '9999999', '1.5'))])
def test_wrong_usage_exits_with_two(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        dpr.main(['calibrate', *arguments])
    assert ended.value.code == 2 and complaint in capsys.readouterr().err


def test_a_real_policy_is_measured_along_real_demonstrations(model, dataset, capsys):
    said = calibrated(capsys, model, '--dataset', dataset, '--candidates', 2,
                      '--likelihood-steps', 1, '--false-alarms', 0.1, '--batch', 4)
    assert '9 of 9 episodes count' in said
    assert 'max_spread' in said and 'min_log_likelihood' in said


@pytest.mark.parametrize('arguments, code, message', [
    (['--dataset'], 1, '9 episodes are too few for a share of 0.05 false alarms, which takes at '
     'least 19; measure more episodes, or allow 0.1'),
    (['--sim', 'pusht', '--false-alarms', '0.005'], 2, '100 episodes are too few for a share of '
     '0.005 false alarms, which takes at least 199')])
def test_too_few_episodes_are_refused_before_anything_is_measured(model, dataset, measured,
                                                                  capsys, arguments, code,
                                                                  message):
    where = [str(dataset)] if arguments == ['--dataset'] else []
    assert dpr.main(['calibrate', str(model), *arguments, *where]) == code
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1 and not measured
