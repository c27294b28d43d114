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

"""The reference of parameters is that of the declarations, and the shipped files are complete."""

from pathlib import Path
import re

import pytest
import yaml

pytest.importorskip('rclpy')
pytest.importorskip('gym_pusht')
from diffusion_policy_ros.nodes.parameter_docs import document, main, SECTIONS  # noqa: E402,I100
from diffusion_policy_ros.parameter_spec import ParameterSpec  # noqa: E402

ROOT = Path(__file__).parents[2]
SPECS = [pytest.param(spec, id=f'{node}-{spec.name}')
         for node, _, specs in SECTIONS for spec in specs]
# What a name ends in, and what the description must say then.
UNITS = {'hz': r'\bHz\b', 'ms': r'\bms\b', 's': r'\bs\b|\bseconds\b', 'ns': r'\bns\b',
         'm': r'\bm\b', 'rad': r'\brad\b', 'rows': r'\b[Rr]ows?\b'}


def test_the_page_is_what_the_declarations_say(capsys):
    main()
    text = capsys.readouterr().out
    assert (ROOT / 'docs' / 'parameters.md').read_text(encoding='utf-8') == text, \
        'run: python -m diffusion_policy_ros.nodes.parameter_docs > docs/parameters.md'


@pytest.mark.parametrize('spec', SPECS)
def test_every_parameter_is_described_with_its_unit(spec):
    assert len(spec.description) > 8
    unit = UNITS.get(spec.name.rpartition('_')[2])
    assert unit is None or re.search(unit, spec.description), spec.description


@pytest.mark.parametrize('spec', SPECS)
def test_every_default_is_possible(spec):
    assert spec.refusal(spec.default) == ''


@pytest.mark.parametrize('node', ['recorder', 'pusht_sim', 'arm_sim', 'base_sim'])
def test_the_shipped_file_has_every_parameter_with_its_default(node):
    text = (ROOT / 'config' / f'{node}.yaml').read_text(encoding='utf-8')
    specs = next(specs for name, _, specs in SECTIONS if name == node)
    assert yaml.safe_load(text)[f'/**/{node}']['ros__parameters'] == {
        spec.name: spec.default for spec in specs}


def cells(*specs):
    """Return the cells of the parameters' rows, without the escapes of Markdown."""
    lines = document([('node', 'It.', specs)]).splitlines()
    rows = lines[lines.index('## node') + 6:]
    return [re.split(r' (?<!\\)\| ', f' {row[1:-1]} '.strip()) for row in rows]


def test_a_row_says_type_default_choices_and_when_it_changes():
    rows = cells(ParameterSpec('rate_hz', 1.0, 'Rate, Hz', 0.5, 2.0),
                 ParameterSpec('seed', 0, 'Seed', 0, 2**31 - 1, fixed=True),
                 ParameterSpec('mode', 'a', 'How', choices=('a', 'b'), read_only=True),
                 ParameterSpec('view', False, 'Look'))
    assert rows == [
        ['`rate_hz`', 'double', '`1.0`', '0.5 to 2.0', 'live', 'Rate, Hz'],
        ['`seed`', 'integer', '`0`', '0 to 2147483647', 'fixed while configured', 'Seed'],
        ['`mode`', 'string', '`"a"`', '`a`, `b`', 'at start', 'How'],
        ['`view`', 'boolean', '`false`', '', 'live', 'Look']]


def test_a_description_cannot_break_its_table_or_vanish_as_html():
    (row,) = cells(ParameterSpec('device', '', r'cuda:<n> | *all* \ none'))
    assert len(row) == 6
    assert row[5] == r'cuda:\<n> \| \*all\* \\ none'
