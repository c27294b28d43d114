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

"""``dpr doctor --live`` is asked for with a contract, and starts a node that knows the robot."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

from diffusion_policy_ros.cli import doctor, doctor_live
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.finding import Finding
import pytest

CONTRACT = Path(__file__).resolve().parents[2] / 'config' / 'robots' / 'pusht.yaml'
LIVE = ['doctor', '--contract', str(CONTRACT), '--live']


@pytest.fixture(autouse=True)
def plain_shell(monkeypatch):
    """Start every test from a shell that says nothing about ROS, with rclpy installed."""
    for name in ('RMW_IMPLEMENTATION', 'ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(doctor, 'check_ros_module', lambda name, *_: Finding('OK', name, '9'))


@pytest.fixture
def watched(monkeypatch):
    """Watch no robot, and return what was to be watched, and the findings of it."""
    watched = SimpleNamespace(asked=[], found=[Finding('OK', '/camera', '30 Hz')])

    def watch(*arguments, **named):
        watched.asked.append((arguments, named))
        return watched.found

    monkeypatch.setattr(doctor, 'watch', watch)
    return watched


def test_a_robot_is_watched_against_a_contract_only(watched, capsys):
    assert main(['doctor', '--live']) == 2
    said = capsys.readouterr()
    assert not said.out and 'name the --contract too' in said.err and not watched.asked


@pytest.mark.parametrize('words', [
    *(('--seconds', seconds) for seconds in ('0.9', '3601', 'nan', 'long')),
    ('--namespace', 'my-arm'), ('--namespace', '1st'), ('--remap', 'camera'), ('--remap', 'a:='),
    ('--remap', 'a:=b c')])
def test_what_makes_no_sense_is_wrong_usage(words, watched):
    with pytest.raises(SystemExit) as stopped:
        main([*LIVE, *words])
    assert stopped.value.code == 2 and not watched.asked


@pytest.mark.parametrize('level, code', [('OK', 0), ('WARN', 0), ('ERROR', 1)])
def test_the_exit_code_tells_whether_the_robot_can_be_driven(level, code, watched, capsys):
    watched.found = [Finding(level, '/camera', 'as it is', 'repair it')]
    assert main([*LIVE, '--seconds', '2', '--namespace', 'left', '--remap', 'a:=b']) == code
    assert watched.asked == [((CONTRACT, 2.0), {'namespace': 'left', 'remaps': ['a:=b']})]
    assert '/camera' in capsys.readouterr().out


def test_a_shell_in_which_ros_cannot_work_is_told_before_the_robot(watched, monkeypatch, capsys):
    monkeypatch.setenv('ROS_DOMAIN_ID', 'mine')
    assert main(LIVE) == 1
    said = capsys.readouterr().out
    assert 'ERROR domain' in said and '/camera' not in said and not watched.asked


def test_a_wrong_contract_starts_nothing(watched, tmp_path, capsys):
    (tmp_path / 'robot.yaml').write_text('robot: [')
    assert main(['doctor', '--contract', str(tmp_path / 'robot.yaml'), '--live']) == 1
    assert not watched.asked and capsys.readouterr().err.count('\n') == 1


def test_the_node_is_told_contract_time_namespace_and_other_names(monkeypatch):
    started = []

    def start(name, command, **_):
        started.append(command)

    monkeypatch.setattr(doctor_live, 'Children',
                        lambda *_: nullcontext(SimpleNamespace(start=start)))
    monkeypatch.setattr(doctor_live, 'node_events', lambda *_: [
        ('finding', {'level': 'OK', 'name': '/a', 'value': 'fine', 'remedy': ''})])
    found = doctor_live.watch(CONTRACT, 3, namespace='/left/', remaps=['a:=b'])
    assert found == [Finding('OK', '/a', 'fine')]
    command, = started
    assert command[-4:] == ['-r', '__ns:=/left', '-r', 'a:=b']
    assert f'contract:="{CONTRACT}"' in command and 'seconds:=3.0' in command
