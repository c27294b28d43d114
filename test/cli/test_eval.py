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

"""The arguments of ``dpr eval`` that choose a sampler and the loop."""

import json
import os
from pathlib import Path
import subprocess
import sys

from diffusion_policy_ros.choices import JOINS, REPLAN_TRIGGERS, SOLVERS
from diffusion_policy_ros.cli import eval as dpr_eval
from diffusion_policy_ros.cli.main import build_parser
from diffusion_policy_ros.errors import DatasetError, DiffusionPolicyError
from diffusion_policy_ros.sampler_options import OPTIONS
import pytest

ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'
LOOP_ARGUMENTS = ('--delay-ms', '--execute-horizon', '--replan', '--join', '--candidates',
                  '--blend-rows', '--warm-start-level')


def parsed(*arguments, model='model'):
    """Parse a command line of ``dpr eval``."""
    return build_parser('eval').parse_args(['eval', str(model), '--sim', 'pusht', *arguments])


def refusal(*arguments, **where):
    """Run a command line that is refused before a simulation starts; the reason."""
    pytest.importorskip('torch')
    pytest.importorskip('tqdm')
    with pytest.raises(DiffusionPolicyError) as refused:
        dpr_eval.run(parsed(*arguments, **where))
    return str(refused.value)


def test_a_wrong_solver_is_refused_with_all_that_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        parsed('--solver', 'eular')
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert 'eular' in said and all(name in said for name in SOLVERS)


def test_a_mistake_in_an_option_is_refused_with_the_remedy():
    assert 'did you mean "temperature"?' in refusal('--sampler', 'temprature=1')
    assert 'not of the form name=value' in refusal('--sampler', 'eta')
    assert "order is 'two'; it must be a whole number" in refusal('--sampler', 'order=two')
    assert 'given twice' in refusal('--sampler', 'eta=0', '--sampler', 'eta=1')
    assert 'solver is given twice' in refusal('--solver', 'ddim', '--sampler', 'solver=ddpm')
    assert 'given twice' in refusal('--steps', '3', '--sampler', 'num_inference_steps=4')


def test_a_sampler_that_the_checkpoint_cannot_use_is_refused_in_its_words(save_tiny_policy):
    model = save_tiny_policy()
    assert 'without conditioning_dropout' in refusal('--sampler', 'guidance_scale=2', model=model)
    assert 'order of heun is 3; choose one of: 2' in refusal(
        '--solver', 'heun', '--sampler', 'order=3', model=model)
    assert 'num_inference_steps is 101' in refusal('--steps', '101', model=model)


@pytest.fixture
def evaluated(save_tiny_policy, tmp_path, monkeypatch):
    """Return a function from arguments to how plans are made and followed, and what is written."""
    pytest.importorskip('tqdm')
    pytest.importorskip('gym_pusht')
    from diffusion_policy_ros.evaluation import evaluate as evaluation
    from diffusion_policy_ros.evaluation.rollout import EpisodeResult
    model, seen = save_tiny_policy(), {}

    def evaluate(policy, make_environment, seeds, **how):
        seen.update(how, policy=policy)
        looks = [(0.5, 0.4, 0.1, 0.1, 0.3, 0.3, 0.0)] * 2
        return evaluation.Evaluation((EpisodeResult(seeds[0], 0.5, False, 1),), 1.0,
                                     (([None], []),), (looks,))

    monkeypatch.setattr(evaluation, 'evaluate', evaluate)

    def run(*arguments):
        report = tmp_path / 'report.json'
        assert dpr_eval.run(parsed(*arguments, '--out', str(report), model=model)) == 0
        return seen['options'], seen['loop'], json.loads(report.read_text())

    run.model, run.seen = model, seen
    return run


def test_what_is_asked_for_reaches_the_plans_and_the_loop(evaluated):
    options, loop, report = evaluated(
        '--join', 'rtc', '--delay-ms', '200', '--candidates', '4', '--execute-horizon', '5',
        '--replan', 'low', '--blend-rows', '7', '--warm-start-level', '0.25', '--solver', 'heun')
    assert (options.join, options.num_candidates, options.warm_start_level) == ('rtc', 4, 0.25)
    assert options.sampler.solver == 'heun'
    assert (loop.delay_ms, loop.replan.execute_horizon, loop.replan.trigger) == (200.0, 5, 'low')
    assert (loop.join.name, loop.join.blend_rows) == ('rtc', 7)
    assert (report['join'], report['num_candidates']) == ('rtc', 4)
    assert report['loop']['delay_ms'] == 200.0 and report['loop']['join']['name'] == 'rtc'
    assert report['loop']['replan']['execute_horizon'] == 5


