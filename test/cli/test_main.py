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

"""The ``dpr`` executable: overview, errors and exit codes."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

from diffusion_policy_ros.cli import main as dpr
from diffusion_policy_ros.errors import BagError
import pytest


@pytest.fixture
def pretend(monkeypatch):
    """Return a function that puts another ``run`` behind the subcommand ``doctor``."""
    def use(run):
        module = SimpleNamespace(add_arguments=lambda parser: None, run=run)
        monkeypatch.setattr(dpr, '_module', lambda command: module)

    return use


def raising(error):
    """Return a ``run`` that raises."""
    def run(args):
        raise error

    return run


def test_help_lists_every_command_and_exits_with_zero(capsys):
    with pytest.raises(SystemExit) as ended:
        dpr.main(['--help'])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf'^    {name}\s', shown, re.MULTILINE) for name in dpr.COMMANDS)


@pytest.mark.parametrize('argv, complaint', [
    ([], 'COMMAND'), (['fly'], "invalid choice: 'fly'"), (['doctor', '--fast'], '--fast')])
def test_wrong_usage_exits_with_two(argv, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        dpr.main(argv)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_the_exit_code_of_a_command_is_passed_on(pretend):
    pretend(lambda args: 7)
    assert dpr.main(['doctor']) == 7


def test_an_error_of_the_package_is_one_line_and_exit_code_one(pretend, capsys):
    pretend(raising(BagError('bag.mcap is cut short\n  at byte 7')))
    assert dpr.main(['doctor']) == 1
    assert capsys.readouterr().err == 'dpr doctor: bag.mcap is cut short at byte 7\n'


def test_names_that_are_no_text_are_shown_all_the_same(pretend, capsys):
    pretend(lambda args: print('b\udcff') or 0)
    assert dpr.main(['doctor']) == 0
    assert capsys.readouterr().out == 'b\\udcff\n'


def test_without_any_output_the_work_is_done_all_the_same(pretend, monkeypatch):
    pretend(lambda args: 7)
    monkeypatch.setattr(sys, 'stdout', None)
    assert dpr.main(['doctor']) == 7


def test_ctrl_c_is_exit_code_130(pretend, capsys):
    pretend(raising(KeyboardInterrupt()))
    assert dpr.main(['doctor']) == 130
    assert capsys.readouterr().err == 'dpr doctor: stopped\n'


def test_a_missing_library_is_named_with_the_extra_that_holds_it(pretend, capsys):
    pretend(raising(ModuleNotFoundError("No module named 'zarr'", name='zarr')))
    assert dpr.main(['doctor']) == 1
    said = capsys.readouterr().err
    assert "'zarr'" in said
    assert re.search(r'pip install ".+\[ros\]"', said)


def test_a_missing_module_of_our_own_is_a_fault_and_shown_as_one(pretend):
    pretend(raising(ModuleNotFoundError('No module', name='diffusion_policy_ros.nothing')))
    with pytest.raises(ModuleNotFoundError):
        dpr.main(['doctor'])


@pytest.mark.parametrize('command', dpr.COMMANDS)
def test_every_command_has_help(command):
    shown = subprocess.run([sys.executable, '-m', 'diffusion_policy_ros.cli.main', command,
                            '--help'], capture_output=True, text=True, timeout=60,
                           stdin=subprocess.DEVNULL)
    assert shown.returncode == 0, shown.stderr
    assert f'dpr {command}' in shown.stdout


@pytest.mark.parametrize('arguments', [['--help'], ['doctor', '--help']])
def test_a_reader_that_has_gone_is_no_traceback(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {k: v for k, v in os.environ.items() if k != 'PYTHONUNBUFFERED'}
    ended = subprocess.run([sys.executable, '-m', 'diffusion_policy_ros.cli.main', *arguments],
                           stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60,
                           stdin=subprocess.DEVNULL, env=buffered)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, '')


def test_a_reader_that_goes_while_a_command_prints_ends_it_quietly():
    program = ('import sys; from types import SimpleNamespace as N\n'
               'from diffusion_policy_ros.cli import main as dpr\n'
               'def run(args):\n'
               '    while True:\n'
               "        print('again', flush=True)\n"
               'dpr._module = lambda command: N(add_arguments=lambda parser: None, run=run)\n'
               "sys.exit(dpr.main(['doctor']))")
    with subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as command:
        assert command.stdout.readline() == 'again\n'
        command.stdout.close()
        assert command.wait(60) == 1
        assert command.stderr.read() == ''
