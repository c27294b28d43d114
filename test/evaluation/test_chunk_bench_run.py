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

"""Other libraries draw the chunk in a process of their own, and say why where they cannot."""

from functools import partial
import os
import sys
from types import SimpleNamespace

from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.evaluation import chunk_bench
from diffusion_policy_ros.evaluation.chunk_bench import chunk_difference, OwnPolicy, Setting
from diffusion_policy_ros.evaluation.chunk_bench_lerobot import answer, DiffusersLoop
from diffusion_policy_ros.evaluation.chunk_bench_policy import (
    bench_config, random_noise, random_window, untrained_policy)
from diffusion_policy_ros.evaluation.chunk_bench_run import check_plan, ChunkBench, ChunkPlan
from diffusion_policy_ros.evaluation.roofline import MachineLimits
from diffusion_policy_ros.policy import Policy
from diffusion_policy_ros.policy.checkpoint import Checkpoint, export_checkpoint
from diffusion_policy_ros.policy.export.writing import export_policy
import pytest
import torch

torch.set_num_threads(1)

PYTHON = os.environ.get('DPR_LEROBOT_PYTHON')
LIMITS = MachineLimits(1e10, {'float32': 1e11, 'bfloat16': 1e11})
# The scheduler of a library that is not there: Eq. 12 of arXiv:2010.02502 with eta 0, under the
# schedule of Eq. 17 of arXiv:2102.09672, for networks that predict clean chunks.
DIFFUSERS = """
import math
from types import SimpleNamespace
import torch


class DDIMScheduler:
    def __init__(self, *, num_train_timesteps, prediction_type, clip_sample_range, **_):
        assert prediction_type == 'sample'
        self.count, self.limit = num_train_timesteps, clip_sample_range
        bars = [math.cos((k / self.count + 0.008) / 1.008 * math.pi / 2) ** 2
                for k in range(self.count + 1)]
        self.bars = [1.0]  # that of clean data first
        for before, after in zip(bars, bars[1:]):
            self.bars.append(self.bars[-1] * max(after / before, 0.001))

    def set_timesteps(self, num_inference_steps, device):
        self.stride = self.count // num_inference_steps
        self.timesteps = torch.arange(num_inference_steps).flip(0) * self.stride

    def step(self, clean, t, chunk):
        now, then = self.bars[t + 1], self.bars[max(t + 1 - self.stride, 0)]
        noise = (chunk - now ** 0.5 * clean) / (1 - now) ** 0.5
        clean = clean.clamp(-self.limit, self.limit)
        return SimpleNamespace(prev_sample=then ** 0.5 * clean + (1 - then) ** 0.5 * noise)
"""


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch):
    """Wait for no threads, and warm nothing up."""
    monkeypatch.setattr(chunk_bench, 'PAUSE_S', 0)
    monkeypatch.setattr(chunk_bench, 'WARM_UP_CHUNKS', 0)


@pytest.fixture(scope='module')
def policy():
    """Return a small policy without cameras."""
    return untrained_policy(bench_config((16, 32), cameras=0, image_size=None, horizon=8))


def plan_of(**changes):
    """Return a short plan."""
    return ChunkPlan(**{'solver': 'ddim', 'evaluations': (10,), 'candidates': (1,),
                        'precisions': ('float32',), 'backends': (), 'repeats': 1,
                        'python': sys.executable,
                        **changes})


def rows_of(policy, folder, **changes):
    """Measure; return the bench and its rows by name and setting."""
    bench = ChunkBench(plan_of(**changes), LIMITS, folder)
    return bench, {(row.name, row.setting): row for row in bench.measure('small', policy)}


def stub(folder, script):
    """Write an interpreter that does something else, and return its path."""
    path = folder / 'python'
    path.write_text(f'#!{sys.executable}\n{script}')
    path.chmod(0o755)
    return str(path)


def test_a_plain_loop_with_the_scheduler_of_another_library_draws_the_same_chunk(
        policy, tmp_path, monkeypatch):
    (tmp_path / 'diffusers.py').write_text(DIFFUSERS)
    (tmp_path / 'lerobot.py').write_text('raise ImportError("not on this machine")')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    bench, rows = rows_of(policy, tmp_path, evaluations=(5, 10), candidates=(2,))
    for evaluations in (5, 10):
        row = rows['diffusers', Setting(evaluations, 2)]
        assert 0 < row.difference < 1e-5 and len(row.times_ms) == 1
        assert list(rows['served', row.setting].ratios) == ['plain', 'diffusers']
        assert rows['plain', row.setting].difference == 0
    assert bench.is_equal and bench.versions['torch'] == torch.__version__
    assert list(bench.notes) == ['lerobot takes no part: not on this machine']
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('dpr_bench')]


@pytest.mark.parametrize('own_model', [False, True])
def test_runtimes_draw_the_plain_chunk_of_an_untrained_policy_and_of_a_checkpoint(
        policy, tmp_path, save_tiny_policy, own_model):
    model = None
    if own_model:
        model = save_tiny_policy(num_inference_steps=2)
        export_policy(model, 'torchscript')
        policy = Policy.load(model)
    bench, rows = rows_of(policy, tmp_path, backends=('torchscript',), model=model, python=None)
    row = rows['served torchscript', Setting(10, 1)]
    assert row.difference < 1e-5 and list(row.ratios) == ['plain'] and bench.is_equal
    assert row.bound == rows['served', row.setting].bound


