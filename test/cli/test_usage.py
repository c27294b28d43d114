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

"""Whatever number an option cannot have is wrong usage: one line, exit code 2, nothing read."""

import argparse
from functools import partial

from diffusion_policy_ros.cli import bench
from diffusion_policy_ros.cli.main import build_parser, COMMANDS, main
from diffusion_policy_ros.cli.usage import as_usage, check_range, check_share
from diffusion_policy_ros.errors import BagError, UsageError
import pytest

# What else each command needs; there is no such model, dataset or bag.
NEEDED = {
    'record-sim': ['base', '--out', '.'], 'convert': ['none', '--out', 'new'], 'check': ['none'],
    'play': ['none'], 'train': ['none', '--out', 'new'], 'eval': ['none', '--sim', 'pusht'],
    'modes': ['none'], 'calibrate': ['none', '--sim', 'pusht'], 'replay': ['none', 'none'],
    'demo': ['--model', 'none'], 'doctor': [], 'bench solvers': ['none'],
    'bench success': ['none'], 'bench joins': ['none'], 'bench loop': ['--model', 'none'],
    'bench convert': [], 'bench train': ['none'], 'bench chunk': [],
    'export': ['none', '--format', 'onnx']}
# Options that others need beside them.
TOGETHER = {
    'play': {option: ['--episode', '0'] for option in ('--rate', '--start', '--wait')},
    'modes': {'--episode': ['--dataset', 'none', '--row', '0'],
              '--row': ['--dataset', 'none', '--episode', '0']}}
ZERO_WILL_DO = {
    '--cameras', '--crf', '--delay-jitter-ms', '--delay-ms', '--delays-ms', '--domain',
    '--episode', '--likelihood-steps', '--noise-images', '--noise-vectors',
    '--row', '--seed', '--start', '--threads', '--wait', '--workers'}
NO_LIMIT = {'--episode', '--row', '--jobs', '--min-rows'}  # above


def numeric_options():
    """Yield (command, option, whether it takes fractions) of all options that are numbers."""
    for command in COMMANDS:
        parser = subparsers_of(build_parser(command))[command]
        parsers = {f'bench {kind}': each for kind, each in subparsers_of(parser).items()} \
            if command == 'bench' else {command: parser}
        for name, each in parsers.items():
            for action in each._actions:
                if name in NEEDED and action.type in (int, float):
                    yield name, action.option_strings[0], action.type is float


def subparsers_of(parser):
    """Return the parsers of the subcommands."""
    return next(action.choices for action in parser._actions
                if isinstance(action, argparse._SubParsersAction))


OPTIONS = list(numeric_options())
WRONG = [(command, option, value) for command, option, is_float in OPTIONS
         for value in ('-1', *([] if option in ZERO_WILL_DO else ['0']),
                       *([] if option in NO_LIMIT else ['99999999999999']),
                       *(['nan', 'inf', '-inf'] if is_float else []))]
RIGHT = [(command, option) for command, option, _ in OPTIONS if option in ZERO_WILL_DO
         and command not in ('bench chunk', 'convert')]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


def run(command, *arguments):
    """Run a command; its exit code."""
    try:
        return main([*command.split(), *NEEDED[command], *arguments])
    except SystemExit as stopped:  # of argparse
        return stopped.code


def test_every_command_with_numbers_is_looked_at():
    named = {name.split()[0] for name in NEEDED}
    assert set(COMMANDS) - named == {
        'edit', 'info', 'compare', 'import-lerobot', 'export-lerobot', 'import-diffusion-policy'}
    kinds = {f'bench {kind}' for kind in bench.KINDS}
    assert kinds - set(NEEDED) <= {'bench all'}  # which has no numbers
    assert len(OPTIONS) > 60


