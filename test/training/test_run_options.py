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

"""What a run does when it is asked for more than the defaults."""

import dataclasses
import json
import shutil

from diffusion_policy_ros.data.cache import build_cache
from diffusion_policy_ros.errors import CheckpointError, ConfigError, DiffusionPolicyError
from diffusion_policy_ros.policy.policy import Policy
from diffusion_policy_ros.training import run as run_module
from diffusion_policy_ros.training.acceleration import Compiled
from diffusion_policy_ros.training.bad_batch import describe
from diffusion_policy_ros.training.config import load_train_config
from diffusion_policy_ros.training.loop import Interrupted
from diffusion_policy_ros.training.run import train
import numpy as np
import pytest
from safetensors.numpy import load_file as load_arrays
from safetensors.torch import load_file, save_file
import torch

RANDOM = ('policy.crop_shape=[28,28]', 'policy.conditioning_dropout=0.3',
          'augmentation.shift_px=2', 'augmentation.contrast=0.2')
# Its gradient is zero but for rounding, of which Adam makes whole steps.
WITHOUT_GRADIENT = 'rgb_encoder.pool.nets.bias'


def run(dataset, out, config, resume=False, stop_after=None, roll_out=None):
    """Train on the CPU, asking for a stop after some steps."""
    done = []

    def stop_requested():
        done.append(1)
        return len(done) == stop_after

    return train(dataset, out, config, device=torch.device('cpu'), resume=resume,
                 stop_requested=stop_requested, roll_out=roll_out)


def weights(out):
    """Read the published weights."""
    return load_file(out / 'model.safetensors')


def difference(one, other):
    """Return the largest difference of the published weights."""
    first, second = weights(one), weights(other)
    return max((first[name] - second[name]).abs().max().item() for name in first
               if WITHOUT_GRADIENT not in name)


def test_accumulated_batches_equal_one_big_batch(dataset, tmp_path, small_config):
    settings = ('steps=3', 'learning_rate=1e-5', *RANDOM)
    run(dataset, tmp_path / 'one', small_config('batch_size=8', *settings))
    run(dataset, tmp_path / 'four', small_config(
        'batch_size=2', 'accumulation_steps=4', *settings))
    assert difference(tmp_path / 'one', tmp_path / 'four') < 1e-6
    run(dataset, tmp_path / 'less', small_config('batch_size=2', *settings))
    assert difference(tmp_path / 'one', tmp_path / 'less') > 5e-6


@pytest.mark.slow
def test_batch_norm_sees_each_accumulated_batch_alone(dataset, tmp_path, small_config):
    settings = ('steps=1', 'learning_rate=1e-9', 'validation_episodes=0',
                'policy.vision_backbone=resnet18', 'policy.use_group_norm=false')
    run(dataset, tmp_path / 'one', small_config('batch_size=8', *settings))
    run(dataset, tmp_path / 'two', small_config('batch_size=4', 'accumulation_steps=2', *settings))
    counts = [{value.item() for name, value in weights(tmp_path / out).items()
               if name.endswith('num_batches_tracked')} for out in ('one', 'two')]
    assert counts == [{1}, {2}] and difference(tmp_path / 'one', tmp_path / 'two') > 1e-4


def test_more_windows_per_step_than_there_are_is_refused(dataset, tmp_path, small_config):
    with pytest.raises(ConfigError, match='32 windows .*have only 24; lower one of them'):
        run(dataset, tmp_path / 'model', small_config('accumulation_steps=4'))


@pytest.mark.slow
@pytest.mark.parametrize('overrides', [
    (), ('precision=float16',), ('precision=bfloat16', 'schedule=constant'),
    ('policy.denoiser.type=transformer', 'policy.denoiser.dropout=0.2', 'policy.denoiser.dim=16',
     'policy.denoiser.layers=1', 'policy.denoiser.heads=2', 'accumulation_steps=2'),
], ids=['default', 'float16', 'bfloat16', 'dropout'])
def test_a_hundred_steps_equal_fifty_and_fifty(dataset, tmp_path, small_config, overrides):
    config = small_config('steps=100', 'checkpoint_every=30', 'batch_size=4', *RANDOM, *overrides)
    run(dataset, tmp_path / 'whole', config)
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'halves', config, stop_after=50)
    torch.manual_seed(99)  # whatever another process has drawn
    run(dataset, tmp_path / 'halves', config, resume=True)
    for out, other in ((tmp_path / 'whole', tmp_path / 'halves'),
                       (tmp_path / 'whole.best', tmp_path / 'halves.best')):
        first, second = weights(out), weights(other)
        assert all(torch.equal(first[name], second[name]) for name in first)
    facts = [json.loads((tmp_path / f'{name}.run' / 'snapshot.json').read_text())
             for name in ('whole', 'halves')]
    assert facts[0]['best'] == facts[1]['best'] and facts[0]['scaler'] == facts[1]['scaler']


