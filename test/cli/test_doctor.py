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

"""``dpr doctor`` tells what is wrong and how to repair it."""

import importlib
import os
from pathlib import Path
import threading
from types import SimpleNamespace

from diffusion_policy_ros.cli import doctor
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.finding import LEVELS
from diffusion_policy_ros.requirements import SERVING
import pytest

ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """Start every test from an environment that says nothing about ROS."""
    for name in ('RMW_IMPLEMENTATION', 'ROS_DISTRO', 'ROS_DOMAIN_ID',
                 'FASTDDS_BUILTIN_TRANSPORTS', 'ROS_AUTOMATIC_DISCOVERY_RANGE',
                 doctor.NEW_VARIABLE, doctor.OLD_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_a_module_that_cannot_be_imported_has_its_level_and_remedy():
    found = doctor.check_module('no_such_module', 'WARN', 'install it')
    assert found.level == 'WARN'
    assert 'no_such_module' in found.value
    assert str(found).endswith('-> install it')


def test_an_rmw_that_is_not_installed_is_one_failed_check_among_the_others(monkeypatch):
    pytest.importorskip('rclpy')
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_foo_cpp')
    found = {finding.name: finding for finding in doctor.find_all()}
    assert found['rmw'].level == 'ERROR'
    assert 'rmw_foo_cpp cannot be used' in found['rmw'].value
    assert found['rmw'].remedy.startswith('unset RMW_IMPLEMENTATION, or install')
    assert found['rclpy'].level == 'OK' and 'discovery range' in found


def test_an_rmw_that_is_installed_is_fine(monkeypatch):
    pytest.importorskip('rclpy')
    from rclpy.utilities import get_rmw_implementation_identifier
    monkeypatch.setenv('RMW_IMPLEMENTATION', get_rmw_implementation_identifier())
    assert doctor.check_rmw().level == 'OK'


def test_a_ros_module_that_cannot_be_imported_has_its_level_and_remedy():
    found = doctor.check_ros_module('no_such_module', 'WARN', 'install it')
    assert found.level == 'WARN' and 'no_such_module' in found.value
    assert str(found).endswith('-> install it')


def test_a_module_with_a_broken_library_is_an_error(monkeypatch):
    def fail(name):
        raise ImportError('libGL.so.1: cannot open shared object file\nmore')

    monkeypatch.setattr(importlib, 'import_module', fail)
    found = doctor.check_module('cv2', *doctor.MODULES['cv2'])
    assert found.level == 'ERROR'
    assert 'libGL.so.1' in found.value
    assert 'more' not in str(found)
    assert 'opencv-python-headless' in found.remedy


def test_the_profile_is_missed_found_and_checked(monkeypatch, tmp_path):
    missed = doctor.check_profile()
    assert missed.level == 'WARN'
    assert missed.remedy.startswith('export FASTDDS_DEFAULT_PROFILES_FILE=/')
    monkeypatch.setenv(doctor.NEW_VARIABLE, str(tmp_path / 'none.xml'))
    assert doctor.check_profile().level == 'ERROR'
    (tmp_path / 'none.xml').touch()
    assert doctor.check_profile().level == 'OK'
    monkeypatch.setenv(doctor.OLD_VARIABLE, str(tmp_path / 'none.xml'))
    assert doctor.check_profile().remedy == 'unset FASTRTPS_DEFAULT_PROFILES_FILE'


def test_the_variable_of_older_distributions_is_the_one_they_read(monkeypatch):
    monkeypatch.setenv('ROS_DISTRO', 'jazzy')
    assert 'export FASTRTPS_DEFAULT_PROFILES_FILE=' in doctor.check_profile().remedy


def test_another_middleware_needs_no_profile(monkeypatch):
    monkeypatch.setenv('RMW_IMPLEMENTATION', 'rmw_cyclonedds_cpp')
    assert doctor.check_profile().level == 'OK'


@pytest.mark.parametrize('domain, level', [
    ('', 'OK'), ('42', 'OK'), ('233', 'ERROR'), ('-1', 'ERROR'), ('robot', 'ERROR'),
    ('４２', 'ERROR')])
def test_domain_is_checked(domain, level, monkeypatch):
    monkeypatch.setenv('ROS_DOMAIN_ID', domain)
    assert doctor.check_domain().level == level


@pytest.mark.parametrize('value, level', [('LOCALHOST', 'OK'), ('localhost', 'ERROR')])
def test_discovery_range_is_checked(value, level, monkeypatch):
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', value)
    assert doctor.check_discovery().level == level


def test_only_what_is_used_is_looked_at(monkeypatch):
    monkeypatch.setattr(doctor, 'check_module',
                        lambda name, *rest: doctor.Finding('OK', name, ''))
    names = [finding.name for finding in doctor.find_all()]
    assert {*doctor.MODULES, *doctor.ROS_MODULES} < set(names)
    assert 'cache' not in names


def test_remedies_name_the_versions_that_setup_asks_for():
    assert 'rosbags>=0.11.9,<0.12' in SERVING
    for module, distribution in (('rosbags', 'rosbags'), ('cv2', 'opencv-python-headless'),
                                 ('yaml', 'PyYAML'), ('torch', 'torch')):
        wanted = next(text for text in SERVING if text.startswith(distribution))
        assert f'pip install "{wanted}"' in doctor.MODULES[module][1]


@pytest.mark.parametrize('level, code', [('OK', 0), ('WARN', 0), ('ERROR', 1)])
def test_the_exit_code_tells_whether_something_is_in_the_way(level, code, monkeypatch, capsys):
    found = doctor.Finding(level, 'thing', 'as it is', 'repair it')
    monkeypatch.setattr(doctor, 'find_all', lambda: [found])
    assert doctor.run(SimpleNamespace(contract=None, model=None, live=False)) == code
    shown = capsys.readouterr().out
    assert ('repair it' in shown) == (level != 'OK')
    assert f'1 {level}' in shown


def test_every_level_in_the_table_is_a_known_one():
    tables = (*doctor.MODULES.values(), *doctor.ROS_MODULES.values())
    assert {level for level, _ in tables} <= set(LEVELS)


def test_real_time_is_tried_in_a_thread_that_ends(monkeypatch):
    tried = []

    def permit(pid, policy, parameters):
        tried.append((threading.current_thread(), policy, parameters.sched_priority))

    monkeypatch.setattr(os, 'sched_setscheduler', permit)
    found = doctor.check_real_time()
    assert (found.level, found.value) == ('OK', 'permitted')
    (thread, policy, priority), = tried
    assert thread is not threading.current_thread() and not thread.is_alive()
    assert (policy, priority) == (os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, 1)


def test_real_time_that_is_not_permitted_is_a_warning_with_its_remedy(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'sched_setscheduler', refuse)
    found = doctor.check_real_time()
    assert found.level == 'WARN' and found.value.startswith('not permitted')
    assert found.remedy.startswith('`<user> - rtprio 1` in /etc/security/limits.d/')


def test_a_contract_is_summed_up_without_looking_at_the_machine(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'find_all', lambda: pytest.fail('looked at the machine'))
    assert main(['doctor', '--contract', str(ROBOTS / 'arm6.yaml')]) == 0
    said = capsys.readouterr().out
    for line in (
            'robot arm6', 'rate_hz 15', 'settle_ms 20', 'action vector (7 entries):',
            '  observation.images.wrist <- wrist_camera/image_raw (sensor_msgs/msg/Image)',
            '      height 120 x width 160 px, rgb8; at most 150 ms old',
            '  observation.state <- joint_states (sensor_msgs/msg/JointState)',
            '  5 wrist_3 [rad] -> arm_controller/joint_trajectory '
            '(trajectory_msgs/msg/JointTrajectory)',
            '  6 gripper [rad] -> gripper_controller/commands (std_msgs/msg/Float64MultiArray)'):
        assert f'{line}\n' in said


def test_what_only_the_recorder_sees_is_marked(capsys):
    main(['doctor', '--contract', str(ROBOTS / 'pusht.yaml')])
    lines = capsys.readouterr().out.splitlines()
    marked = [lines[i - 1] for i, line in enumerate(lines) if 'not seen by the policy' in line]
    assert marked == [
        '  observation.environment_state <- block_pose (geometry_msgs/msg/PoseStamped)']


def test_a_contract_that_is_refused_is_one_line_and_exit_code_one(tmp_path, capsys):
    text = (ROBOTS / 'arm6.yaml').read_text().replace('rate_hz: 15', 'rate_hz: fast')
    (tmp_path / 'robot.yaml').write_text(text)
    assert main(['doctor', '--contract', str(tmp_path / 'robot.yaml')]) == 1
    said = capsys.readouterr()
    assert not said.out and said.err.count('\n') == 1 and "rate_hz is 'fast'" in said.err


def test_a_checkpoint_without_a_contract_to_check_it_with_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(doctor, 'find_all', lambda: pytest.fail('looked at the machine'))
    assert main(['doctor', '--model', 'models/my_task']) == 2
    said = capsys.readouterr()
    assert not said.out and said.err == (
        'dpr doctor: --model is models/my_task, which is checked against a contract; name the '
        '--contract too\n')
