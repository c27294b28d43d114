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

"""``dpr bench train`` times real loops over the same windows, pair by pair."""

import importlib.util
import json
from pathlib import Path
import re

from diffusion_policy_ros.cli import bench_train
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.evaluation.train_bench import Pace, PlainLoop
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.training.config import load_train_config
import pytest

SETTINGS = [f'--set={text}' for text in (
    'batch_size=4', 'policy.vision_backbone=light_cnn', 'policy.down_dims=[16,32]',
    'policy.horizon=8', 'policy.n_action_steps=4', 'policy.num_train_timesteps=20')]


@pytest.fixture(scope='session')
def dataset(tmp_path_factory):
    """Write the small dataset of the training tests."""
    path = Path(__file__).parents[1] / 'training' / 'conftest.py'
    spec = importlib.util.spec_from_file_location('training_conftest', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_dataset(tmp_path_factory.mktemp('bench') / 'dataset')


@pytest.fixture(autouse=True)
def without_curves(monkeypatch):
    """Leave the picture of the curves out: drawing it takes longer than a small training."""
    monkeypatch.setattr('diffusion_policy_ros.training.record.draw_curves', lambda *_: None)


def bench(dataset, out, *more):
    """Run the bench on the CPU."""
    return main(['bench', 'train', str(dataset), '--out', str(out), '--device=cpu', '--steps=2',
                 '--workers=0', '--lerobot-python=none', *SETTINGS, *more])


def test_both_loops_are_timed_and_compared_pair_by_pair(dataset, tmp_path, capsys):
    assert bench(dataset, tmp_path / 'out', '--pairs=2') == 0
    printed = capsys.readouterr().out
    document = json.loads((tmp_path / 'out' / 'train.json').read_text())
    assert len(document['pairs']) == 2
    for number, pair in enumerate(document['pairs'], 1):
        ours, plain = (Pace(**pair[name]) for name in ('dpr train', 'plain DataLoader loop'))
        assert ours.windows_per_s > 0 and 0 <= ours.wait_share < 1 and 0 < plain.wait_share < 1
        ratio = ours.windows_per_s / plain.windows_per_s
        assert f'pair {number}: dpr train' in printed and f'ratio {ratio:.2f}' in printed
    report = (tmp_path / 'out' / 'train.md').read_text()
    assert 'times as fast' in report and 'batch_size: 4' in report
    gflop, gflops, allowed, share = map(float, re.search(
        r'roofline: (\S+) GFLOP a window.* and (\d+) GFLOP/s .* allow (\d+) .* reaches (\d+) %',
        report).groups())
    assert allowed == pytest.approx(gflops / gflop, rel=0.02) and 0 <= share < 100
    assert 'precision: float32' in report and re.search(r'- cache: \d+\.\d s to decode', report)
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['train.json', 'train.md']


def test_rollouts_of_the_settings_are_left_out(dataset, tmp_path):
    assert bench(dataset, tmp_path / 'out', '--pairs=1', '--set=rollouts.sim=pusht',
                 '--set=rollouts.every=1') == 0


def test_a_report_that_cannot_be_written_is_told(dataset, tmp_path, capsys):
    for name in ('train.json', 'train.md'):
        (tmp_path / name).mkdir()
        assert bench(dataset, tmp_path, '--pairs=1') == 1
        assert re.search(f'--out {tmp_path} cannot be written: .*Is a directory',
                         capsys.readouterr().err)
        (tmp_path / name).rmdir()
        assert not list(tmp_path.glob('*.tmp'))


def test_the_plain_loop_lets_the_networks_learn(dataset, tmp_path, monkeypatch):
    seen = []
    measure = PlainLoop.measure

    def watched(loop, steps):
        before = [p.detach().clone() for p in loop._policy.parameters()]
        pace = measure(loop, steps)
        seen.append([(p - q).abs().max().item()
                     for p, q in zip(loop._policy.parameters(), before)])
        return pace

    monkeypatch.setattr(PlainLoop, 'measure', watched)
    assert bench(dataset, tmp_path / 'out', '--pairs=1', '--steps=9') == 0  # more than an epoch
    assert len(seen) == 2 and all(min(changes) > 0 for changes in seen)


def test_all_loops_compute_in_float32_unless_a_setting_says_otherwise():
    assert bench_train._settings(load_train_config()).precision == 'float32'
    config = load_train_config(None, ['precision=bfloat16'])
    assert bench_train._settings(config).precision == 'bfloat16'


@pytest.mark.parametrize('precision', ['float32', 'bfloat16'])
def test_the_plain_loop_computes_in_the_same_precision(
        dataset, tmp_path, monkeypatch, precision):
    seen = {True: set(), False: set()}  # within the plain loop, and in ours
    step, denoise, plain = PlainLoop._step, Policy.denoise, []

    def plain_step(loop):
        plain.append(loop)
        try:
            return step(loop)
        finally:
            plain.pop()

    def watched(policy, *args):
        found = denoise(policy, *args)
        seen[bool(plain)].add(str(found.dtype))
        return found

    monkeypatch.setattr(PlainLoop, '_step', plain_step)
    monkeypatch.setattr(Policy, 'denoise', watched)
    assert bench(dataset, tmp_path / 'out', '--pairs=1', f'--set=precision={precision}') == 0
    assert seen == {True: {f'torch.{precision}'}, False: {f'torch.{precision}'}}


@pytest.mark.parametrize('more, said', [
    (['--set=precision=float16'], 'choose float32 or bfloat16'),
    (['--set=accumulation_steps=2'], 'leave out .* accumulation_steps'),
    (['--set=batch_size=100'], 'learns from 100 windows .*have only 36'),
    (['--lerobot-python=python'], 'LeRobot has no such networks')])
def test_what_cannot_be_compared_is_refused(dataset, tmp_path, capsys, more, said):
    assert bench(dataset, tmp_path / 'out', *more) == 1
    assert re.search(said, capsys.readouterr().err)


def test_medians_and_spans_are_told():
    told = bench_train._told([
        {'dpr train': Pace(100.0, 0.0), 'lerobot': Pace(20.0, 0.5)},
        {'dpr train': Pace(120.0, 0.1), 'lerobot': Pace(60.0, 0.4)},
        {'dpr train': Pace(90.0, 0.2), 'lerobot': Pace(30.0, 0.3)}])
    assert told == [
        'dpr train: 100 windows/s, waiting 10.0 % of the time',
        'lerobot: 30 windows/s, waiting 40.0 % of the time; dpr train is 3.00 times as fast '
        '(2.00 to 5.00)']