def test_without_arguments_plans_are_made_and_followed_as_they_ever_were(evaluated):
    options, loop, _ = evaluated()
    assert (options.join, options.num_candidates) == ('none', 1)
    assert (loop.join.name, loop.delay_ms) == ('none', 0.0)
    assert (loop.replan.trigger, loop.replan.execute_horizon) == ('executed', 8)


@pytest.mark.parametrize('argument, choices', [('--join', JOINS), ('--replan', REPLAN_TRIGGERS)])
def test_an_unknown_choice_is_refused_with_all_that_there_are(argument, choices, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(argument, 'glue')
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert f'argument {argument}' in said and all(choice in said for choice in choices)


def test_numbers_that_no_loop_can_have_are_refused_by_name(save_tiny_policy):
    model = save_tiny_policy()
    assert '--delay-ms is -1; it must be from 0 to 10000' in refusal('--delay-ms', '-1')
    assert '--delay-ms is nan' in refusal('--delay-ms', 'nan')
    assert '--execute-horizon is 9; this checkpoint allows 1 to 8' in refusal(
        '--execute-horizon', '9', model=model)
    for name, value in (('candidates', '0'), ('candidates', '257'), ('blend_rows', '0'),
                        ('warm_start_level', '0.0'), ('warm_start_level', '1.5')):
        option = f'--{name.replace("_", "-")}'
        assert f'{option} is {float(value):g}; it must be' in refusal(option, value)


def test_a_file_that_is_no_result_is_not_replaced(tmp_path):
    other = tmp_path / 'config.json'
    other.write_text('{"type": "diffusion"}')
    assert 'a file that is no result of dpr eval' in refusal('--out', str(other), model='none')
    assert other.read_text() == '{"type": "diffusion"}'


@pytest.mark.parametrize('out, reason', [
    (f'{"x" * 300}/x.json', 'name a file in a folder that exists and can be written to'),
    ('none/x.json', 'name a file in a folder'), ('folder.json', 'name a file in a folder'),
    ('x' * 300, 'cannot be made'), ('x/x', 'cannot be made')])
def test_an_unusable_out_is_refused_before_anything_is_loaded(out, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'x').touch()
    (tmp_path / 'folder.json').mkdir()
    said = refusal('--out', out, model='none')
    assert said.startswith(f'--out {out} ') or said.startswith(f'--out is {out};')
    assert reason in said


def test_disturbances_reach_the_sensors_and_the_loop(evaluated):
    _, loop, report = evaluated('--noise-vectors', '0.05', '--noise-images', '3',
                                '--delay-jitter-ms', '40')
    assert loop.jitter_ms == 40 and report['loop']['jitter_ms'] == 40
    assert (report['noise_vectors'], report['noise_images']) == (0.05, 3)
    first, second = (evaluated.seen['sensors'](seed) for seed in (1, 2))
    assert type(first).__name__ == 'NoisySensors' and first is not second
    evaluated()
    assert evaluated.seen['sensors'] is None


def test_a_result_tells_with_what_it_was_computed(evaluated):
    _, _, report = evaluated('--batch', '3', '--threads', '2', '--device', 'cpu')
    assert (report['batch'], report['threads'], report['device']) == (3, 2, 'cpu')
    assert report['contract'] is None
    assert evaluated()[2]['threads'] == 1


@pytest.mark.parametrize('arguments, reason', [
    (('--noise-vectors', '1.5'), '--noise-vectors is 1.5; it must be from 0 to 1'),
    (('--noise-images', '-1'), '--noise-images is -1; it must be from 0 to 128'),
    (('--delay-jitter-ms', 'nan'), '--delay-jitter-ms is nan'),
    (('--episodes', '0'), '--episodes is 0'),
    (('--through-ros', '--noise-images', '3'), 'belong to the lock step')])
def test_impossible_disturbances_are_refused(arguments, reason):
    assert reason in refusal(*arguments, model='none')


def stored(path, scores, **settings):
    """Write a result as ``dpr eval --out`` does, from seed 100000 on."""
    path.write_text(json.dumps({**settings, 'results': [
        {'seed': 100_000 + number, 'score': score, 'success': score >= 1, 'steps': 9}
        for number, score in enumerate(scores)]}))
    return str(path)


def test_a_stored_result_is_compared_episode_by_episode(evaluated, tmp_path, capsys):
    other = stored(tmp_path / 'other.json', [0.75, 1.0], sim='pusht')
    _, _, report = evaluated('--episodes', '1', '--against', other)
    assert report['comparison']['score']['difference'] == pytest.approx(-0.25)
    assert report['comparison']['names'] == [str(evaluated.model), other]
    said = capsys.readouterr().out
    assert f'{evaluated.model}: 1 episodes: mean score 0.500' in said
    assert '1 paired episodes: the episodes do not tell whether' in said


def test_what_cannot_be_compared_is_refused_before_anything_is_loaded(tmp_path):
    other = stored(tmp_path / 'other.json', [0.75, 1.0], sim='pusht')
    assert 'holds the seeds 100000 to 100001, but not 100002, which is to run' in refusal(
        '--episodes', '3', '--against', other, model='none')
    assert 'is of the simulation other, not of pusht' in refusal('--against', stored(
        tmp_path / 'a.json', [1.0], sim='other'), model='none')
    (tmp_path / 'none.json').write_text('{}')
    with pytest.raises(DatasetError, match='is no result of dpr eval'):
        dpr_eval.run(parsed('--against', str(tmp_path / 'none.json'), model='none'))
    assert 'the model itself' in refusal('--against', str(tmp_path), model=tmp_path)


def test_the_contract_of_another_robot_is_refused(save_tiny_policy):
    model = save_tiny_policy()
    said = refusal('--contract', str(ROBOTS / 'arm6.yaml'), model=model)
    assert f'disagrees with the checkpoint {model}: rate_hz: trained at 10' in said


def test_a_contract_with_other_topics_is_followed_in_place_of_the_own_one(evaluated, tmp_path):
    own = (ROBOTS / 'pusht.yaml').read_text()
    assert 'topic: camera/image_raw' in own
    other = tmp_path / 'other.yaml'
    other.write_text(own.replace('topic: camera/image_raw', 'topic: other/image'))
    for contract, topic in ((ROBOTS / 'pusht.yaml', 'camera/image_raw'), (other, 'other/image')):
        evaluated('--contract', str(contract))
        topics = [stream.topic for stream in evaluated.seen['policy'].contract.observations]
        assert topic in topics


def test_ctrl_c_in_the_second_model_keeps_the_first(evaluated, save_tiny_policy, monkeypatch,
                                                    tmp_path, capsys):
    from diffusion_policy_ros.evaluation import evaluate as evaluation
    run, calls = evaluation.evaluate, []

    def interrupted(*args, **how):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(*args, **how)

    monkeypatch.setattr(evaluation, 'evaluate', interrupted)
    out = tmp_path / 'first.json'
    code = dpr_eval.run(parsed('--against', str(save_tiny_policy()), '--out', str(out),
                               '--episodes', '1', model=evaluated.model))
    assert code == 130 and json.loads(out.read_text())['episodes'] == 1
    assert 'stopped: 1 of 2 episodes were through and are kept' in capsys.readouterr().out


def test_a_folder_gets_report_figures_and_videos(save_tiny_policy, tmp_path, capsys, monkeypatch):
    pytest.importorskip('gym_pusht')
    pytest.importorskip('av')
    monkeypatch.setitem(dpr_eval.SIMULATIONS, 'pusht',
                        (*dpr_eval.SIMULATIONS['pusht'][:2], 20))
    out = tmp_path / 'report'
    assert dpr_eval.run(parsed('--episodes', '3', '--steps', '1', '--noise-vectors', '0.01',
                               '--against', str(save_tiny_policy(num_inference_steps=2)),
                               '--out', str(out), model=save_tiny_policy())) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        'best.mp4', 'eval.json', 'median.mp4', 'report.html', 'worst.mp4']
    figures = json.loads((out / 'eval.json').read_text())
    assert len(figures['curves']['seconds']) == 21 and figures['comparison']['seeds'] == [
        100_000, 100_001, 100_002]
    assert 'report.html' in capsys.readouterr().out
    from diffusion_policy_ros.cli.main import main
    assert main(['compare', str(out), str(out / 'eval.json')]) == 0
    assert 'success +0.0 points' in capsys.readouterr().out


def test_the_help_names_every_option_and_loads_no_torch():
    code = ('import sys; from diffusion_policy_ros.cli.main import build_parser\n'
            "try: build_parser('eval').parse_args(['eval', '--help'])\n"
            "finally: print('torch' in sys.modules, 'numpy' in sys.modules)")
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                           timeout=60, stdin=subprocess.DEVNULL,
                           env={**os.environ, 'COLUMNS': '200'})
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.splitlines()[-1] == 'False False'
    assert all(option.name in shown.stdout for option in OPTIONS)
    assert all(argument in shown.stdout for argument in LOOP_ARGUMENTS)
