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

"""Records of episodes: their figures, and the way through a file."""

from dataclasses import fields, replace
import json

from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.evaluation.demo_record import (
    load_record, number, percentiles, real_time_factor)
import numpy as np
import pytest


def test_figures_tell_what_the_episode_reached(record):
    figures = record(seconds=4, top=0.97).figures(10.0)
    assert figures['solved'] and figures['best_score'] == pytest.approx(0.97)
    assert figures['seconds'] == pytest.approx(4.0)
    assert figures['commands_per_s'] == pytest.approx(10.0)
    assert figures['latency_p50_ms'] == pytest.approx(100.0)
    assert not record(top=0.94).figures(10.0)['solved']
    assert not record(sim='arm_pick_place', top=0.97).figures(10.0)['solved']
    assert record(sim='arm_pick_place', top=1.0).figures(10.0)['solved']
    assert json.loads(json.dumps(figures)) == figures


def test_an_episode_in_which_nothing_came_has_figures_too(record):
    empty = np.empty(0, np.int64)
    silent = record(received_ns=empty, sent_ns=empty, latency_ns=empty, latency_ms=np.empty(0),
                    score_ns=empty, score=np.empty((0, 2)), notes=np.array(['no picture']))
    figures = silent.figures(10.0)
    assert figures['commands_per_s'] == 0.0 and figures['seconds'] == 0.0
    assert figures['latency_p50_ms'] is None and figures['best_score'] == 0.0
    assert figures['notes'] == ['no picture']


def test_a_record_comes_back_from_its_file(record, tmp_path):
    written = record(number=2, notes=np.array(['late', 'later']))
    written.save(tmp_path / 'episode.npz')
    read = load_record(tmp_path / 'episode.npz')
    for field in fields(written):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(written, field.name))
    assert isinstance(read.number, int)


def test_the_file_is_much_smaller_than_the_pictures_of_a_plain_scene(record, tmp_path):
    kept = record(seconds=20)
    kept.save(tmp_path / 'episode_0.npz')
    assert (tmp_path / 'episode_0.npz').stat().st_size < kept.pictures.nbytes / 10


def test_a_record_that_cannot_be_written_is_named(record, tmp_path):
    with pytest.raises(DatasetError, match='cannot keep the recorded episode .*gone/episode.npz'):
        record().save(tmp_path / 'gone' / 'episode.npz')


@pytest.mark.parametrize('content', [None, b'', b'not a zip file', b'PK\x03\x04 cut off'])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / 'episode.npz'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DatasetError, match='episode.npz.*run the demo again'):
        load_record(path)


def test_the_score_of_the_end_is_not_the_best_one(record):
    shown = record()
    score = shown.score.copy()
    score[-1, 0] = 0.1
    figures = replace(shown, score=score).figures(10.0)
    assert figures['score'] == pytest.approx(0.1)
    assert figures['best_score'] == pytest.approx(0.5)


def test_the_simulation_is_as_fast_as_its_scores_come(record):
    whole = record(seconds=4)
    slow = record(seconds=4, score_ns=whole.score_ns[::2], score=whole.score[::2])
    assert real_time_factor([whole]) == pytest.approx(1.0)
    assert real_time_factor([slow]) == pytest.approx(0.5)
    assert real_time_factor([whole, slow]) == pytest.approx(0.75)
    assert real_time_factor([record(score_ns=np.empty(0, np.int64), score=np.empty((0, 2)))]) \
        is None


def test_missing_figures_are_written_as_a_dash():
    assert percentiles([]) == [None, None]
    assert number(None) == '-' and number(1.25, 2) == '1.25'
