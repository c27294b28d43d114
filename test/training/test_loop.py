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

"""A step that would spoil the weights is refused before it is taken."""

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.training.config import TrainConfig
from diffusion_policy_ros.training.loop import Loop
from diffusion_policy_ros.training.stage import Stage
import pytest
import torch


def run(folder, loss, weight):
    """Run a stage with one weight whose loss is given from the third step on."""
    trained = torch.nn.Module()
    trained.weight = torch.nn.Parameter(torch.tensor([weight]))

    def loss_of(step, _generator, _share):
        return loss(trained.weight) if step > 1 else (0 * trained.weight).sum()

    loop = Loop(folder, TrainConfig(checkpoint_every=1),
                identity={'config': '', 'dataset': ''}, stop_requested=lambda: False)
    try:
        loop.run(Stage(
            name='stage', steps=4, modules={'trained': trained}, trained=trained,
            optimizer_options={'lr': 1e-3, 'weight_decay': 0.0}, warmup_steps=0,
            gradient_clip_norm=1.0, loss=loss_of))
    finally:
        loop.close()
        assert trained.weight.item() == weight
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
