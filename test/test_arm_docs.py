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

"""docs/gazebo.md and docs/real_arm.md: their commands, files, links and YAML are right."""

from pathlib import Path
import re
from textwrap import dedent

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = {name: (ROOT / 'docs' / f'{name}.md').read_text('utf-8') for name in (
    'gazebo', 'real_arm')}
BY_PAGE = pytest.mark.parametrize('name', PAGES)
SHARED = ''.join(path.read_text('utf-8') for path in
                 (ROOT / 'diffusion_policy_ros' / 'launching').glob('*.py'))


def commands(page):
    """Return the commands of a page, each on one line."""
    return re.findall(r'^ +((?:ros2 |driver\+?=\().*?[^\\])$', re.sub(r'\\\n\s*', '', page),
                      re.MULTILINE)


def slug(title):
    """Return the anchor of a heading."""
    return re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-')


@BY_PAGE
def test_every_launch_command_names_a_launch_file_and_its_arguments(name):
    found = [re.sub(r'"[^"]*"', 'x', command) for command in commands(PAGES[name])
             if 'diffusion_policy_ros' in command]
    assert len(found) > 2
    for command in found:
        launch = (ROOT / 'launch' / command.split()[3]).read_text('utf-8')
        for argument in re.findall(r'(\w+):=', command):
            shared = argument if not argument.endswith('_params_file') else '_params_file'
            assert f"'{shared}'" in launch + SHARED, f'{argument} of {command}'


def test_a_launch_for_a_real_arm_starts_its_driver_so_that_the_one_before_can_be_ended():
    found = [command for command in commands(PAGES['real_arm'])
             if 'real_arm.launch.py' in command]
    assert len(found) == 6
    for command in found:
        assert '"${driver[@]}"' in command
        assert not re.search('bringup|description|controllers', command)


def test_the_arguments_that_start_a_driver_are_those_of_the_launch_file():
    launch = (ROOT / 'launch' / 'real_arm.launch.py').read_text('utf-8')
    found = [re.sub(r'"[^"]*"', 'x', command) for command in commands(PAGES['real_arm'])
             if command.startswith('driver')]
    assert len(found) == 3
    for argument in re.findall(r'(\w+):=', ' '.join(found)):
        assert f"'{argument}'" in launch, argument


@BY_PAGE
def test_links_lead_to_files_and_sections(name):
    for target in re.findall(r'\]\((.*?)\)', PAGES[name]):
        path, _, anchor = target.partition('#')
        page = ROOT / 'docs' / path if path else ROOT / 'docs' / f'{name}.md'
        assert page.exists(), target
        if anchor:
            titles = re.findall(r'^#+ (.*)$', page.read_text('utf-8'), re.MULTILINE)
            assert anchor in map(slug, titles), target


@BY_PAGE
def test_files_that_are_named_exist(name):
    for path in re.findall(r'`((?:worlds|urdf|config|test)/[\w/.]+)`', PAGES[name]):
        assert (ROOT / path).exists(), path


def test_the_gripper_controllers_yaml_is_that_of_the_contract():
    block = re.search(r'^  ```yaml\n(.*?)^  ```', PAGES['real_arm'], re.MULTILINE | re.DOTALL)[1]
    controller, = yaml.safe_load(dedent(block))['follower'].keys() - {'controller_manager'}
    contract = yaml.safe_load((ROOT / 'config' / 'robots' / 'so101.yaml').read_text('utf-8'))
    assert contract['actions'][1]['topic'] == f'follower/{controller}/commands'


def test_the_parameters_of_a_slow_simulation_are_those_of_the_safety_node():
    block = re.search(r'^  ```yaml\n(.*?)^  ```', PAGES['gazebo'], re.MULTILINE | re.DOTALL)[1]
    (node, values), = yaml.safe_load(dedent(block)).items()
    shipped = yaml.safe_load((ROOT / 'config' / 'command_safety.yaml').read_text('utf-8'))[node]
    for name, value in values['ros__parameters'].items():
        assert type(value) is type(shipped['ros__parameters'][name]), name


def test_the_lag_that_is_told_is_that_of_the_files():
    gain = float(re.search(r'<position_proportional_gain>(.*?)<', (
        ROOT / 'urdf' / 'arm.ros2_control.xacro').read_text('utf-8'))[1])
    rate_hz = float(re.search(r'update_rate: (\d+)', (
        ROOT / 'config' / 'gazebo' / 'controllers.yaml').read_text('utf-8'))[1])
    told = ' '.join(PAGES['gazebo'].split())
    assert f'{gain:g}, and {rate_hz:g} Hz that is a lag of {1000 / gain / rate_hz:g} ms' in told
    assert f'default of 0.1 it would be {1000 / 0.1 / rate_hz:g} ms' in told


@BY_PAGE
def test_a_page_says_that_it_was_never_tried(name):
    words = {'gazebo': '**Neither has been run by us', 'real_arm': '**We have run none of it'}
    assert words[name] in PAGES[name]
