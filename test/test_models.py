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
"""The shipped models load, and their cards and the table say what was measured."""

import json
from pathlib import Path

from diffusion_policy_ros.evaluation.eval_result import differing_settings, load_result
from diffusion_policy_ros.evaluation.intervals import bootstrap_interval, success_interval
import pytest

MODELS = Path(__file__).resolve().parents[1] / 'models'
FOLDERS = sorted(path.parent for path in MODELS.glob('*/config.json'))
LARGEST_BYTES = 20 * 2**20


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def model(request):
    """Return the folder of each shipped model."""
    return request.param


def figures(model):
    """Return what was measured, worked out anew from the episodes."""
    episodes = load_result(model / 'eval.json').episodes
    scores = [episode.score for episode in episodes]
    solved = sum(episode.success for episode in episodes)
    low, high = success_interval(solved, len(episodes))
    score_low, score_high = bootstrap_interval(scores)
    return {'rate': f'{100 * solved / len(episodes):.1f}',
            'rate_95': f'{100 * low:.1f} to {100 * high:.1f}',
            'score': f'{sum(scores) / len(scores):.3f}',
            'score_95': f'{score_low:.3f} to {score_high:.3f}'}


def test_the_card_and_the_table_say_what_was_measured(model):
    found = figures(model)
    card = (model / 'README.md').read_text('utf-8')
    assert f'**{found["rate"]} %** (95 % interval {found["rate_95"]} %)' in card
    assert f'**{found["score"]}** (95 % bootstrap interval {found["score_95"]})' in card
    table = (MODELS / 'README.md').read_text('utf-8')
    row, = (line for line in table.splitlines() if line.startswith(f'| [{model.name}]('))
    assert f'| {found["rate"]} ({found["rate_95"]}) |' in row
    assert f'| {found["score"]} ({found["score_95"]}) |' in row


def test_five_hundred_episodes_of_these_weights_were_measured(model):
    stored = json.loads((model / 'eval.json').read_text('utf-8'))
    seeds = [episode['seed'] for episode in stored['results']]
    assert seeds == list(range(100_000, 100_500))
    from diffusion_policy_ros.policy.checkpoint import weights_digest
    assert stored['model_sha256'] == weights_digest(model)


def test_what_the_shipped_results_tell_can_be_compared():
    """Files of earlier versions do not tell on what they were computed; all else is equal."""
    first, *others = (load_result(model / 'eval.json').settings for model in FOLDERS)
    for other in others:
        assert all('not told' in part for part in differing_settings(first, other).split(', ')
                   if part)


def test_the_model_loads_and_is_as_large_as_its_card_says(model):
    policy = pytest.importorskip('diffusion_policy_ros.policy.policy').Policy.load(model)
    millions = sum(p.numel() for p in policy.parameters()) / 1e6
    assert f'{millions:.2f} M weights' in (model / 'README.md').read_text('utf-8')
    assert (model / 'model.safetensors').stat().st_size < LARGEST_BYTES
