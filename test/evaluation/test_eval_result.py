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

"""Stored results are read back, and refused where they are none."""

import json
from pathlib import Path
import sys

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.eval_result import (
    check_same, check_seeds, differing_settings, is_result, load_result)
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))
from damaged_json import damaged, PYTHON  # noqa: E402,I100

GOOD = {'seed': 3, 'score': 0.5, 'success': False, 'steps': 7}


def written(path, *entries, **settings):
    """Write a result."""
    path.write_text(json.dumps({**settings, 'results': entries}))
    return path


def test_a_file_and_a_folder_are_read(tmp_path):
    file = written(tmp_path / 'eval.json', GOOD, sim='pusht', mean_score=0.5)
    for path in (file, tmp_path):
        assert is_result(path)
        found = load_result(path)
        assert found.name == str(path) and found.settings['mean_score'] == 0.5
        assert found.episodes == (EpisodeResult(3, 0.5, False, 7),)


def test_a_checkpoint_with_a_result_beside_it_is_a_checkpoint(tmp_path):
    written(tmp_path / 'eval.json', GOOD)
    (tmp_path / 'config.json').touch()
    assert not is_result(tmp_path) and is_result(tmp_path / 'eval.json')
    assert not is_result(tmp_path / 'none') and not is_result('x' * 300)


@pytest.mark.parametrize('text', [
    'x', '[]', '{}', '[3', '{"results": {}}', '{"results": null}', '1' * 9000,
    '{"results": []}', '{"results": [3]}', '{"results": [{"seed": 1}]}',
    json.dumps({'results': [GOOD, GOOD]}), '[' * 100_000, *(
        json.dumps({'results': [{**GOOD, **wrong}]}) for wrong in (
            {'score': 'much'}, {'score': float('nan')}, {'score': 1.5}, {'score': 10**400},
            {'score': True}, {'seed': -1}, {'steps': 1.5}, {'success': 1}))])
def test_what_is_no_result_is_refused_by_name(text, tmp_path):
    (tmp_path / 'x.json').write_text(text)
    with pytest.raises(DatasetError, match='x.json is no result of dpr eval: .*; name the file o'
                       ) as refused:
        load_result(tmp_path / 'x.json')
    assert not PYTHON.search(str(refused.value))


@pytest.mark.parametrize('entry, complaint', [
    ({**GOOD, 'score': 'much'}, r"results\[1\].score is 'much'; it must be a number from 0 to 1"),
    ({**GOOD, 'success': 1}, r'results\[1\].success is 1; it must be true or false'),
    ({'seed': 4}, r"results\[1\] is \{'seed': 4\}; it must hold seed, score, success, steps"),
    (None, r'results\[1\] is None; it must hold seed'),
    (GOOD, r'results\[1\].seed is 3, as in an episode before it')])
def test_an_episode_that_cannot_be_is_named_with_what_it_must_be(tmp_path, entry, complaint):
    with pytest.raises(DatasetError, match=complaint):
        load_result(written(tmp_path / 'x.json', GOOD, entry))


@pytest.mark.parametrize('count', [1, 3, 0, -2, 2.0, True, 'x', None, [], float('nan')])
def test_a_count_that_contradicts_the_episodes_is_refused_with_both(tmp_path, count):
    path = written(tmp_path / 'x.json', GOOD, {**GOOD, 'seed': 5}, episodes=count)
    with pytest.raises(DatasetError) as refused:
        load_result(path)
    assert f'episodes is {count!r}, but results holds 2;' in str(refused.value)


def test_any_damage_is_read_as_it_is_written_or_refused_in_words(tmp_path):
    stored = {'model': 'm', 'sim': 'pusht', 'threads': 1, 'loop': {'delay_ms': 0.0},
              'episodes': 2, 'mean_score_95': [0.2, 0.8], 'curves': {'score': [[0.1, 0.2]]},
              'results': [GOOD, {**GOOD, 'seed': 5, 'success': True}]}
    path = tmp_path / 'eval.json'
    good = load_result(written(path, *stored['results'], sim='pusht'))
    for place, document in damaged(stored):
        path.write_text(json.dumps(document))
        try:
            found = load_result(path)
            check_same(good, found.settings.get('sim'))
        except DatasetError as error:
            assert not PYTHON.search(str(error)), (place, str(error))
            assert str(tmp_path) in str(error), (place, str(error))
            continue
        assert not PYTHON.search(differing_settings(found.settings, good.settings))
        assert [vars(episode) for episode in found.episodes] == document['results']
        assert {(type(episode.seed), type(episode.success), type(episode.steps))
                for episode in found.episodes} == {(int, bool, int)}, place


def test_the_folder_of_a_stopped_run_and_a_missing_one_are_refused_in_words(tmp_path):
    assert is_result(tmp_path)
    with pytest.raises(DatasetError, match='holds no eval.json, .* that run was stopped'):
        load_result(tmp_path)
    for path in (tmp_path / 'none', 'x' * 300):
        with pytest.raises(DatasetError, match='does not exist; name the file or the folder'):
            load_result(path)


def test_settings_that_differ_are_named_with_both_values():
    first = {'model': 'a', 'sampler': {'solver': 'ddim', 'num_inference_steps': 5},
             'noise_images': 10.0, 'join': 'none', 'mean_score': 0.5, 'pair': (1, 2)}
    second = {'model': 'b', 'sampler': {'solver': 'ddim', 'num_inference_steps': 10},
              'noise_images': 0, 'mean_score': 0.9, 'pair': [1, 2]}
    assert differing_settings(first, {**second, 'join': 'none'}) == (
        'sampler.num_inference_steps 5 against 10, noise_images 10.0 against 0')
    assert differing_settings(first, first) == ''


def test_settings_that_only_one_result_tells_are_named():
    disturbed = {'model': 'a', 'loop': {'delay_ms': 100.0}, 'noise_vectors': 0.02, 'steps': 5}
    old = {'model': 'b', 'steps': 5, 'execute_horizon': 8}
    assert differing_settings(disturbed, old) == (
        'loop.delay_ms 100.0 against not told, noise_vectors 0.02 against not told, '
        'execute_horizon not told against 8')


def test_results_of_other_tasks_and_seeds_are_refused(tmp_path):
    stored = load_result(written(tmp_path / 'a.json', GOOD, {**GOOD, 'seed': 5}, sim='pusht'))
    check_seeds(stored, 'pusht', [5, 3])
    with pytest.raises(DatasetError, match='holds the seeds 3 to 5, but not 4, which is to run'):
        check_seeds(stored, 'pusht', [3, 4, 5])
    with pytest.raises(DatasetError, match='of the simulation pusht, not of arm'):
        check_same(stored, 'arm')