@pytest.mark.parametrize('solver', ['ddim', 'dpm_solver++'])
def test_the_schedulers_of_diffusers_visit_our_levels(policy, tmp_path, solver):
    pytest.importorskip('diffusers')
    window, noise = random_window(policy), random_noise(policy, 2)
    export_checkpoint(tmp_path / 'model', Checkpoint(
        policy.config, policy.normalizer.statistics, policy.state_dict(), None, policy.sampler))
    arguments = SimpleNamespace(checkpoint=tmp_path / 'model', device='cpu', solver=solver)
    loop = DiffusersLoop(arguments, {key: value.numpy() for key, value in window.items()},
                         noise.numpy())
    ours = OwnPolicy(policy, partial(policy.encode, window), solver, noise)
    for setting in (Setting(5, 2), Setting(10, 1)):
        told = answer(loop, 'cpu', {'evaluations': setting.evaluations,
                                    'candidates': setting.candidates})
        difference = chunk_difference(policy, torch.tensor(told['chunk']),
                                      ours.executable(setting))
        assert difference < 1e-5 and told['seconds'] > 0


def test_another_chunk_is_noticed_and_what_libraries_print_is_passed_over(policy, tmp_path):
    told = {'peers': ['lerobot'], 'versions': {'torch': '1'},
            'left_out': {'diffusers': 'of no use'}}
    chunk = torch.full((1, 7, 7), 0.5).tolist()
    python = stub(tmp_path, f"""
import json, sys
print('hello')
print(json.dumps({{'dpr': {told!r}}}), flush=True)
for line in sys.stdin:
    assert json.loads(line) == {{'peer': 'lerobot', 'evaluations': 10, 'candidates': 1}}
    print('a warning', json.dumps({{'dpr': {{'seconds': 0.25, 'chunk': {chunk!r}}}}}), sep='\\n',
          flush=True)
""")
    bench, rows = rows_of(policy, tmp_path, python=python)
    assert rows['lerobot', Setting(10, 1)].times_ms == (250,)
    assert not bench.is_equal and bench.versions == {'torch': '1'}
    left_out, warning = bench.notes
    assert left_out == 'diffusers takes no part: of no use'
    assert warning.startswith('WARNING: lerobot drew another chunk of small, 10 evaluations')


def test_an_error_of_the_other_process_is_one_sentence(policy, tmp_path):
    python = stub(tmp_path, 'import sys; sys.exit("first line\\nOSError: it is broken")')
    with pytest.raises(DiffusionPolicyError, match=r'could not draw chunks \(OSError: it is broken'
                                                   r'\); leave it out with --lerobot-python none'):
        rows_of(policy, tmp_path, python=python)
    assert [path.name for path in tmp_path.iterdir()] == ['python']


def test_an_interpreter_that_is_none_is_named(policy, tmp_path):
    with pytest.raises(DiffusionPolicyError, match="nowhere' cannot be started: No such file"):
        rows_of(policy, tmp_path, python=str(tmp_path / 'nowhere'))


def test_without_another_python_only_this_package_is_measured(policy, tmp_path):
    bench, rows = rows_of(policy, tmp_path, python=None, precisions=('bfloat16', 'float32'))
    assert [name for name, _ in rows] == ['served bfloat16', 'served', 'plain']
    bounds = [row.bound.read_ms for row in rows.values()]
    assert bounds[0] == pytest.approx(bounds[1] / 2) and bounds[1] == bounds[2]
    assert 'no Python was named' in ' '.join(bench.notes)


def test_lerobot_is_left_out_where_it_has_no_such_solver(policy, tmp_path):
    told = {'peers': [], 'left_out': {}, 'versions': {}}
    python = stub(tmp_path, f"""
import json, sys
assert '--lerobot' not in sys.argv
print(json.dumps({{'dpr': {told!r}}}), flush=True)
sys.stdin.read()
""")
    bench, _ = rows_of(policy, tmp_path, solver='dpm_solver++', python=python)
    assert 'lerobot takes no part: it has no dpm_solver++' in bench.notes


def test_rounding_is_told_and_refused_of_nobody(policy, tmp_path, monkeypatch):
    executable = OwnPolicy.executable

    def shifted(way, setting):
        return executable(way, setting) + 0.01 * (way.policy is not policy)

    monkeypatch.setattr(OwnPolicy, 'executable', shifted)
    bench, rows = rows_of(policy, tmp_path, python=None, precisions=('bfloat16',))
    assert rows['served bfloat16', Setting(10, 1)].difference == pytest.approx(0.01, rel=0.1)
    assert bench.is_equal
    bench, _ = rows_of(policy, tmp_path, python=None)
    assert not bench.is_equal


def test_settings_without_a_sampler_are_named(policy):
    check_plan(plan_of(evaluations=(4, 100)), policy.config)
    for evaluations, solver in ((2, 'ddim'), (101, 'ddim'), (101, 'dpm_solver++')):
        with pytest.raises(ConfigError, match=f'--evaluations {evaluations} with '):
            check_plan(plan_of(evaluations=(10, evaluations), solver=solver), policy.config)


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON, reason='DPR_LEROBOT_PYTHON names no Python with lerobot 0.6')
@pytest.mark.parametrize('model, cameras', [(None, 0), (None, 2), ('models/pusht_state', None)])
def test_lerobot_draws_the_same_chunk(tmp_path, model, cameras):
    policy = Policy.load(model) if model else untrained_policy(
        bench_config((16, 32), cameras=cameras, image_size=(48, 64), horizon=8))
    bench, rows = rows_of(policy, tmp_path, python=PYTHON, evaluations=(5, 10),
                          candidates=(1, 3), model=model)
    assert bench.is_equal and not bench.notes
    for name in ('diffusers', 'lerobot'):
        found = [row for (way, _), row in rows.items() if way == name]
        assert len(found) == 4 and all(row.difference < 1e-4 for row in found)
