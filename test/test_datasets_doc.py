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

"""The page on datasets: its contract fits the data it is for, its commands and keys exist."""

from dataclasses import fields
from pathlib import Path
import re
import shlex

from diffusion_policy_ros.cli.main import build_parser, COMMANDS
from diffusion_policy_ros.cli.pairs import parse_pairs
from diffusion_policy_ros.contract import parse_contract
import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared' / 'data' / 'pusht' / 'pusht_cchi_v7_replay.zarr'
PAGE = (ROOT / 'docs' / 'datasets.md').read_text(encoding='utf-8')
SECTION = PAGE[PAGE.index('## Train on data of others'):PAGE.index('## How rows are made')]


def commands():
    """Return the words of every command of the section."""
    lines = SECTION.replace('\\\n', ' ').splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith('    dpr ')]


def test_every_command_for_data_of_others_is_understood():
    found = commands()
    assert len(found) >= 5
    for words in found:
        build_parser(words[0]).parse_args(words)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f'no {SHARED}')
def test_the_contract_for_data_of_others_fits_them():
    pytest.importorskip('zarr')
    from diffusion_policy_ros.data.datasets.contracted import ContractedSource
    from diffusion_policy_ros.data.datasets.formats import open_dataset
    contract = parse_contract(re.search(r'```yaml\n(.*?)```', SECTION, re.DOTALL)[1])
    args = build_parser('convert').parse_args(commands()[0])
    source = ContractedSource(open_dataset(SHARED, rate_hz=args.rate, task=args.task), contract,
                              renames=parse_pairs('--rename', args.rename))
    task, rows = next(source.read_episodes())
    row = next(rows)
    assert task == 'Push the T.' and row['observation.images.camera'].shape == (96, 96, 3)
    assert row['observation.state'].shape == (5,) and row['action'].shape == (2,)


def test_every_key_of_a_mapping_is_explained():
    from diffusion_policy_ros.data.conversion.zarr_source import StreamMapping
    table = SECTION[SECTION.index('| key of a stream'):]
    assert re.findall(r'^\| `(\w+)` \|', table, re.MULTILINE) \
        == [field.name for field in fields(StreamMapping)]


def test_the_readme_names_every_command():
    text = ' '.join((ROOT / 'README.md').read_text(encoding='utf-8').split())
    listed = re.search(r'`dpr ([a-z| -]+) --help` show', text)[1].split(' | ')
    assert sorted(listed) == sorted(COMMANDS)