@pytest.mark.parametrize('command, option, value', WRONG)
def test_a_number_out_of_range_is_wrong_usage(command, option, value, tmp_path, capsys):
    pytest.importorskip('torch')
    beside = TOGETHER.get(command, {}).get(option, [])
    assert run(command, *beside, f'{option}={value}') == 2
    said = capsys.readouterr()
    assert option.strip('-') in said.err.replace('_', '-') and not said.out
    assert said.err.startswith('usage: ') or said.err.count('\n') == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('command, option', RIGHT)
def test_a_zero_that_is_possible_is_no_wrong_usage(command, option, capsys):
    pytest.importorskip('torch')
    beside = TOGETHER.get(command, {}).get(option, [])
    assert run(command, *beside, f'{option}=0') == 1  # for want of the model, dataset or bag
    assert option not in capsys.readouterr().err


@pytest.mark.parametrize('command', ['train', 'bench train'])
@pytest.mark.parametrize('setting', [
    'steps=0', 'steps=-1', 'learning_rate=.nan', 'steps=1.5', 'pace=3', 'steps', 'steps=',
    'rollouts.every=5', 'policy.horizon=0', 'policy.beta_end=.nan', 'policy.denoiser.dim=0',
    'policy.observation_encoder.vit_heads=-1', 'pretraining.steps=0', 'precision=half'])
def test_a_setting_that_cannot_be_is_wrong_usage(command, setting, tmp_path, capsys):
    pytest.importorskip('torch')
    assert run(command, '--set', setting) == 2
    assert f'dpr {command.split()[0]}: --set: ' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_of_settings_that_is_wrong_is_no_wrong_usage(tmp_path, capsys):
    pytest.importorskip('torch')
    file = tmp_path / 'settings.yaml'
    file.write_text('steps: 0')
    assert run('train', '--config', 'settings.yaml', '--set', 'seed=-1') == 1
    assert 'steps is 0; it must be from 1' in capsys.readouterr().err
    file.write_text('rollouts: {sim: pusht}')  # which needs the other one
    assert run('train', '--config', 'settings.yaml', '--set', 'rollouts.every=5') == 1
    assert 'none' in capsys.readouterr().err


@pytest.mark.parametrize('arguments, said', [
    (['--steps', '0'], '--steps is 0; it must be from 1 to 1000'),
    (['--sampler', 'temperature=nan'], 'temperature is nan; it must be from 0 to 100'),
    (['--sampler', 'order=7'], 'order is 7; it must be from 1 to 4'),
    (['--sampler', 'rtol=0'], 'rtol is 0.0; it must be above 0 to 1'),
    (['--sampler', 'spacing=x'], "spacing is 'x'; choose one of: "),
    (['--sampler', 'pace=x'], "unknown sampler option 'pace'"),
    (['--steps', '3', '--sampler', 'num_inference_steps=4'], 'is given twice'),
    (['--through-ros', '--noise-images', '3'], 'belong to the lock step'),
    (['--through-ros', '--delay-jitter-ms', '3'], 'belong to the lock step')])
def test_what_no_checkpoint_could_do_is_wrong_usage(arguments, said, capsys):
    assert run('eval', *arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize('check, wrong', [
    (partial(check_range, 'n', low=1, high=5), '--n is {}; it must be from 1 to 5'),
    (partial(check_range, 'n', low=1), '--n is {}; it must be at least 1'),
    (partial(check_share, 'n'), '--n is {}; it must be above 0 and below 1')])
def test_not_a_number_is_out_of_any_range(check, wrong):
    for value in (0, float('nan'), float('-inf')):
        with pytest.raises(UsageError) as refused:
            check(value=value)
        assert str(refused.value) == wrong.format(value)


def test_what_is_refused_for_its_usage_keeps_its_words():
    check_range('n', None, 1)
    for error in (ValueError('x is 3'), BagError('x is 3'), UsageError('x is 3')):
        before = '' if isinstance(error, UsageError) else '--'
        with pytest.raises(UsageError, match=f'^{before}x is 3$'), as_usage('--'):
            raise error