def test_float16_keeps_its_scale_over_a_resume(dataset, tmp_path, small_config):
    config = small_config('steps=4', 'precision=float16')
    run(dataset, tmp_path / 'whole', config)
    with pytest.raises(Interrupted):
        run(dataset, tmp_path / 'halves', config, stop_after=2)
    facts = tmp_path / 'halves.run' / 'snapshot.json'
    assert json.loads(facts.read_text())['scaler']['scale'] == 65536
    run(dataset, tmp_path / 'halves', config, resume=True)
    assert difference(tmp_path / 'whole', tmp_path / 'halves') == 0


@pytest.mark.parametrize('override', [
    'precision=bfloat16', 'precision=float16', 'gradient_checkpointing=true',
    'data_on_device=true'])
def test_cheaper_ways_to_compute_lead_to_nearly_the_same(
        dataset, tmp_path, small_config, override):
    settings = ('steps=2', 'validation_episodes=0', 'learning_rate=1e-5')
    run(dataset, tmp_path / 'plain', small_config(*settings))
    run(dataset, tmp_path / 'other', small_config(*settings, override))
    exact = override == 'data_on_device=true'
    assert difference(tmp_path / 'plain', tmp_path / 'other') <= (0 if exact else 5e-5)


@pytest.mark.slow
def test_networks_are_compiled_and_their_trial_leaves_no_trace(
        dataset, tmp_path, small_config, monkeypatch):
    settings = ('steps=2', 'policy.use_group_norm=false', 'policy.vision_backbone=resnet18')
    settings = (*settings, 'validate_every=2', 'checkpoint_every=2')
    seen = []

    class Tried(Compiled):
        def __init__(self, networks, trial):
            trial()
            seen.append(networks)
            self._parts, self.problem = [], None

    monkeypatch.setattr('diffusion_policy_ros.training.diffusion_stage.Compiled', Tried)
    run(dataset, tmp_path / 'plain', small_config(*settings))
    run(dataset, tmp_path / 'compiled', small_config(*settings, 'compile=true'))
    assert len(seen) == 1 and difference(tmp_path / 'plain', tmp_path / 'compiled') == 0


def test_accumulated_shares_run_through_what_was_compiled_in_the_trial(
        dataset, tmp_path, small_config, monkeypatch):
    settings = ('steps=3', 'batch_size=4', 'accumulation_steps=2', 'learning_rate=1e-5',
                'validation_episodes=0', 'policy.num_train_timesteps=20', *RANDOM)
    graphs, tried = [], []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    class Counted(Compiled):
        def __init__(self, networks, trial):
            super().__init__(networks, trial)
            tried.append(len(graphs))

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, 'compile',
                        lambda module: compile_module(module, backend=backend))
    monkeypatch.setattr('diffusion_policy_ros.training.diffusion_stage.Compiled', Counted)
    run(dataset, tmp_path / 'plain', small_config(*settings))
    run(dataset, tmp_path / 'compiled', small_config(*settings, 'compile=true'))
    assert tried == [len(graphs)] and len(graphs) > 0
    assert difference(tmp_path / 'plain', tmp_path / 'compiled') < 1e-6


def test_a_missing_compiler_is_told_and_the_run_goes_on(
        dataset, tmp_path, small_config, monkeypatch, capfd):
    def fails(*_):
        raise RuntimeError('no compiler')

    monkeypatch.setattr(torch.nn.Module, 'compile', lambda self: setattr(
        self, '_compiled_call_impl', fails))
    run(dataset, tmp_path / 'model', small_config('steps=1', 'compile=true'))
    told = capfd.readouterr().err
    assert 'torch.compile cannot compile the networks here' in told and 'no compiler' in told


