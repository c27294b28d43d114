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

"""A run trains both stages, stops when asked and goes on exactly where it stopped."""

import json
import shutil

from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.training.batches import epoch_slice
from diffusion_policy_ros.training.loop import Interrupted
from diffusion_policy_ros.training.run import train
import numpy as np
import pytest
from safetensors.torch import load_file, save_file
import torch

PRETRAINED = ['pretraining.target=observation.environment_state', 'pretraining.steps=4',
              'pretraining.batch_size=9']


def run(dataset, out, config, resume=False, stop_after=None):
    """Train on the CPU, asking for a stop after some steps."""
    done = []

    def stop_requested():
        done.append(1)
        return len(done) == stop_after

    return train(dataset, out, config, device=torch.device('cpu'), resume=resume,
                 stop_requested=stop_requested)


def weights(out):
    """Read the published weights."""
    return load_file(out / 'model.safetensors')


def assert_equal_weights(one, other):
    """Compare two published policies bit for bit."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_leaves_a_policy_that_loads_and_samples(dataset, tmp_path, small_config):
    summary = run(dataset, tmp_path / 'model', small_config('steps=4'))
    assert 'trained 4 steps' in summary and 'validation_loss' in summary
    policy = Policy.load(tmp_path / 'model')
    window = {'observation.images.camera': np.zeros((1, 2, 32, 32, 3), np.uint8),
              'observation.state': np.full((1, 2, 2), 0.5, np.float32)}
    chunk = policy.sample(window, generator=torch.Generator().manual_seed(0))
    assert chunk.shape == (1, 8, 2) and torch.isfinite(chunk).all()
    assert policy.contract.robot == 'dot'


@pytest.mark.parametrize('stop_after', [2, 5, 7])
def test_a_stopped_run_resumes_to_the_same_weights(dataset, tmp_path, small_config, stop_after):
    config = small_config('steps=6', *PRETRAINED)
    run(dataset, tmp_path / 'whole', config)
    with pytest.raises(Interrupted, match='--resume'):
        run(dataset, tmp_path / 'halves', config, stop_after=stop_after)
    run(dataset, tmp_path / 'halves', config, resume=True)
    assert_equal_weights(tmp_path / 'whole', tmp_path / 'halves')


def test_end_to_end_training_resumes_to_the_same_weights(dataset, tmp_path, small_config):
    config = small_config('steps=4', 'policy.crop_shape=[28,28]')
    run(dataset, tmp_path / 'whole', config)
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'halves', config, stop_after=3)
    run(dataset, tmp_path / 'halves', config, resume=True)
    assert_equal_weights(tmp_path / 'whole', tmp_path / 'halves')


def test_a_frozen_encoder_keeps_its_pretrained_weights(dataset, tmp_path, small_config):
    short = small_config('steps=1', *PRETRAINED)
    long = small_config('steps=5', *PRETRAINED)
    run(dataset, tmp_path / 'short', short)
    run(dataset, tmp_path / 'long', long)
    first, second = weights(tmp_path / 'short'), weights(tmp_path / 'long')
    encoder = [key for key in first if '.rgb_encoder.' in key]
    assert encoder and all(torch.equal(first[key], second[key]) for key in encoder)
    assert not all(torch.equal(first[key], second[key]) for key in first)


def test_training_lowers_the_loss(dataset, tmp_path, small_config):
    def held_out_loss(steps):
        out = tmp_path / str(steps)
        summary = run(dataset, out, small_config(
            f'steps={steps}', 'learning_rate=3e-3', 'validate_every=500', 'checkpoint_every=500',
            *PRETRAINED, 'batch_size=24'))
        return float(summary.split('validation_loss ')[1].split(',')[0])

    assert held_out_loss(150) < 0.5 * held_out_loss(1)


def test_a_finished_or_stopped_run_is_not_overwritten(dataset, tmp_path, small_config):
    run(dataset, tmp_path / 'model', small_config('steps=1'))
    with pytest.raises(ConfigError, match='add --resume'):
        run(dataset, tmp_path / 'model', small_config('steps=1'))


def test_a_folder_that_is_no_run_is_left_alone(dataset, tmp_path, small_config):
    (tmp_path / 'model.run').mkdir()
    (tmp_path / 'model.run' / 'precious.txt').write_text('mine')
    with pytest.raises(ConfigError, match='something else than a training run'):
        run(dataset, tmp_path / 'model', small_config('steps=1'))
    assert (tmp_path / 'model.run' / 'precious.txt').read_text() == 'mine'


@pytest.mark.parametrize('config', ['[', 'steps', ''])
def test_damaged_settings_of_a_snapshot_are_named(dataset, tmp_path, small_config, config):
    settings = small_config('steps=3')
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', settings, stop_after=1)
    facts = tmp_path / 'model.run' / 'snapshot.json'
    facts.write_text(json.dumps({**json.loads(facts.read_text()), 'config': config}))
    with pytest.raises(CheckpointError, match='snapshot.json: '):
        run(dataset, tmp_path / 'model', settings, resume=True)


@pytest.mark.parametrize('part', [
    'training.run.build_cache', 'training.diffusion_stage.TrainingWindows'])
def test_a_run_stopped_before_its_first_step_leaves_no_folder(
        dataset, tmp_path, small_config, monkeypatch, part):
    def interrupted(*_, **__):
        assert (tmp_path / 'model.run').is_dir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(f'diffusion_policy_ros.{part}', interrupted)
        run(dataset, tmp_path / 'model', small_config('steps=1'))
    assert not list(tmp_path.iterdir())


def test_a_run_that_fails_after_a_step_keeps_its_curves(dataset, tmp_path, small_config):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / 'model', small_config('steps=3'), device=torch.device('cpu'),
              resume=False, stop_requested=interrupt)
    assert list((tmp_path / 'model.run' / 'tensorboard').glob('events*'))


def test_a_resumed_run_stopped_before_its_first_step_keeps_its_snapshot(
        dataset, tmp_path, small_config, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    config = small_config('steps=2')
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', config, stop_after=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr('diffusion_policy_ros.training.run.build_cache', interrupted)
        run(dataset, tmp_path / 'model', config, resume=True)
    assert 'trained 2 steps' in run(dataset, tmp_path / 'model', config, resume=True)


def test_resume_with_another_dataset_is_refused(dataset, tmp_path, small_config, other_dataset):
    run(dataset, tmp_path / 'model', small_config('steps=1'))
    with pytest.raises(ConfigError, match='the dataset differs'):
        run(other_dataset, tmp_path / 'model', small_config('steps=1'), resume=True)


def test_a_checkpoint_whose_run_is_gone_is_not_replaced(dataset, tmp_path, small_config):
    run(dataset, tmp_path / 'model', small_config('steps=1'))
    before = (tmp_path / 'model' / 'model.safetensors').read_bytes()
    shutil.rmtree(tmp_path / 'model.run')
    with pytest.raises(ConfigError, match='holds a checkpoint.*another --out, or delete'):
        run(dataset, tmp_path / 'model', small_config('steps=2'))
    assert (tmp_path / 'model' / 'model.safetensors').read_bytes() == before
    assert not (tmp_path / 'model.run').exists()


def test_a_place_that_cannot_hold_a_checkpoint_is_refused_before_training(
        dataset, tmp_path, small_config):
    (tmp_path / 'file').touch()
    with pytest.raises(CheckpointError, match='file is a file; choose another folder'):
        run(dataset, tmp_path / 'file', small_config('steps=1'))
    with pytest.raises(CheckpointError, match='is not empty and no checkpoint'):
        run(dataset, tmp_path, small_config('steps=1'))
    with pytest.raises(ConfigError, match='cannot be written to'):
        run(dataset, tmp_path / 'file' / 'model', small_config('steps=1'))


def test_a_run_killed_before_it_published_its_last_step_publishes_when_resumed(
        dataset, tmp_path, small_config, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    config = small_config('steps=2', 'validation_episodes=0')
    run(dataset, tmp_path / 'whole', config)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Policy, 'save', killed)
        run(dataset, tmp_path / 'model', config)
    run(dataset, tmp_path / 'model', config, resume=True)
    assert_equal_weights(tmp_path / 'whole', tmp_path / 'model')


def test_a_disk_that_fills_while_saving_keeps_the_last_snapshot(
        dataset, tmp_path, small_config, monkeypatch):
    def fill(_, path):
        path.write_bytes(b'half')
        raise OSError('No space left on device')

    config, saved = small_config('steps=6', 'checkpoint_every=2'), []
    run(dataset, tmp_path / 'whole', config)

    def save_twice(tensors, path):
        saved.append(path)
        (save_file if len(saved) < 3 else fill)(tensors, path)

    with monkeypatch.context() as patch:
        patch.setattr('diffusion_policy_ros.training.snapshot.save_file', save_twice)
        with pytest.raises(CheckpointError, match='No space left .* same command with --resume'):
            run(dataset, tmp_path / 'model', config)
    kept = {path.name for path in (tmp_path / 'model.run').iterdir()}
    assert kept == {'diffusion-00000004.safetensors', 'snapshot.json', 'tensorboard', 'train.yaml',
                    'history.jsonl'}
    run(dataset, tmp_path / 'model', config, resume=True)
    assert_equal_weights(tmp_path / 'whole', tmp_path / 'model')


def test_what_a_killed_snapshot_left_unfinished_is_removed(dataset, tmp_path, small_config):
    config = small_config('steps=3')
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', config, stop_after=1)
    (tmp_path / 'model.run' / 'diffusion-00000002.safetensors.part').touch()
    run(dataset, tmp_path / 'model', config, resume=True)
    assert not list((tmp_path / 'model.run').glob('*.part'))


@pytest.mark.parametrize('facts', ['{', '[]', '{}', '[' * 50_000, '{"stage": "diffusion"}'])
def test_damaged_facts_of_a_snapshot_are_named(dataset, tmp_path, small_config, facts):
    (tmp_path / 'model.run').mkdir()
    (tmp_path / 'model.run' / 'snapshot.json').write_text(facts)
    with pytest.raises(CheckpointError, match='snapshot.json .*delete the folder to start anew'):
        run(dataset, tmp_path / 'model', small_config('steps=3'), resume=True)


@pytest.mark.parametrize('damage', ['truncate', 'remove', 'facts'])
def test_a_damaged_snapshot_is_named(dataset, tmp_path, small_config, damage):
    config = small_config('steps=3')
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'model', config, stop_after=1)
    folder = tmp_path / 'model.run'
    tensors = folder / json.loads((folder / 'snapshot.json').read_text())['tensors']
    if damage == 'truncate':
        tensors.write_bytes(tensors.read_bytes()[:1000])
    elif damage == 'remove':
        tensors.unlink()
    else:
        (folder / 'snapshot.json').write_text('{')
    with pytest.raises(CheckpointError, match='model.run'):
        run(dataset, tmp_path / 'model', config, resume=True)


@pytest.mark.parametrize('within, said', [
    ('model', 'holds a checkpoint'), ('model/a/b', 'holds a checkpoint'),
    ('model.run', 'holds a run')])
def test_a_run_within_a_checkpoint_or_another_run_is_refused(
        dataset, tmp_path, small_config, within, said):
    run(dataset, tmp_path / 'model', small_config('steps=1'))
    with pytest.raises(ConfigError, match=f'{said}; choose a folder beside it'):
        run(dataset, tmp_path / within / 'sub', small_config('steps=1'))
    assert not (tmp_path / within / 'sub.run').exists()


def test_each_epoch_draws_every_row_at_most_once_and_shuffles_anew():
    rows = np.arange(100, 123)
    epochs = [np.concatenate([epoch_slice(rows, step, 5, seed=3) for step in steps])
              for steps in (range(4), range(4, 8))]
    for epoch in epochs:
        assert len(set(epoch)) == 20 and set(epoch) <= set(rows)
    assert not np.array_equal(*epochs)
