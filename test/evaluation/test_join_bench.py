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
"""The comparison of joins: its figures by hand, and its commands in both kinds of runs."""

import csv

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.evaluation.evaluate import Evaluation
from diffusion_policy_ros.evaluation.join_bench import JoinBench, smoothness
from diffusion_policy_ros.evaluation.join_bench_report import cells, COLUMNS, write_bench
from diffusion_policy_ros.evaluation.rollout import EpisodeResult
import numpy as np
import pytest


def _evaluation(scores, traces=()):
    episodes = tuple(EpisodeResult(seed, score, score > 0.9, 10)
                     for seed, score in enumerate(scores))
    return Evaluation(episodes, 1.0, tuple(traces))


def test_steps_and_jerks_are_told_apart_by_whether_a_border_is_in_them():
    path = np.cumsum([[1.0, 0.0]] * 12, axis=0)
    path[6:] += (0.0, 3.0)  # a jump where the second plan takes over
    found = smoothness([(list(path), [0, 6])], period_s=0.5)
    assert found.border_step == pytest.approx(np.hypot(1, 3)) and found.step == pytest.approx(1)
    # the third differences of a unit step are 1, -2, 1
    assert found.border_jerk == pytest.approx(3 * np.sqrt((1 + 4 + 1) / 3) / 0.5 ** 3)
    assert found.jerk == pytest.approx(0, abs=1e-9)


def test_waiting_at_the_start_and_gaps_are_no_movement():
    row = np.array([0.2, 0.3])
    found = smoothness([([None, None, row, row, None, *[row] * 9], [2, 5])], period_s=0.1)
    assert (found.border_step, found.step, found.border_jerk, found.jerk) == (0, 0, 0, 0)
    nothing = smoothness([([None, None], [])], period_s=0.1)
    assert np.isnan(nothing.step) and np.isnan(nothing.border_jerk)


def test_losses_are_paired_by_episode_and_held_against_the_first_row():
    scores = {('none', 0.0): [1.0, 0.5, 0.9, 0.8], ('rtc', 200.0): [0.9, 0.4, 0.8, 0.7]}
    bench = JoinBench(lambda join, delay, progress: _evaluation(scores[join, delay]), 10.0)
    base, row = bench.measure('none', 0.0), bench.measure('rtc', 200.0)
    assert base.loss == 0 and base.loss_95 is None
    assert row.loss == pytest.approx(0.1)
    assert cells(row)[:4] == ('rtc', '200', '0.700', '-') and len(cells(row)) == len(COLUMNS)


def test_the_interval_of_a_loss_is_that_of_the_mean_difference():
    random = np.random.default_rng(1)
    scores = {'none': random.random(40), 'rtc': random.random(40)}
    bench = JoinBench(lambda join, delay, progress: _evaluation(scores[join].tolist()), 10.0)
    bench.measure('none', 0.0)
    lost = scores['none'] - scores['rtc']
    half = 1.96 * lost.std(ddof=1) / np.sqrt(40)
    assert bench.measure('rtc', 0.0).loss_95 == pytest.approx(
        (lost.mean() - half, lost.mean() + half), abs=1e-4)


def test_every_episode_and_the_table_are_written(tmp_path):
    path = list(np.random.default_rng(0).random((12, 2)))
    bench = JoinBench(lambda join, delay, progress: _evaluation(
        [1.0, 0.5], [(path, [0, 6])] * 2), 10.0)
    rows = [bench.measure(join, delay) for join in ('none', 'naive') for delay in (0.0, 200.0)]
    write_bench(tmp_path, rows, {'model': 'm'})
    lines = list(csv.DictReader(open(tmp_path / 'joins.csv', encoding='utf-8')))
    assert len(lines) == 8 and lines[0] == {
        'join': 'none', 'delay_ms': '0.0', 'seed': '0', 'score': '1.0', 'success': '1',
        'steps': '10'}
    table = (tmp_path / 'joins.md').read_text('utf-8')
    assert table.count('| naive |') == 2 and '| model | m |' in table
    assert (tmp_path / 'joins.png').read_bytes()[:4] == b'\x89PNG'


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    pytest.importorskip('gym_pusht')
    return save_tiny_policy(num_inference_steps=2)


def test_the_command_compares_joins_in_simulated_time(model, tmp_path, capsys):
    assert main(['bench', 'joins', str(model), '--episodes', '2', '--joins', 'rtc',
                 '--delays-ms', '100', '--out', str(tmp_path / 'out')]) == 0
    rows = [line for line in (tmp_path / 'out' / 'joins.md').read_text('utf-8').splitlines()
            if line.startswith(('| none', '| rtc'))]
    assert [row.split(' | ')[:2] for row in rows] == [['| none', '0'], ['| rtc', '100']]
    capsys.readouterr()
    assert main(['bench', 'joins', str(model), '--episodes', '0']) == 2
    assert '--episodes is 0; it must be from 1' in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_compares_joins_over_ros(model, tmp_path):
    pytest.importorskip('rclpy')
    assert main(['bench', 'joins', str(model), '--ros', '--episodes', '1', '--joins', 'none',
                 '--delays-ms', '0', '--out', str(tmp_path / 'out')]) == 0
    line, = csv.DictReader(open(tmp_path / 'out' / 'joins.csv', encoding='utf-8'))
    # 30 s at 10 commands per second, less the time until the first plan
    assert line['seed'] == '100000' and 280 <= int(line['steps']) <= 300
