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

"""What a run writes down survives stops and resumes, and is drawn."""

import json
import sys
from types import SimpleNamespace

import cv2
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.training import record
from diffusion_policy_ros.training.config import TrainConfig
from diffusion_policy_ros.training.curves import draw_curves
from diffusion_policy_ros.training.record import check_wandb, Record
import pytest


def lines(folder):
    """Read a history."""
    return [json.loads(text) for text in (folder / 'history.jsonl').read_text().splitlines()]


def write(folder, last, *entries, config=None):
    """Write entries in one sitting."""
    sitting = Record(folder, config or TrainConfig(), last)
    for stage, step, figures in entries:
        sitting.add(stage, step, figures)
    sitting.draw()
    sitting.close()


def test_a_resumed_run_forgets_what_came_after_its_snapshot(tmp_path):
    write(tmp_path, None, ('pretraining', 2, {'loss': 3.0}), ('pretraining', 9, {'loss': 2.5}),
          ('diffusion', 2, {'loss': 2.0}), ('diffusion', 4, {'loss': 1.0}),
          ('diffusion', 4, {}))
    write(tmp_path, ('diffusion', 3), ('diffusion', 4, {'loss': 1.5}))
    assert [(line['stage'], line['step'], line['loss']) for line in lines(tmp_path)] == [
        ('pretraining', 2, 3.0), ('pretraining', 9, 2.5), ('diffusion', 2, 2.0),
        ('diffusion', 4, 1.5)]
    write(tmp_path, ('pretraining', 5))
    assert [line['step'] for line in lines(tmp_path)] == [2]


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path):
    write(tmp_path, None, ('diffusion', 2, {'loss': 2.0}))
    with open(tmp_path / 'history.jsonl', 'a') as file:
        file.write('{"stage": "diffu')
    write(tmp_path, ('diffusion', 2), ('diffusion', 3, {'loss': 1.0}))
    assert [line['step'] for line in lines(tmp_path)] == [2, 3]


def test_curves_are_drawn_at_the_start_of_a_resumed_run_and_at_each_checkpoint(
        tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(record, 'draw_curves', lambda lines, path: drawn.append(len(lines)))
    write(tmp_path, None, ('diffusion', 2, {'loss': 2.0}))
    write(tmp_path, ('diffusion', 2), ('diffusion', 4, {'loss': 1.0}))
    assert drawn == [0, 1, 1, 2]


@pytest.mark.parametrize('values', [
    [1.4, 1.1, 0.9], [0.00031, 0.00024, 0.00022], [3.0, 0.4, 0.2], [9.0, 0.1, 1e-5], [0.0, 1.0],
    [2.0, 0.21]])
def test_every_axis_has_numbers_where_its_values_are(tmp_path, monkeypatch, values):
    from matplotlib.figure import Figure
    drawn, draw = [], Figure.savefig
    monkeypatch.setattr(Figure, 'savefig', lambda figure, *args, **options: (
        draw(figure, *args, **options), drawn.append(figure)))
    draw_curves([{'stage': 'diffusion', 'step': step, 'loss': value,
                  'validation_action_mse': value} for step, value in enumerate(values)],
                tmp_path / 'curves.png')
    for axes in drawn[0].axes:
        low, high = axes.get_ylim()
        shown = [tick.get_text() for place, tick in zip(axes.get_yticks(), axes.get_yticklabels())
                 if low <= place <= high and tick.get_text()]
        assert len(set(shown)) >= 3 and len(shown) <= 12


def test_the_picture_has_a_panel_for_each_kind_of_figure(tmp_path):
    few = [{'stage': 'diffusion', 'step': step, 'loss': 1 / step, 'learning_rate': 1e-3}
           for step in (1, 2)]
    draw_curves(few, tmp_path / 'few.png')
    draw_curves([*few, {'stage': 'diffusion', 'step': 2, 'validation_action_mse': 0.0},
                 {'stage': 'diffusion', 'step': 2, 'rollout_score': 0.5}], tmp_path / 'more.png')
    heights = [cv2.imread(str(tmp_path / name)).shape[0] for name in ('few.png', 'more.png')]
    assert heights[1] == 2 * heights[0]
    draw_curves([], tmp_path / 'none.png')
    assert not (tmp_path / 'none.png').exists() and not list(tmp_path.glob('*.part'))


def test_weights_and_biases_gets_the_figures_and_one_run_over_all_sittings(
        tmp_path, monkeypatch):
    calls = []
    run = SimpleNamespace(log=lambda figures: calls.append(figures),
                          finish=lambda: calls.append('finish'))

    def init(**options):
        calls.append(options)
        return run

    monkeypatch.setitem(sys.modules, 'wandb', SimpleNamespace(init=init))
    config = TrainConfig(wandb_project='arms')
    check_wandb('arms')
    write(tmp_path, None, ('diffusion', 2, {'loss': 2.0}), config=config)
    write(tmp_path, ('diffusion', 2), config=config)
    first, logged, finish, second, _ = calls
    assert logged == {'diffusion/step': 2, 'diffusion/loss': 2.0} and finish == 'finish'
    assert first['project'] == 'arms' and first['resume'] == 'allow'
    assert first['id'] == second['id'] and first['config']['batch_size'] == 64


def test_a_missing_wandb_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, 'wandb', None)
    check_wandb(None)
    with pytest.raises(ConfigError, match="'arms', but .* wandb cannot be .*pip install wandb"):
        check_wandb('arms')
