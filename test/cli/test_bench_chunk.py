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

"""``dpr bench chunk`` as a user runs it: files, exit codes, mistakes, Ctrl-C."""

import json
from pathlib import Path

from diffusion_policy_ros import machine
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.evaluation import chunk_bench, chunk_bench_run, roofline
from diffusion_policy_ros.evaluation.chunk_bench import Setting
import pytest
import torch

torch.set_num_threads(1)

MODELS = Path(__file__).resolve().parents[2] / 'models'
FILES = ['chunk.json', 'chunk.md', 'chunk.png']
TINY = ['--down-dims', '16', '32', '--horizon', '8']


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    """Measure the machine coarsely, and wait for no threads."""
    monkeypatch.setattr(roofline, 'READ_BYTES', {'cpu': 2**20})
    monkeypatch.setattr(roofline, 'MATRIX_SIDE', {'cpu': 64})
    monkeypatch.setattr(chunk_bench, 'PAUSE_S', 0)


def bench(out, *words):
    """Run the bench on one thread of the CPU, without other libraries."""
    return main(['bench', 'chunk', *words, '--out', str(out), '--device=cpu', '--threads=1',
                 '--lerobot-python=none', '--repeats=2'])


def rows_of(out):
    """Return the rows of the report."""
    return json.loads((out / 'chunk.json').read_text())['rows']


def test_every_network_and_setting_is_measured(tmp_path, capsys):
    assert bench(tmp_path, *TINY, '--down-dims', '16', '32', '48', '--evaluations', '5', '10',
                 '--candidates', '3', '--precision', 'float32', 'bfloat16') == 0
    rows = rows_of(tmp_path)
    found = [(row['network'], row['setting']['evaluations'], row['setting']['candidates'],
              row['name']) for row in rows]
    assert found == [(network, evaluations, 3, name) for network in ('16-32', '16-32-48')
                     for evaluations in (5, 10) for name in ('served', 'served bfloat16', 'plain')]
    assert all(row['difference'] < 1e-5 for row in rows if row['name'] == 'served')
    assert len(rows[0]['times_ms']) == len(rows[0]['pairs']['plain']) == 2
    assert rows[0]['shape']['horizon'] == 8 and rows[0]['shape']['cameras'] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    printed, page = capsys.readouterr().out, (tmp_path / 'chunk.md').read_text()
    assert printed.count('times as fast as plain') == 8
    for fact in ('processor', 'cores', 'torch', 'threads | 1', 'date | 20', 'memory read',
                 'matrix products, bfloat16', 'solver | ddim'):
        assert f'| {fact}' in page


def test_cameras_are_seen_in_their_size(tmp_path):
    assert bench(tmp_path, *TINY, '--cameras', '2', '--image-size', '32', '48', '--solver',
                 'dpm_solver++', '--evaluations', '4') == 0
    shape = rows_of(tmp_path)[0]['shape']
    assert (shape['cameras'], shape['image size'], shape['backbone']) == (2, '32x48', 'resnet18')
    assert shape['encoder weights'] > 10_000_000  # one ResNet-18, which both share


def test_a_checkpoint_is_measured_as_it_is(tmp_path):
    assert bench(tmp_path, str(MODELS / 'pusht_image'), '--evaluations', '4') == 0
    served, plain = rows_of(tmp_path)
    assert served['network'] == 'pusht_image' and served['shape']['backbone'] == 'light_cnn'
    assert served['difference'] < 1e-5 and plain['name'] == 'plain'


def test_another_chunk_ends_with_three_and_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(chunk_bench_run, 'TOLERANCES', {'cpu': -1.0})
    assert bench(tmp_path, *TINY) == 3
    assert 'WARNING: served drew another chunk of 16-32' in capsys.readouterr().err
    assert 'WARNING: plain drew another chunk' in (tmp_path / 'chunk.md').read_text()


