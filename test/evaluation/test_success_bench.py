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
"""Solvers by the episodes they solve: which are measured, how they are compared, going on."""

import json
from pathlib import Path
import sys

from diffusion_policy_ros.cli import bench_success
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.diffusion import Sampler
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.evaluate import Evaluation
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
from diffusion_policy_ros.evaluation.success_bench import samplers_to_compare, SuccessBench
from diffusion_policy_ros.evaluation.success_bench_report import (
    cells, COLUMNS, read_bench, write_bench)
from diffusion_policy_ros.policy import Policy
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))
from damaged_json import PYTHON  # noqa: E402,I100

SOLVED = {100: [True] * 6 + [False] * 2, 5: [True] * 2 + [False] * 6}


class Timer:
    """Takes no time to time."""

    def measure(self, sampler, calls):
        return float(calls), 1.0


def evaluation(solved):
    """Return episodes that were solved or not."""
    return Evaluation(tuple(EpisodeResult(seed, 0.5 + won / 2, won, 10)
                            for seed, won in enumerate(solved)), 1.0)


@pytest.fixture
def rows():
    """Return a reference and one sampler that solves four episodes less."""
    bench = SuccessBench(lambda sampler, _: evaluation(SOLVED[sampler.evaluations]), Timer())
    return [bench.measure(Sampler('ddpm', 100)), bench.measure(Sampler('ddim', 5))]


def test_the_reference_comes_first_and_first_orders_are_left_out(save_tiny_policy):
    policy = Policy.load(save_tiny_policy())
    samplers = samplers_to_compare(policy, ('ddim', 'dpm_solver++', 'heun'), (2, 3, 10))
    assert (samplers[0].solver, samplers[0].evaluations) == ('ddpm', 100)
    # Heun needs two steps of two calls, but its last one has only one.
    assert sorted((s.solver, s.order, s.evaluations) for s in samplers[1:]) == [
        ('ddim', 1, 2), ('ddim', 1, 3), ('ddim', 1, 10), ('dpm_solver++', 2, 2),
        ('dpm_solver++', 2, 3), ('dpm_solver++', 2, 10), ('dpm_solver++', 3, 2),
        ('dpm_solver++', 3, 3), ('dpm_solver++', 3, 10), ('heun', 2, 3), ('heun', 2, 9)]


def test_rows_are_held_against_the_first_one_episode_by_episode(rows):
    first, second = rows
    assert first.comparison is None
    assert second.comparison.success.difference == pytest.approx(-0.5)
    assert second.comparison.success.p == pytest.approx(2 * 0.5**4)  # 4 of 4 one way
    written = cells(second)
    assert len(written) == len(COLUMNS) == len(cells(first))
    assert written[:3] == ('ddim', '5', '5.0') and written[8] == '-50.0'


def test_a_stopped_bench_comes_back_as_it_was(rows, tmp_path):
    write_bench(tmp_path, rows, {'seed': 3}, {'model': 'm'})
    assert read_bench(tmp_path, {'seed': 3}) == rows
    page = (tmp_path / 'success.md').read_text()
    assert '| ddpm | 100 |' in page and '| model | m |' in page
    assert (tmp_path / 'success.png').stat().st_size > 10_000


def test_another_bench_is_not_gone_on_with(rows, tmp_path):
    write_bench(tmp_path, rows, {'seed': 3}, {})
    with pytest.raises(ConfigError, match='measured with seed 3, not 4'):
        read_bench(tmp_path, {'seed': 4})


@pytest.mark.parametrize('content', (
    '', '[]', '{"identity": {}, "rows": [{}]}', '{"identity": 3, "rows": []}', '[' * 100_000,
    '{"identity": {}, "rows": [{"sampler": {"solver": "ddim", "num_inference_steps": 3}, '
    '"time_ms": 1, "time_ratio": 1, "seconds": 1, "results": '
    '[{"seed": 1, "score": "much", "success": true, "steps": 3}]}]}', None,
    '{"identity": ["seed", 3], "rows": []}', '{"rows": 3, "identity": {}}'))
def test_what_is_no_bench_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / 'success.json').write_text(content)
    with pytest.raises(ConfigError, match='holds no bench to go on with .* leave out --resume'
                       ) as refused:
        read_bench(tmp_path, {})
    assert not PYTHON.search(str(refused.value))


@pytest.mark.parametrize('wrong', (
    {'time_ms': 10**400}, {'time_ms': float('nan')}, {'time_ratio': float('inf')},
    {'seconds': 'long'}, {'sampler': {'solver': 'magic'}}, {'sampler': {'steps': 3}},
    {'sampler': {'num_inference_steps': 0}}, {'sampler': 7}, {'results': []}, {'results': 7},
    {'results': 'first'}, {'results': 'twice'}))
