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

"""The report of whole chunks: medians, ratios of pairs, the limit that holds."""

import json

from diffusion_policy_ros.evaluation.chunk_bench import ChunkRow, Setting
from diffusion_policy_ros.evaluation.chunk_bench_report import (
    cells, columns, EXPLAINED, OUTPUTS, row_figures, told, write_chunks)
from diffusion_policy_ros.evaluation.roofline import Roofline
import pytest

SHAPE = {'denoiser': 'unet', 'cameras': 0}


def row(name='served', network='64-128', **changes):
    """Return a row."""
    values = {'shape': SHAPE, 'setting': Setting(10, 1), 'times_ms': (4.0, 2.0, 3.0),
              'ratios': {'plain': [2.0, 3.0, 2.5], 'lerobot': [8.0, 10.0]},
              'difference': 2.5e-7, 'bound': Roofline(1.5, 0.5), **changes}
    return ChunkRow(network=network, name=name, **values)


def test_a_row_is_told_by_medians_ratios_of_pairs_and_the_limit_that_holds():
    assert dict(zip(columns(), cells(row()))) == {
        'network': '64-128', 'evaluations': '10', 'candidates': '1', 'what': 'served',
        'ms': '3.00', 'p99 ms': '3.98', 'times as fast as plain': '2.50 (2.00 to 3.00)',
        'times as fast as diffusers': '-', 'times as fast as lerobot': '9.00 (8.00 to 10.00)',
        'roofline ms': '1.50 (read)', 'of the roofline': '2.00', 'difference': '2.5e-07'}
    assert told(row(bound=Roofline(1.5, 6.0), ratios={'plain': [2.0]})) == (
        '64-128, 10 evaluations, 1 candidate(s), served: 3.00 ms, p99 3.98, 2.00 (2.00 to 2.00) '
        'times as fast as plain; 0.50 times the roofline of 6.00 ms (arithmetic); difference '
        '2.5e-07')


def test_the_files_hold_every_row_and_the_facts(tmp_path):
    rows = [row(), row('lerobot', ratios={}, times_ms=(30.0,)),
            row(setting=Setting(5, 16), network='256-512')]
    write_chunks(tmp_path, rows, {'torch': '2', 'commit': 'abc'}, ['diffusers takes no part'])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(OUTPUTS)
    document = json.loads((tmp_path / 'chunk.json').read_text())
    assert document['facts'] == {'torch': '2', 'commit': 'abc'}
    first, second, third = document['rows']
    assert first['times_ms'] == [4, 2, 3] and first['pairs']['plain'] == [2, 3, 2.5]
    assert first['ratios']['plain'] == {'median': 2.5, 'least': 2, 'greatest': 3}
    assert first['roofline_ms'] == 1.5 and first['bound'] == {'read_ms': 1.5,
                                                              'arithmetic_ms': 0.5}
    assert second['name'] == 'lerobot' and second['median_ms'] == 30 and not second['ratios']
    assert third['setting'] == {'evaluations': 5, 'candidates': 16}
    assert third['times_roofline'] == pytest.approx(row_figures(rows[0])['times_roofline'])
    page = (tmp_path / 'chunk.md').read_text()
    assert EXPLAINED in page and '- diffusers takes no part' in page and '| commit | abc |' in page
    assert sum(line.startswith(('| 64-128 |', '| 256-512 |')) for line in page.splitlines()) == 3
    assert page.count('denoiser unet, cameras 0') == 2
    assert (tmp_path / 'chunk.png').read_bytes().startswith(b'\x89PNG')