def test_the_constant_schedule_keeps_the_rate(dataset, tmp_path, small_config):
    run(dataset, tmp_path / 'model', small_config('steps=6', 'schedule=constant', 'log_every=1'))
    lines = map(json.loads, (tmp_path / 'model.run/history.jsonl').read_text().splitlines())
    rates = [line['learning_rate'] for line in lines if 'learning_rate' in line]
    assert rates == pytest.approx([5e-5, *[1e-4] * 5])


def test_the_best_weights_and_the_settings_are_kept_beside_the_last(
        dataset, tmp_path, small_config):
    scores, seen = iter([0.2, 0.7, 0.5]), []

    def roll_out(policy):
        assert not policy.training
        seen.append({name: value.clone() for name, value in policy.state_dict().items()})
        return {'rollout_score': next(scores), 'rollout_success': 0.0}

    config = small_config('steps=6', 'rollouts.sim=pusht', 'rollouts.every=2')
    summary = run(dataset, tmp_path / 'model', config, roll_out=roll_out)
    assert f'best, in {tmp_path}/model.best: rollout_score 0.7 after step 4' in summary
    assert 'rollout_score 0.5' in summary
    for out, state in ((tmp_path / 'model.best', seen[1]), (tmp_path / 'model', seen[2])):
        assert all(torch.equal(value, state[name]) for name, value in weights(out).items())
        assert load_train_config(out / 'train.yaml') == config
        Policy.load(out)


def test_without_rollouts_the_action_error_tells_the_best(dataset, tmp_path, small_config):
    summary = run(dataset, tmp_path / 'model', small_config('steps=8', 'validate_every=2'))
    lines = map(json.loads, (tmp_path / 'model.run/history.jsonl').read_text().splitlines())
    errors = {line['step']: line['validation_action_mse'] for line in lines
              if 'validation_action_mse' in line}
    best = min(errors, key=errors.get)
    assert sorted(errors) == [2, 4, 6, 8]
    assert f'validation_action_mse {errors[best]:.4g} after step {best}' in summary


def test_a_run_with_nothing_to_judge_by_has_no_best(dataset, tmp_path, small_config):
    assert 'best' not in run(dataset, tmp_path / 'model', small_config(
        'steps=1', 'validation_episodes=0'))
    assert not (tmp_path / 'model.best').exists()


def test_a_run_that_was_killed_before_its_first_snapshot_begins_anew(
        dataset, tmp_path, small_config):
    out = tmp_path / 'model'
    run(dataset, out, small_config('steps=1'))
    (tmp_path / 'model.run' / 'snapshot.json').unlink()
    shutil.rmtree(out)
    assert (tmp_path / 'model.best').is_dir()
    assert 'best, in' in run(dataset, out, small_config('steps=2'))


def test_a_best_checkpoint_of_another_run_is_not_replaced(dataset, tmp_path, small_config):
    run(dataset, tmp_path / 'old', small_config('steps=1'))
    (tmp_path / 'old.best').rename(tmp_path / 'model.best')
    with pytest.raises(ConfigError, match='model.best holds a checkpoint'):
        run(dataset, tmp_path / 'model', small_config('steps=1'))


def test_rollouts_leave_the_training_as_it_is(dataset, tmp_path, small_config):
    def roll_out(policy):
        window = {'observation.images.camera': np.zeros((1, 2, 32, 32, 3), np.uint8),
                  'observation.state': np.full((1, 2, 2), 0.5, np.float32)}
        policy.sample(window, generator=torch.Generator().manual_seed(0))
        return {'rollout_score': 0.0}

    run(dataset, tmp_path / 'plain', small_config('steps=4'))
    run(dataset, tmp_path / 'rolled', small_config(
        'steps=4', 'rollouts.sim=pusht', 'rollouts.every=1'), roll_out=roll_out)
    assert difference(tmp_path / 'plain', tmp_path / 'rolled') == 0