@pytest.mark.parametrize('cores, withheld, is_told', [
    (0.05, 0.01, False), (0.3, 0.0, True), (0.0, 0.1, True)])
def test_a_machine_that_was_not_idle_is_told(
        tmp_path, monkeypatch, capsys, cores, withheld, is_told):
    monkeypatch.setattr(machine.OtherPrograms, 'cores', lambda _: cores)
    monkeypatch.setattr(machine.WithheldTime, 'share', lambda _: withheld)
    assert bench(tmp_path, *TINY) == 0
    for text in (capsys.readouterr().err, (tmp_path / 'chunk.md').read_text()):
        assert ('WARNING: the machine was not idle' in text) == is_told
    assert f'{cores:.2f}' in (tmp_path / 'chunk.md').read_text()


def test_ctrl_c_keeps_what_was_measured(tmp_path, monkeypatch, capsys):
    measure = chunk_bench_run.measure_in_turn

    def interrupted(ways, setting, repeats):
        if setting == Setting(10, 1):
            raise KeyboardInterrupt
        return measure(ways, setting, repeats)

    monkeypatch.setattr(chunk_bench_run, 'measure_in_turn', interrupted)
    assert bench(tmp_path, *TINY, '--evaluations', '5', '10', '20') == 130
    assert [row['setting']['evaluations'] for row in rows_of(tmp_path)] == [5, 5]
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    capsys.readouterr()
    assert bench(tmp_path / 'none', *TINY, '--evaluations', '10') == 130
    assert capsys.readouterr().out == 'stopped before anything was measured\n'
    assert not list((tmp_path / 'none').iterdir())


@pytest.mark.parametrize('words, said', [
    (['--evaluations', '5', '0'], '--evaluations is 0; it must be from 1 to 1000'),
    (['--candidates', '2000'], '--candidates is 2000'),
    (['--repeats', '0'], '--repeats is 0'),
    (['--threads', '-1'], '--threads is -1'),
    (['--cameras', '1', '--image-size', '96', '3'], '--image-size is 3; it must be from 32'),
    (['--image-size', '96', '96'], '--image-size is given, but no camera; add --cameras 1'),
    (['--horizon', '12'], 'horizon is 12; with 3 levels'),
    (['--down-dims', '12'], 'down_dims is (12,); it needs'),
    (['--evaluations', '2'], '--evaluations 2 with ddim: start_timestep is 50'),
    (['--evaluations', '200'], '--evaluations 200 with ddim: at most one for each timestep of '
     'the training, of which there are 100'),
    ([str(MODELS / 'pusht_image'), '--cameras', '1'],
     '--cameras is for untrained policies, and a checkpoint has its own'),
    ([str(MODELS / 'pusht_image'), '--down-dims', '64'], '--down-dims is for untrained')])
def test_wrong_usage_exits_with_two_and_one_line(tmp_path, capsys, words, said):
    arguments = ['bench', 'chunk', *words, '--out', str(tmp_path / 'out')]
    assert main(arguments) == 2
    complaint = capsys.readouterr().err
    assert said in complaint and len(complaint.splitlines()) == 1
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('words, said', [
    ([str(MODELS / 'nowhere')], 'nowhere is no folder'),
    (['--device', 'cuda:77'], "device 'cuda:77' cannot be used here"),
    (['--out', '/dev/null/x'], 'cannot be made')])
def test_what_cannot_be_measured_exits_with_one_and_one_line(tmp_path, capsys, words, said):
    assert main(['bench', 'chunk', '--out', str(tmp_path / 'out'), *words]) == 1
    complaint = capsys.readouterr().err
    assert said in complaint and len(complaint.splitlines()) == 1


@pytest.mark.parametrize('words', [['--precision', 'int8'], ['--solver', 'rk4'],
                                   ['--evaluations', 'many']])
def test_words_that_are_none_exit_with_two(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['bench', 'chunk', *words])
    assert ended.value.code == 2 and words[1] in capsys.readouterr().err
