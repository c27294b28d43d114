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

"""The report holds what was measured, all in one file."""

import json
import re

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.evaluation.eval_curves import curves
from diffusion_policy_ros.evaluation.eval_report import Measured, write_folder
from diffusion_policy_ros.evaluation.eval_result import load_result
from diffusion_policy_ros.evaluation.evaluate import Evaluation
from diffusion_policy_ros.evaluation.paired import compare
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
import pytest

pytest.importorskip('av')
pytest.importorskip('matplotlib')


def measured(name, scores, *, records=None, live=None, is_whole=True, through_ros=False):
    """Return an evaluation of episodes of four steps."""
    results = tuple(EpisodeResult(seed, score, score >= 1, 4) for seed, score in enumerate(scores))
    settings = {'model': f'models/{name}', 'model_sha256': 'ab' * 32, 'sim': 'pusht',
                'through_ros': through_ros, 'sampler': {'solver': 'ddim'}, 'join': 'none'}
    return Measured(name, settings, Evaluation(results, 2.0, is_whole=is_whole),
                    curves(results, [[0, 0, 0, 0, score] for score in scores], rate_hz=10.0,
                           max_steps=4), records or {}, live or {})


def page(folder):
    """Return the page without its pictures and videos."""
    return re.sub(r'base64,[^"]*', 'base64,', (folder / 'report.html').read_text('utf-8'))


def test_all_that_was_measured_is_on_the_page(tmp_path, record):
    one = measured('new', [1.0, 0.5, 1.0], records={'best': record(2, seconds=1, top=0.9)})
    write_folder(tmp_path, one, facts={'machine': 'a <box>'})
    shown = page(tmp_path)
    for text in ('new in pusht', '66.7 (20.8 to 93.9) %', '0.833 (', 'abababababababab',
                 'In lock step', 'sampler.solver', 'ddim', 'a &lt;box&gt;', 'best.mp4',
                 'seed 9, best coverage 0.900', '<td>1</td><td>0.500</td><td>no</td>'):
        assert text in shown, text
    assert shown.count('data:image/png') == 2 and shown.count('data:video/mp4') == 1
    assert 'Comparison' not in shown and 'Stopped' not in shown
    assert not re.search(r'(src|href)="(http|//)', shown)
    assert (tmp_path / 'best.mp4').read_bytes()[4:8] == b'ftyp'
    figures = json.loads((tmp_path / 'eval.json').read_text())
    assert figures['success_rate'] == pytest.approx(2 / 3) and figures['join'] == 'none'
    assert figures['curves']['success'][-1][0] == pytest.approx(2 / 3, abs=1e-6)
    assert load_result(tmp_path).episodes == one.episodes


def test_a_comparison_shows_both_and_says_which_is_better(tmp_path):
    one, other = measured('new', [1.0] * 12), measured('old', [0.5] * 12)
    said = compare(('new', 'old'), one.episodes, other.episodes)
    write_folder(tmp_path, one, other, said)
    shown = page(tmp_path)
    assert 'new is better than old' in shown and said.sentence() in shown
    assert 'Only new solved 12, only old 0 of the episodes' in shown
    assert '<th>score new</th>' in shown and '<th>score old</th>' in shown
    assert json.loads((tmp_path / 'eval.json').read_text())['comparison']['only'] == [12, 0]


def test_a_stored_result_is_compared_with_too(tmp_path):
    one = measured('new', [1.0, 0.5])
    write_folder(tmp_path, one)
    stored = load_result(tmp_path)
    write_folder(tmp_path, one, stored, compare(('new', 'old'), one.episodes, stored.episodes))
    assert 'the episodes do not tell' in page(tmp_path)


def test_a_live_run_and_an_unfinished_one_say_so(tmp_path):
    write_folder(tmp_path, measured('new', [0.5], live={'commands per second': '99.9 of 100'},
                                    is_whole=False, through_ros=True))
    shown = page(tmp_path)
    assert 'Through ROS 2 in real time' in shown and '99.9 of 100' in shown
    assert 'Stopped before its end' in shown


def test_a_folder_that_became_a_file_is_an_error_with_its_name(tmp_path):
    (tmp_path / 'gone').touch()
    with pytest.raises(ConfigError, match='gone cannot be written'):
        write_folder(tmp_path / 'gone', measured('new', [0.5]))
