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

"""The loop refuses steps that would spoil the weights, and tells how fast it goes."""

import json
import math
import time
from types import SimpleNamespace

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.training.config import TrainConfig
from diffusion_policy_ros.training.loop import Loop
from diffusion_policy_ros.training.stage import Stage
import pytest
import torch


class OneWeight(Stage):
    """Trains one weight."""

    name, steps, warmup_steps, gradient_clip_norm = 'stage', 4, 0, 1.0
    optimizer_options = {'lr': 1e-3, 'weight_decay': 0.0}

    def __init__(self, weight=0.0):
        self.trained = torch.nn.Module()
        self.trained.weight = torch.nn.Parameter(torch.tensor([weight]))
        self.modules = {'trained': self.trained}

    def loss(self, step, generator, share):
        return self.trained.weight.sum()


def run(folder, loss, weight):
    """Run a stage whose loss is given from the third step on."""
    class Spoilt(OneWeight):
        def loss(self, step, generator, share):
            return loss(self.trained.weight) if step > 1 else (0 * self.trained.weight).sum()

    stage = Spoilt(weight)
    loop = Loop(folder, TrainConfig(checkpoint_every=1),
                identity={'config': '', 'dataset': ''}, stop_requested=lambda: False)
    try:
        loop.run(stage)
    finally:
        loop.close()
        assert stage.trained.weight.item() == weight
        kept = [path.name for path in folder.glob('*.safetensors')]
        assert kept == ['stage-00000002.safetensors']


@pytest.mark.parametrize('loss, weight, said', [
    (lambda weight: weight.sqrt().sum(), 0.0, 'is 0 and its gradient.s norm inf at step 2'),
    (lambda weight: weight.log().sum(), -1.0, 'is nan and its gradient.s norm'),
    (lambda weight: (weight * 1e38).pow(2).sum(), 1.0, 'is inf and')])
def test_a_loss_or_gradient_that_is_not_finite_changes_no_weight_and_no_snapshot(
        tmp_path, loss, weight, said):
    with pytest.raises(DiffusionPolicyError, match=f'the loss of stage "stage" {said}'):
        run(tmp_path, loss, weight)


@pytest.mark.parametrize('spoilt', [math.inf, -math.inf, math.nan])
def test_a_figure_that_is_not_finite_is_never_the_best_and_told(tmp_path, capfd, spoilt):
    figures, published = iter([spoilt, 3.0, spoilt, 2.0]), []

    class Judged(OneWeight):
        best_by = ('error', -1)

        def validate(self):
            return {'error': next(figures)}

        def publish_best(self):
            published.append(loop.best['step'])

    loop = Loop(tmp_path, TrainConfig(validate_every=1), identity={'config': '', 'dataset': ''},
                stop_requested=lambda: False)
    loop.run(Judged())
    loop.close()
    assert published == [2, 4] and loop.best == {'figure': 'error', 'value': 2.0, 'step': 4}
    told = capfd.readouterr().err
    for step in (1, 3):
        assert f'error is {spoilt:g} after step {step}, so that these weights are not' in told


def test_the_speed_leaves_out_preparation_and_validation(tmp_path, monkeypatch):
    clock = SimpleNamespace(now_s=0.0, monotonic=time.monotonic)
    clock.perf_counter = lambda: clock.now_s
    monkeypatch.setattr('diffusion_policy_ros.training.loop.time', clock)

    class Slow(OneWeight):
        windows_per_step = 6

        def prepare(self, step):
            clock.now_s += 1000  # features are cached, networks compiled

        def loss(self, step, generator, share):
            clock.now_s += 2
            self.waited_s += 0.5
            return super().loss(step, generator, share)

        def validate(self):
            clock.now_s += 100
            return {}

    loop = Loop(tmp_path, TrainConfig(log_every=2, validate_every=1),
                identity={'config': '', 'dataset': ''}, stop_requested=lambda: False)
    loop.run(Slow())
    loop.close()
    lines = [json.loads(line) for line in (tmp_path / 'history.jsonl').read_text().splitlines()]
    assert [line['windows_per_s'] for line in lines] == [3.0, 3.0]
    assert [line['data_wait_share'] for line in lines] == [0.25, 0.25]
