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

"""Validation holds one batch at a time, whatever is held out, and its means are exact."""

import json

from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.training.run import train
from diffusion_policy_ros.training.validation import evenly_chosen, mean_figures
import numpy as np
import pytest
import torch


def test_chosen_rows_are_spread_evenly_and_never_more_than_wanted():
    rows = np.arange(1000, 2023)
    chosen = evenly_chosen(rows, 512)
    assert len(chosen) == 512 and chosen[0] == 1000 and chosen[-1] == 2022
    assert set(np.diff(chosen)) <= {1, 2, 3}
    assert np.array_equal(evenly_chosen(rows[:512], 512), rows[:512])


@pytest.mark.parametrize('batch_size', [1, 3, 7, 100])
def test_the_mean_over_batches_is_the_mean_over_rows(batch_size):
    values = np.random.default_rng(0).normal(size=20)
    rows = np.arange(3, 17)
    found = mean_figures(lambda batch: {'value': values[batch].mean()}, rows, batch_size)
    assert found == {'value': pytest.approx(values[rows].mean())}


def test_no_rows_give_no_figures():
    assert mean_figures(None, np.arange(0), 8) == {}


def test_no_forward_pass_of_a_run_sees_more_than_its_batch(
        dataset, tmp_path, small_config, monkeypatch):
    sizes = {'windows': [], 'frames': []}
    image_features, denoise = Policy.image_features, Policy.denoise

    def see_frames(policy, window, **options):
        sizes['frames'].append(sum(len(images.flatten(0, 1)) for images in window.values()))
        return image_features(policy, window, **options)

    def see_windows(policy, x_t, *others):
        sizes['windows'].append(len(x_t))
        return denoise(policy, x_t, *others)

    monkeypatch.setattr(Policy, 'image_features', see_frames)
    monkeypatch.setattr(Policy, 'denoise', see_windows)
    monkeypatch.setattr('diffusion_policy_ros.training.pretraining.FRAMES_PER_PASS', 5)
    config = small_config('steps=2', 'batch_size=5', 'pretraining.steps=2',
                          'pretraining.target=observation.environment_state',
                          'pretraining.batch_size=6')
    summary = train(dataset, tmp_path / 'model', config, device=torch.device('cpu'), resume=False,
                    stop_requested=lambda: False)
    assert 'validation_loss' in summary
    assert max(sizes['windows']) == 5 and max(sizes['frames']) == 6


def test_the_batch_size_changes_no_figure_of_validation(dataset, tmp_path, small_config):
    def first_figures(batch_size):
        out = tmp_path / str(batch_size)
        config = small_config('steps=1', 'learning_rate=1e-12', f'batch_size={batch_size}')
        train(dataset, out, config, device=torch.device('cpu'), resume=False,
              stop_requested=lambda: False)
        lines = out.with_name(f'{out.name}.run') / 'history.jsonl'
        return json.loads(lines.read_text().splitlines()[-1])

    few, many = first_figures(5), first_figures(12)
    assert few['validation_loss'] == pytest.approx(many['validation_loss'], rel=1e-5)
    assert few['validation_action_mse'] == pytest.approx(many['validation_action_mse'], rel=1e-4)