def test_a_row_that_cannot_be_true_is_refused(rows, tmp_path, wrong):
    write_bench(tmp_path, rows, {}, {})
    path = tmp_path / 'success.json'
    document = json.loads(path.read_text())
    episodes = document['rows'][1]['results']
    if wrong.get('results') in ('first', 'twice'):
        wrong = {'results': episodes[:1] * (1 if wrong['results'] == 'first' else 2)}
    document['rows'][1].update(wrong)
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match='holds no bench to go on with') as refused:
        read_bench(tmp_path, {})
    assert not PYTHON.search(str(refused.value))


def test_what_is_left_out_is_told_and_nothing_to_compare_is_refused(
        save_tiny_policy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_success, '_parts', lambda *_: (lambda *_: evaluation([True, False]),
                                                             Timer()))
    model = str(save_tiny_policy())
    command = ['bench', 'success', model, '--episodes', '2', '--out', str(tmp_path), '--device',
               'cpu', '--solvers', 'ddim', 'heun', '--evaluations']
    assert main([*command, '3', '2', '101', '1000']) == 0
    assert ('left out: ddim 101, ddim 1000, heun 2, heun 1000 evaluations: fewer than two steps '
            f'of the solver, or more than the 100 noise levels of {model} allow'
            ) in capsys.readouterr().out
    assert main([*command, '1000']) == 1
    assert 'nothing to compare: ddim 1000, heun 1000 evaluations' in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_told_and_leaves_no_pieces(
        save_tiny_policy, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_success, '_parts', lambda *_: (lambda *_: evaluation([True, False]),
                                                             Timer()))
    for name in ('success.png', 'success.md', 'success.json'):
        out = tmp_path / f'out_{name}'
        (out / name).mkdir(parents=True)
        assert main(['bench', 'success', str(save_tiny_policy()), '--episodes', '2', '--solvers',
                     'ddim', '--evaluations', '3', '--out', str(out), '--device', 'cpu']) == 1
        said = capsys.readouterr().err
        assert f'--out {out} cannot be written: ' in said and 'Is a directory' in said
        assert not list(out.glob('*.tmp'))


def test_the_command_measures_goes_on_and_writes_files(
        save_tiny_policy, tmp_path, monkeypatch, capsys):
    pytest.importorskip('gym_pusht')
    module, name, _ = bench_success.SIMULATIONS['pusht']
    monkeypatch.setitem(bench_success.SIMULATIONS, 'pusht', (module, name, 4))
    monkeypatch.setattr(SuccessBench, 'measure', _stopping(SuccessBench.measure, after=2))
    command = ['bench', 'success', str(save_tiny_policy()), '--solvers', 'ddim', '--evaluations',
               '2', '3', '--episodes', '2', '--out', str(tmp_path), '--device', 'cpu']
    assert main(command) == 130
    for more, said in ((['--batch', '3'], 'batch 50, not 3'), (['--seed', '1'], 'seed 100000'),
                       (['--threads', '2'], 'threads 1, not 2')):
        assert main([*command, '--resume', *more]) == 1
        assert f'was measured with {said}' in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr('diffusion_policy_ros.machine.processor', lambda: 'Z80')
        assert main([*command, '--resume']) == 1
    assert ', not cpu, Z80; go on with the same arguments' in capsys.readouterr().err
    assert main([*command, '--resume']) == 0
    assert f'written: {tmp_path}/success.json' in capsys.readouterr().out
    page = Path(tmp_path, 'success.md').read_text()
    assert [line.split(' | ')[:2] for line in page.splitlines() if line.startswith('| dd')] == [
        ['| ddpm', '100'], ['| ddim', '2'], ['| ddim', '3']]


def _stopping(measure, after):
    """Return ``measure`` that is stopped once by Ctrl-C, after so many rows."""
    calls = iter(range(100))

    def stopped(*args):
        if next(calls) == after:
            raise KeyboardInterrupt
        return measure(*args)

    return stopped


@pytest.mark.parametrize('argument, message', (
    ('--episodes=1', 'episodes is 1'), ('--evaluations=1', 'evaluations is 1'),
    ('--batch=0', 'batch is 0'), ('--seed=-1', 'seed is -1')))
def test_numbers_that_no_bench_can_have_are_refused(argument, message, capsys):
    assert main(['bench', 'success', 'no_model', argument]) != 0
    assert message in capsys.readouterr().err
