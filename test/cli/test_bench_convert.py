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

"""`dpr bench convert` measures real conversions, and tells what cannot be measured."""

import json
import sys

from diffusion_policy_ros.cli import bench_convert
from diffusion_policy_ros.cli import main as dpr
from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.evaluation import bench_plain
from diffusion_policy_ros.evaluation.bench_bag import (
    bench_contract, FRAME_BYTES, LAG_S, write_bench_bag)
import pyarrow.parquet as pq
import pytest


@pytest.mark.slow
def test_the_bench_measures_each_way_and_writes_files(tmp_path, capsys):
    out = tmp_path / 'deep' / 'out'
    assert dpr.main(['bench', 'convert', '--gigabytes', '0.04', '0.02', '--out', str(out)]) == 0
    printed = capsys.readouterr().out
    assert f'{out}: convert.json, convert.md' in printed
    assert sorted(path.name for path in out.iterdir()) == ['convert.json', 'convert.md']
    told = json.loads((out / 'convert.json').read_text())
    assert [row['what'] for row in told['runs']] == 2 * [
        'rosbags alone', 'rosbags + PyAV', 'dpr convert']
    for row in told['runs']:
        assert row['gigabytes'] == pytest.approx(0.04 if row['duration_s'] > 0.5 else 0.02, 0.05)
        assert row['megabytes_per_s'] == pytest.approx(row['gigabytes'] * 1e3 / row['seconds'])
        assert row['real_time_factor'] == pytest.approx(row['duration_s'] / row['seconds'])
        assert 20e6 < row['private_bytes'] < row['peak_bytes'] < 2e9
        assert 0 < row['cpu_s'] < 100
        assert (row['output_bytes'] > 10_000) == (row['what'] != 'rosbags alone')
    ours = [row['peak_bytes'] for row in told['runs'] if row['what'] == 'dpr convert']
    assert told['growth_bytes'] == ours[0] - ours[1]
    report = (out / 'convert.md').read_text()
    assert '| dpr convert | 0.04 |' in report
    large = {row['what']: row for row in told['runs'][:3]}
    speed = {what: row['megabytes_per_s'] for what, row in large.items()}
    sentences = [
        f'times real time, {speed["dpr convert"]:.0f} MB/s, which is '
        f'{speed["dpr convert"] / speed["rosbags alone"]:.2f} times as fast as rosbags alone '
        f'({speed["rosbags alone"]:.0f} MB/s) and '
        f'{speed["dpr convert"] / speed["rosbags + PyAV"]:.2f} times as fast as rosbags + PyAV',
        f'; peak memory {ours[0] / 1e6:.0f} MB',
        'from 0.02 to 0.04 GB, the peak memory of dpr convert grows by '
        f'{(ours[0] - ours[1]) / 1e6:+.0f} MB']
    assert all(sentence in printed and sentence in report for sentence in sentences)


def test_help_explains_every_figure(capsys):
    with pytest.raises(SystemExit):
        dpr.main(['bench', 'convert', '--help'])
    said = ' '.join(capsys.readouterr().out.split())
    for words in ('Times real time: ', 'MB/s: ', 'Peak memory: ', 'growth of the peak memory',
                  '"rosbags alone" reads', 'The plain loop makes', 'lerobot', '0.25 1.0'):
        assert words in said


def test_the_bag_is_as_large_and_as_fast_as_it_is_said_to_be(tmp_path):
    """Two cameras at 30 Hz, joints and commands at 100 Hz, and a lag that the converter finds."""
    duration_s = write_bench_bag(tmp_path / 'bag', 180 * FRAME_BYTES)
    assert duration_s == pytest.approx(3.0)
    with open_bag(tmp_path / 'bag') as bag:
        assert {topic: count for topic, (_, count) in bag.topics.items()} == {
            '/wrist/image_raw': 90, '/front/image_raw': 90, '/joint_states': 300,
            '/joint_commands': 300}
    summary = convert_bags([tmp_path / 'bag'], tmp_path / 'dataset', progress=False)
    assert (summary.rows, summary.episodes, summary.notes) == (90, 1, [])
    assert summary.lags[0].lag_ms == pytest.approx(1e3 * LAG_S, abs=3)
    assert bench_contract().rate_hz == 30


def test_the_plain_loop_writes_every_row(tmp_path, monkeypatch):
    """It is compared with, so it has to do the work."""
    write_bench_bag(tmp_path / 'bag', 40 * FRAME_BYTES)
    monkeypatch.setitem(sys.modules, 'lerobot.datasets.lerobot_dataset', None)
    assert bench_plain.plain_loop(tmp_path / 'bag', tmp_path / 'out') == 'rosbags + PyAV'
    assert pq.read_table(tmp_path / 'out/rows.parquet').num_rows == 20
    assert len(list((tmp_path / 'out').glob('*.mp4'))) == 2


@pytest.mark.parametrize('size', ['0', '0.01', '1000', 'nan'])
def test_sizes_that_cannot_be_are_refused(tmp_path, size, capsys):
    assert dpr.main(['bench', 'convert', '--gigabytes', size, '--out', str(tmp_path)]) == 2
    assert f'--gigabytes is {float(size):g}; it must be from 0.02 to 100' \
        in capsys.readouterr().err


def test_a_way_that_fails_is_told_and_nothing_is_left(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench_convert, 'PLAIN', 'diffusion_policy_ros.no_such_module')
    assert dpr.main(['bench', 'convert', '--gigabytes', '0.02', '--out', str(tmp_path)]) == 1
    assert 'no_such_module' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_memory_of_children_counts(tmp_path):
    """A child that takes 100 MB while its parent takes none."""
    code = ('import subprocess, sys; subprocess.run([sys.executable, "-c", '
            '"x = bytearray(100_000_000); input()"], input=b"\\n", check=True)')
    (tmp_path / 'parent.py').write_text(code)
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setenv('PYTHONPATH', str(tmp_path))
        patch.setattr(bench_convert, 'WATCH_PERIOD_S', 0.001)
        _, used = bench_convert._run_watched(['parent'])
    assert used['private_bytes'] > 90e6
