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
from types import SimpleNamespace

from diffusion_policy_ros.cli import doctor
from diffusion_policy_ros.requirements import SERVING
import pytest


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
    assert not {'cv_bridge', 'cache'} & set(names)


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
    assert doctor.run(SimpleNamespace()) == code
    shown = capsys.readouterr().out
    assert ('repair it' in shown) == (level != 'OK')
    assert f'1 {level}' in shown


def test_every_level_in_the_table_is_a_known_one():
    tables = (*doctor.MODULES.values(), *doctor.ROS_MODULES.values())
    assert {level for level, _ in tables} <= set(doctor.LEVELS)
