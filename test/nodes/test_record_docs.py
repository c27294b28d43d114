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


"""docs/recording.md names every key, service, button, alarm and field, and none that is not."""

from pathlib import Path
import re

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.data.bags.episode_files import (  # noqa: E402,I100
    DISCARDED, NOTE, UNREPAIRED)
from diffusion_policy_ros.data.recording.alarm_book import ALARMS  # noqa: E402
from diffusion_policy_ros.nodes.record_keys import HELP, KEYS  # noqa: E402
from diffusion_policy_ros.nodes.recorder import ACTS  # noqa: E402
from diffusion_policy_ros.nodes.recorder_parameters import BUTTONS, PARAMETERS  # noqa: E402

TEXT = (Path(__file__).parents[2] / 'docs' / 'recording.md').read_text(encoding='utf-8')


def rows(section):
    """Return the cells of the rows of a section's table."""
    text = TEXT.partition(f'## {section}')[2].partition('\n## ')[0]
    lines = [line for line in text.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line.strip('|').split('|')] for line in lines[2:]]


def test_the_table_of_services_keys_and_buttons_is_what_the_programs_do():
    table = rows('Start and end an episode')
    assert {row[0].strip('`') for row in table} == {f'/recorder/{act}' for act in ACTS}
    keys = {row[1].strip('`'): row[0].strip('`').rpartition('/')[2] for row in table
            if len(row[1].strip('`')) == 1}
    assert keys == KEYS
    assert all(f'{key}: ' in HELP for key in [*KEYS, 'space', 'q'])
    assert {row[2].strip('`') for row in table} - {''} == set(BUTTONS)


def test_every_alarm_is_explained():
    assert [row[0].strip('`') for row in rows('Alarms')] == list(ALARMS)
    assert all(len(cell) > 20 for row in rows('Alarms') for cell in row[1:])


def test_parameters_and_places_that_are_named_exist():
    named = set(re.findall(r'`(\w+_(?:s|mb|ms|on|count|tolerance|minutes))`', TEXT))
    assert named - {'max_age_ms'} <= {spec.name for spec in PARAMETERS}
    assert all(f'bags/{name}/' in TEXT for name in (DISCARDED, UNREPAIRED))
    assert NOTE in TEXT
