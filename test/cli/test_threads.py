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

"""``--threads`` of the commands that run a policy in episodes."""

from diffusion_policy_ros.cli.main import main
import pytest

torch = pytest.importorskip('torch')
COMMANDS = {'eval': ['eval', 'none', '--sim', 'pusht'], 'modes': ['modes', 'none'],
            'success': ['bench', 'success', 'none']}


@pytest.mark.parametrize('command', COMMANDS)
@pytest.mark.parametrize('arguments, wanted', [
    ([], [1]), (['--threads', '3'], [3]), (['--threads', '0'], [])])
def test_torch_gets_one_thread_or_what_is_asked_for(monkeypatch, tmp_path, capsys, command,
                                                    arguments, wanted):
    chosen = []
    monkeypatch.setattr(torch, 'set_num_threads', chosen.append)
    monkeypatch.chdir(tmp_path)
    assert main([*COMMANDS[command], *arguments]) == 1  # there is no such checkpoint
    assert chosen == wanted
    assert 'none is no folder' in capsys.readouterr().err


@pytest.mark.parametrize('command', COMMANDS)
def test_numbers_of_threads_that_cannot_be_are_refused(command, capsys):
    for threads in ('-1', '257'):
        assert main([*COMMANDS[command], '--threads', threads]) == 2
        assert f'--threads is {threads}; it must be from 0 to 256' in capsys.readouterr().err
