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

"""Every option and every setting that a page names is there."""

import argparse
from dataclasses import fields
from pathlib import Path
import re

from diffusion_policy_ros.cli.main import build_parser, COMMANDS
from diffusion_policy_ros.config import PolicyConfig
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / 'docs').glob('*.md'))
OPTION = re.compile(r'(?<![\w-])--[a-z][\w.-]*')
SETTING = re.compile(r'--set ([a-z][\w.]*)=')
# Options of other programs: ROS 2, LeRobot, docker, torchrun and TensorBoard.
FOREIGN = {
    '--activate', '--all-services', '--all-topics', '--deactivate', '--field', '--inactive',
    '--once', '--params-file', '--ros-args', '--share', '--show-args', '--use-sim-time',
    '--policy.path', '--network', '--read-only', '--rm', '--tmpfs', '--user', '--no-python',
    '--nproc-per-node', '--logdir'}


def options_of(parser):
    """Return the options of a parser, and of the commands below it."""
    found = {text for action in parser._actions for text in action.option_strings}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found.update(*(options_of(below) for below in action.choices.values()))
    return found


@pytest.fixture(scope='module')
def options():
    """Return the options of all commands."""
    return set().union(*(options_of(build_parser(command)) for command in COMMANDS))


@pytest.fixture(scope='module')
def settings():
    """Return the settings of ``dpr train`` and of the imports, under their dotted names."""
    config = pytest.importorskip('diffusion_policy_ros.training.config')
    policy = {field.name for field in fields(PolicyConfig)}
    groups = {f'{name}.{field.name}' for name, cls in config.GROUPS.items()
              for field in fields(cls)}
    return {field.name for field in fields(config.TrainConfig)} | groups | policy | {
        f'policy.{name}' for name in policy}


@pytest.mark.parametrize('page', PAGES, ids=lambda path: path.name)
def test_what_a_page_names_is_there(page, options, settings):
    text = page.read_text('utf-8')
    assert set(OPTION.findall(text)) <= options | FOREIGN
    assert set(SETTING.findall(text)) <= settings
