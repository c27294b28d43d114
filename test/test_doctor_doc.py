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

"""What docs/doctor.md quotes is said by the code, and the report in it is one of today's form."""

from pathlib import Path
import re

from diffusion_policy_ros.finding import LEVELS
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'doctor.md').read_text(encoding='utf-8')
SOURCES = ('evaluation/live/*.py', 'data/recording/*.py', 'observation/*.py', 'nodes/*.py',
           'control/controller_joints.py', 'dds_profile.py')
# Neighbouring texts in the code are one text.
CODE = re.sub(r"""['"]\s*\n\s*f?['"]""", '', '\n'.join(
    path.read_text('utf-8') for pattern in SOURCES
    for path in (ROOT / 'diffusion_policy_ros').glob(pattern)))
ROWS = [line for line in PAGE.splitlines() if line.startswith('| ') and '"' in line]
QUOTES = [quote for row in ROWS for quote in re.findall(r'"([^"]+)"', row)]


def test_the_page_has_its_table():
    assert len(QUOTES) > 20


@pytest.mark.parametrize('quote', QUOTES)
def test_what_the_page_quotes_is_said(quote):
    for part in filter(None, re.split(r'\.\.\.| 2 ', quote)):
        words = part.strip(' ,')
        assert not words or words in CODE, words


def test_the_report_in_the_page_counts_its_own_lines():
    report = re.search(r'    looking for nodes and topics\n((?:    .*\n)+)', PAGE).group(1)
    counts = [len(re.findall(rf'^    {level} ', report, re.M)) for level in LEVELS]
    assert report.rstrip().endswith(', '.join(
        f'{count} {level}' for count, level in zip(counts, LEVELS)))
