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

"""``dpr modes`` as a user runs it."""

import json

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.share import share_path
import pytest

pytest.importorskip('torch')
pytest.importorskip('gym_pusht')
pytest.importorskip('matplotlib')


def test_the_shipped_policy_knows_both_answers(tmp_path, capsys):
    pytest.importorskip('torch').set_num_threads(1)
    out, figures = tmp_path / 'modes.png', tmp_path / 'modes.json'
    assert main(['modes', str(share_path('models', 'pusht_image')), '--samples', '60',
                 '--out', str(out), '--json', str(figures)]) == 0
    said = capsys.readouterr().out.strip()
    found = json.loads(figures.read_text())
    assert found['sentence'] == said
    assert '60 chunks for a table that is its own mirror image:' in said
    assert found['two_modes'] and 6 <= found['left'] <= 54
    # The measured groups are those on the left and on the right.
    agree = sum(bool(label) == is_left for label, is_left in zip(found['labels'],
                                                                 found['is_left']))
    assert max(agree, 60 - agree) >= 57
    assert out.read_bytes()[:4] == b'\x89PNG'


def test_less_noise_leaves_one_answer(tmp_path, capsys):
    pytest.importorskip('torch').set_num_threads(1)
    assert main(['modes', str(share_path('models', 'pusht_image')), '--samples', '20',
                 '--sampler', 'temperature=0.01', '--out', str(tmp_path / 'a.png')]) == 0
    said = capsys.readouterr().out
    assert 'one mode (p ' in said


@pytest.mark.parametrize('arguments, reason', [
    (('--samples', '5'), '--samples is 5; it must be from 10 to 10000'),
    (('--row', '5'), 'name the --dataset too'),
    (('--dataset', 'x', '--row', '1'), '--dataset needs --episode and --row'),
    (('--out', 'x.jpg'), 'the picture is a PNG'),
    (('--out', 'none/x.png'), '--out is none/x.png; name a file in a folder that exists'),
    (('--sampler', 'eta'), 'not of the form name=value')])
def test_what_cannot_be_is_refused_before_anything_is_loaded(arguments, reason, capsys, tmp_path,
                                                             monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(['modes', 'none', *arguments]) == 1
    assert reason in capsys.readouterr().err
