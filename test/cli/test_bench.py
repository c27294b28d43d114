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

"""``dpr bench`` as a user runs it: files, mistakes, Ctrl-C."""

from argparse import ArgumentParser
from pathlib import Path

from diffusion_policy_ros.cli import bench, bench_solvers
from diffusion_policy_ros.cli import main as dpr
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.datasets.lerobot_writer import LeRobotWriter
from diffusion_policy_ros.evaluation import solver_bench
from diffusion_policy_ros.policy import Policy
import numpy as np
import pytest
import torch

torch.set_num_threads(1)

ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'
FILES = ['solvers.csv', 'solvers.md', 'solvers.png']
SMALL = ['--windows', '2', '--samples', '3', '--evaluations', '3']


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """Write an untrained checkpoint of the Push-T robot."""
    contract = load_contract(ROBOTS / 'pusht.yaml')
    limits = {'min': [0.0, 0.0], 'max': [0.5, 0.5], 'mean': [0.2, 0.3], 'std': [0.1, 0.1]}
    config = PolicyConfig.from_contract(
        contract, down_dims=(16, 32), diffusion_step_embed_dim=16, vision_backbone='light_cnn',
        spatial_softmax_num_keypoints=4, horizon=8, n_action_steps=4)
    folder = tmp_path_factory.mktemp('models') / 'small'
    Policy.from_dataset(config, {'observation.state': limits, 'action': limits},
                        contract).save(folder)
    return folder


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Be content with a coarse reference; how fine it is is tested elsewhere."""
    monkeypatch.setattr(solver_bench, 'FINE_RUNS', (('rk4', 4), ('dpm_solver++', 8)))
    monkeypatch.setattr(solver_bench, 'FINE_DRAWS', ('dpm_solver++', 4))


def test_the_bench_prints_tables_and_writes_files(model, tmp_path, capsys):
    pytest.importorskip('gym_pusht')
    out = tmp_path / 'deep' / 'out'
    assert dpr.main(['bench', 'solvers', str(model), *SMALL, '--out', str(out),
                     '--solvers', 'ddim', 'dpm_solver++', 'ddpm']) == 0
    shown = capsys.readouterr().out
    assert 'Solvers of the ODE' in shown and 'Solvers of the SDE' in shown
    assert 'Floor from level 98' in shown and f'written: {out}/solvers.csv' in shown
    assert sorted(path.name for path in out.iterdir()) == FILES
    facts = (out / 'solvers.md').read_text()
    assert f'| model | {model} |' in facts and '2 of pusht' in facts
    assert all(f'| {name} |' in facts for name in ('torch', 'processor', 'seed', 'threads'))


def test_observations_may_come_from_a_dataset(model, tmp_path, capsys):
    contract = load_contract(ROBOTS / 'pusht.yaml')
    with LeRobotWriter(tmp_path / 'dataset', contract) as writer:
        for row in range(4):
            writer.add_row({
                'observation.images.camera': np.full((96, 96, 3), 50 * row, np.uint8),
                'observation.state': np.full(2, 0.1 * row, np.float32),
                'observation.environment_state': np.zeros(9, np.float32),
                'action': np.zeros(2, np.float32)}, tick_ns=row * 100_000_000 + 1,
                ages_ns={s.topic: 0 for s in (*contract.observations, *contract.actions)})
        writer.save_episode('Push the T.')
    out = tmp_path / 'out'
    assert dpr.main(['bench', 'solvers', str(model), *SMALL, '--solvers', 'ddim', '--out',
                     str(out), '--dataset', str(tmp_path / 'dataset'), '--cache',
                     str(tmp_path / 'cache')]) == 0
    assert f'2 of {tmp_path / "dataset"}' in (out / 'solvers.md').read_text()
    assert list((tmp_path / 'cache').glob('*.npy'))


def test_ctrl_c_keeps_what_was_measured(model, tmp_path, monkeypatch, capsys):
    pytest.importorskip('gym_pusht')
    measure, calls = solver_bench.SolverBench.measure, []

    def interrupted(self, sampler):
        calls.append(sampler)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(self, sampler)

    monkeypatch.setattr(solver_bench.SolverBench, 'measure', interrupted)
    assert dpr.main(['bench', 'solvers', str(model), *SMALL, '--out', str(tmp_path),
                     '--solvers', 'ddim', 'dpm_solver++']) == 130
    assert len((tmp_path / 'solvers.csv').read_text().splitlines()) == 2
    assert 'ddim' in capsys.readouterr().out


def test_a_robot_without_simulation_needs_a_dataset(model, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bench_solvers, 'SIMULATIONS', {})
    assert dpr.main(['bench', 'solvers', str(model), '--out', str(tmp_path)]) == 1
    assert 'is pusht, which has no simulation; name recorded observations with --dataset' \
        in capsys.readouterr().err


@pytest.mark.parametrize('arguments, code, message', [
    (['--windows', '0'], 2, '--windows is 0; it must be from 1'),
    (['--samples', '1'], 2, '--samples is 1; it must be from 2'),
    (['--evaluations', '5', '1'], 2, '--evaluations is 1; it must be from 2'),
    (['--seed', '-1'], 2, '--seed is -1'),
    (['--cache', 'x'], 2, 'name the --dataset too'),
    (['--out', '/dev/null/x'], 1, 'cannot be made'),
    (['--solvers', 'rk4', '--evaluations', '3'], 1, 'none of the solvers can make two steps'),
    (['--dataset', 'nowhere'], 1, 'nowhere'),
    (['--device', 'foo'], 1, "device 'foo' cannot be used")])
def test_mistakes_are_one_line_on_stderr(model, arguments, code, message, tmp_path, capsys):
    assert dpr.main(['bench', 'solvers', str(model), '--out', str(tmp_path), *arguments]) == code
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1


@pytest.mark.parametrize('arguments, complaint', [
    ([], 'KIND'), (['solvers'], 'model'), (['solvers', 'm', '--solvers', 'magic'], "'magic'"),
    (['solvers', 'm', '--sim', 'pusht', '--dataset', 'd'], 'not allowed with')])
def test_wrong_usage_exits_with_two(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        dpr.main(['bench', *arguments])
    assert ended.value.code == 2 and complaint in capsys.readouterr().err


@pytest.mark.parametrize('ros', [[], ['--ros']])
def test_delays_that_outlast_a_plan_are_refused_before_anything_is_measured(
        model, ros, tmp_path, capsys):
    out = tmp_path / 'joins'
    assert dpr.main(['bench', 'joins', str(model), '--delays-ms', '0', '700', '--out', str(out),
                     *ros]) == 1
    said = capsys.readouterr()
    assert 'a delay of 700 ms is no shorter than a plan, whose 7 rows last 700 ms' in said.err
    assert not said.out and not out.exists()


def test_every_argument_of_the_solvers_is_explained(capsys):
    parser = ArgumentParser()
    bench.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(['solvers', '--help'])
    shown = capsys.readouterr().out
    for name in ('sim', 'dataset', 'windows', 'samples', 'solvers', 'evaluations', 'spacing',
                 'seed', 'device', 'out', 'cache'):
        assert f'--{name}' in shown


@pytest.mark.parametrize('kind, said', [
    ('success', '(default: 2 3 5 10 16)'), ('solvers', '(default: trailing lambda)'),
    ('joins', '(default: 0 50 100 200 300)')])
def test_help_shows_lists_as_they_are_typed(kind, said, capsys):
    with pytest.raises(SystemExit):
        dpr.main(['bench', kind, '--help'])
    shown = ' '.join(capsys.readouterr().out.split())
    assert said in shown and '(default: (' not in shown


def test_the_overview_names_everything_that_is_measured(capsys):
    with pytest.raises(SystemExit):
        dpr.main(['--help'])
    shown = ' '.join(capsys.readouterr().out.split())
    for word in ('solvers', 'joins', 'success', 'chunks', 'control loop', 'conversion',
                 'training'):
        assert word in dpr.COMMANDS['bench'][0] and word in shown
