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


"""What ``dpr demo`` cannot do is refused in one line, before anything is started."""

import json
import math
import re

from diffusion_policy_ros.cli.demo_arguments import check_arguments
from diffusion_policy_ros.cli.main import build_parser, main
from diffusion_policy_ros.share import share_path
import pytest

pytest.importorskip('rclpy')


@pytest.fixture
def model(tmp_path):
    """Make a folder that looks like a checkpoint; its path."""
    (tmp_path / 'model').mkdir()
    for name in ('config.json', 'model.safetensors'):
        (tmp_path / 'model' / name).write_text('{}')
    return tmp_path / 'model'


def _refusal(capsys, *arguments, code=1):
    """Run the demo with arguments that it refuses; what it said."""
    assert main(['demo', *map(str, arguments)]) == code
    out, err = capsys.readouterr()
    assert not out and err.startswith('dpr demo: ') and err.count('\n') == 1
    return err


@pytest.mark.parametrize('arguments, words', [
    (['--rate', '25'], '--rate is 25; it must be a whole multiple'),
    (['--rate', '0'], '--rate is 0; it must be a whole multiple'),
    (['--rate', '-10'], '--rate is -10; it must be a whole multiple'),
    (['--rate', 'inf'], '--rate is inf; it must be a whole multiple'),
    (['--rate', 'nan'], '--rate is nan; it must be a whole multiple'),
    (['--rate', '2000'], '--rate is 2000; it must be .* at most 1000'),
    (['--episodes', '0'], '--episodes is 0; it must be at least 1'),
    (['--episodes', '9'], '9 episodes of 30 s are more than the 120 s'),
    (['--seconds-per-episode', 'nan'], '--seconds-per-episode is nan; it must be from 2 to 120'),
    (['--seconds-per-episode', '1e-9'], '--seconds-per-episode is 1e-09; it must be from 2 to'),
    (['--seconds-per-episode', 'inf'], '--seconds-per-episode is inf; it must be from 2 to 120'),
    (['--seed', '-1'], '--seed is -1; it must be from 0'),
    (['--seed', '99999999999'], '--seed is 99999999999; it must be from 0 to 2147483647'),
    (['--domain', '-1'], '--domain is -1; it must be from 0 to 101'),
    (['--domain', '300'], '--domain is 300; it must be from 0 to 101'),
    (['arm', '--episodes', '7'], '7 episodes of 20 s are more than the 120 s'),
    (['arm', '--view'], '--view: arm has no window'),
])
def test_what_cannot_work_is_refused_before_anything_starts(
        model, tmp_path, capsys, arguments, words):
    said = _refusal(capsys, '--model', model, '--out', tmp_path / 'report', *arguments, code=2)
    assert re.search(words, said)
    assert not (tmp_path / 'report').exists()


def test_a_shipped_model_that_is_not_there_is_refused_naming_the_remedy(
        monkeypatch, tmp_path, capsys):
    monkeypatch.setattr('diffusion_policy_ros.share.share_path', lambda *parts: (
        tmp_path if parts == ('models',) else share_path(*parts)))
    said = _refusal(capsys, 'arm', '--out', tmp_path / 'report')
    assert 'arm_pick_place is not there; train a policy as docs/arm.md says, and name its folder' \
        in said


def test_a_folder_that_is_no_checkpoint_is_refused_naming_what_it_lacks(
        model, tmp_path, capsys):
    said = _refusal(capsys, '--model', 'nowhere', '--out', tmp_path / 'report')
    assert '--model is nowhere, which is no folder' in said
    (model / 'model.safetensors').unlink()
    said = _refusal(capsys, '--model', model, '--out', tmp_path / 'report')
    assert 'which holds no model.safetensors; name a checkpoint folder' in said
    (model / 'config.json').unlink()
    assert 'no config.json and no model.safetensors' in _refusal(capsys, '--model', model)


def test_a_place_where_no_report_can_be_written_is_refused_before_the_episodes(
        model, tmp_path, capsys):
    (tmp_path / 'file').touch()
    for place in (tmp_path / 'file', tmp_path / 'file' / 'below', '/proc', '/proc/report'):
        said = _refusal(capsys, '--model', model, '--out', place)
        assert f'--out is {place}, where no report can be written' in said


@pytest.mark.parametrize('figures, told', [
    ({'success_rate': 0.742, 'episodes': 500}, '74.2% of 500 episodes solved'),
    ({'success_rate': 1, 'episodes': 'x'}, None), ({'success_rate': None, 'episodes': 5}, None),
    ({'success_rate': math.nan, 'episodes': 5}, None), ({'episodes': 5}, None), ([], None)])
def test_only_figures_that_can_be_true_are_told_of_a_model(model, figures, told):
    (model / 'eval.json').write_text(json.dumps(figures))
    plan = check_arguments(build_parser('demo').parse_args(['demo', '--model', str(model)]))
    assert plan.model_facts.get('measured') == told