def test_a_spoilt_batch_is_kept_with_its_rows_and_told(
        dataset, tmp_path, small_config, monkeypatch):
    def spoilt(*args, **options):
        cache = build_cache(*args, **options)
        arrays = {key: np.array(array) for key, array in cache.arrays.items()}
        arrays['action'][7] = np.nan
        return dataclasses.replace(cache, arrays=arrays)

    monkeypatch.setattr(run_module, 'build_cache', spoilt)
    monkeypatch.setattr(run_module, 'vector_statistics', lambda rows: {
        name: np.nan_to_num(function(rows, axis=0)) for name, function in (
            ('min', np.nanmin), ('max', np.nanmax), ('mean', np.nanmean), ('std', np.nanstd),
            ('q01', np.nanmin), ('q10', np.nanmin), ('q90', np.nanmax), ('q99', np.nanmax))})
    with pytest.raises(DiffusionPolicyError, match='is nan .* look at them with: ') as told:
        run(dataset, tmp_path / 'model', small_config('steps=9', 'validation_episodes=0',
                                                      'batch_size=12'))
    path, = (tmp_path / 'model.run' / 'not_finite').iterdir()
    assert str(path) in str(told.value)
    windows = load_arrays(path)
    assert windows['action'].shape == (12, 8, 2) and len(set(windows['rows'])) == 12
    hit = np.flatnonzero(~np.isfinite(windows['action']).all(axis=(1, 2)))
    assert set(windows['rows'][hit]) <= set(range(12)) and len(hit)
    assert 'action: float32 (12, 8, 2), 0.' in describe(path)
    assert f'not finite in windows {hit.tolist()}' in describe(path)
    assert not (tmp_path / 'model').exists()


def resnet_weights(path, seed=0):
    """Write weights of a ResNet-18 under torchvision's names."""
    from diffusion_policy_ros.networks.resnet import resnet18
    from diffusion_policy_ros.policy.backbone_weights import _public_name
    torch.manual_seed(seed)
    save_file({_public_name(name): value.contiguous()
               for name, value in resnet18(3).state_dict().items()}, path)


def test_a_frozen_backbone_starts_from_a_file_and_stays_while_its_head_learns(
        dataset, tmp_path, small_config, capsys):
    resnet_weights(tmp_path / 'resnet.safetensors', seed=5)
    settings = (f'encoder_weights={tmp_path}/resnet.safetensors', 'freeze_encoder=true',
                'policy.vision_backbone=resnet18', 'policy.observation_encoder.pooling=average')
    for name, steps in (('one', 1), ('model', 4)):
        run(dataset, tmp_path / name, small_config(f'steps={steps}', *settings))
    before, after = weights(tmp_path / 'one'), weights(tmp_path / 'model')
    encoder = [key for key in after if '.rgb_encoder.' in key]
    moved = {key for key in encoder if not torch.equal(before[key], after[key])}
    assert moved == {f'diffusion.rgb_encoder.out.{name}' for name in ('weight', 'bias')}
    assert 'GroupNorm takes only the weights and biases of its norms' in capsys.readouterr().err
    mean = Policy.load(tmp_path / 'model').normalizer.statistics[
        'observation.images.camera']['mean'].flatten().tolist()
    assert mean == pytest.approx([0.485, 0.456, 0.406])  # as ImageNet's weights want it
    given, found = load_file(tmp_path / 'resnet.safetensors'), weights(tmp_path / 'model')
    torch.testing.assert_close(
        found['diffusion.rgb_encoder.backbone.0.weight'], given['conv1.weight'], rtol=0, atol=0)
    settings = (tmp_path / 'model' / 'train.yaml').read_text()
    assert 'encoder_weights: resnet.safetensors' in settings and str(tmp_path) not in settings


@pytest.mark.parametrize('name, backbone, said', [
    ('missing.safetensors', 'resnet18', 'missing.safetensors is missing'),
    ('resnet.safetensors', 'light_cnn', 'set policy.vision_backbone to resnet18')])
def test_weights_that_do_not_fit_are_refused_before_the_dataset_is_decoded(
        dataset, tmp_path, small_config, monkeypatch, name, backbone, said):
    resnet_weights(tmp_path / 'resnet.safetensors')
    monkeypatch.setattr(run_module, 'build_cache', None)
    with pytest.raises(CheckpointError, match=said):
        run(dataset, tmp_path / 'model', small_config(
            'steps=1', f'encoder_weights={tmp_path}/{name}', f'policy.vision_backbone={backbone}'))
    assert not (tmp_path / 'model.run').exists()
