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

"""
LeRobot and this package draw the same chunk from the same folder, whoever wrote it.

LeRobot runs in an interpreter of its own: name it in the environment variable DPR_LEROBOT_PYTHON
(lerobot 0.6 with its extra "diffusion"). What it answers for the stored fixtures is stored too.
"""

import json
import os
from pathlib import Path
import subprocess

from diffusion_policy_ros.policy.checkpoint import export_checkpoint, read_checkpoint
from lerobot_cases import make_case
from lerobot_side import copy_fixture, differences, expected_of, FIXTURES, load, NAMES
import numpy as np
import pytest
import torch

torch.set_num_threads(1)
PYTHON = os.environ.get('DPR_LEROBOT_PYTHON')
ORACLE = Path(__file__).with_name('lerobot_oracle.py')
# Normalized units, relative above 1. LeRobot computes its schedule in float32, by which linear
# ones lose most: there a run in float64 lies 1.5e-5 from LeRobot's and 5e-7 from ours.
TOLERANCES = {'squaredcos_cap_v2': 1e-5, 'linear': 5e-5, 'scaled_linear': 5e-5}
SEEDS = range(100, 112)
needs_lerobot = [
    pytest.mark.skipif(not PYTHON, reason='DPR_LEROBOT_PYTHON names no Python with lerobot 0.6'),
    pytest.mark.timeout(1500)]


def assert_same(policy, inputs, expected):
    """Compare the answer of a policy with LeRobot's."""
    assert differences(policy, inputs, expected) < TOLERANCES[policy.config.beta_schedule]


def ask(*args):
    """Run LeRobot's side."""
    done = subprocess.run([PYTHON, str(ORACLE), *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Return the folder of policies with random configurations that LeRobot built and ran."""
    out = tmp_path_factory.mktemp('lerobot')
    cases = {str(seed): (seed, make_case(seed)) for seed in SEEDS}
    (out / 'cases.json').write_text(json.dumps(cases))
    ask('make', out / 'cases.json', out)
    return out


@pytest.mark.parametrize('name', NAMES)
def test_stored_answer_of_lerobot_is_drawn_here(tmp_path, name):
    policy = load(copy_fixture(name, tmp_path / name))
    inputs, expected = expected_of(FIXTURES / name / 'expected.npz')
    assert_same(policy, inputs, expected)
    normalized = policy.normalizer.normalize('action', torch.from_numpy(expected))
    clipped = normalized.abs() > 0.999 * policy.config.clip_sample_range
    assert clipped.float().mean() < 0.5  # clipped chunks would be alike without reason


@pytest.mark.parametrize('name', NAMES)
def test_what_is_exported_is_read_back_with_the_same_answer(tmp_path, name):
    folder = copy_fixture(name, tmp_path / 'theirs')
    export_checkpoint(tmp_path / 'ours', read_checkpoint(folder))
    inputs, expected = expected_of(folder / 'expected.npz')
    again = load(tmp_path / 'ours')
    assert_same(again, inputs, expected)
    first = load(folder)
    assert again.config == first.config and again.sampler == first.sampler
    theirs = {path.name for path in folder.iterdir()} - {
        'expected.npz', 'made_by_rule.json', 'unet.safetensors'}
    assert {path.name for path in (tmp_path / 'ours').iterdir()} == theirs


@pytest.mark.slow
@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.usefixtures('made')
class TestAgainstLerobot:
    """Random configurations, each built, trained a little and run by LeRobot itself."""

    pytestmark = needs_lerobot

    def test_its_folder_gives_its_chunk_here(self, made, seed):
        inputs, expected = expected_of(made / f'{seed}.npz')
        assert_same(load(made / str(seed)), inputs, expected)


@pytest.mark.slow
class TestFoldersWrittenHere:
    """LeRobot loads what is exported here and draws the same chunk."""

    pytestmark = needs_lerobot

    def test_lerobot_draws_the_same_chunk_from_an_exported_folder(self, made, tmp_path):
        runs = []
        for seed in SEEDS:
            export_checkpoint(tmp_path / str(seed), read_checkpoint(made / str(seed)))
            runs += [tmp_path / str(seed), made / f'{seed}.npz', tmp_path / f'{seed}.npz']
        ask('run', *runs)
        for seed in SEEDS:
            _, expected = expected_of(made / f'{seed}.npz')
            with np.load(tmp_path / f'{seed}.npz') as file:
                np.testing.assert_allclose(file['chunk'], expected, rtol=1e-6, atol=1e-6)
