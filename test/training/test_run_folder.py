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

"""A run goes on with as many processes and on the same type of device as before, or not at all."""

import re

from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.training.loop import Interrupted
from diffusion_policy_ros.training.processes import Processes
from diffusion_policy_ros.training.run import train
from diffusion_policy_ros.training.run_folder import check_alike, prepared_folder
from diffusion_policy_ros.training.snapshot import save_snapshot
import pytest
import torch

CPU, GPU = torch.device('cpu'), torch.device('cuda:0')


def snapshot(folder, processes, device, config=''):
    """Write the snapshot of a run in some processes."""
    states = [torch.get_rng_state()] * (2 if device.type == 'cuda' else 1)
    network = torch.nn.Linear(1, 1)
    save_snapshot(folder, modules={'network': network},
                  optimizer=torch.optim.AdamW(network.parameters()), generator=torch.Generator(),
                  default_states=[states] * processes, facts={
                      'stage': 'diffusion', 'step': 1, 'seconds': 0, 'config': config,
                      'dataset': ''})


@pytest.mark.parametrize('count, device', [(1, CPU), (3, CPU), (1, GPU), (2, GPU)])
def test_the_same_processes_and_device_may_go_on(tmp_path, count, device):
    snapshot(tmp_path, count, device)
    check_alike(tmp_path, Processes(0, count), device)


@pytest.mark.parametrize('before, now, said', [
    ((1, CPU), (2, CPU), 'by one process on cpu, and this is 2 processes on cpu; resume it as it '
     'was started, with one process, without torchrun, and --device cpu'),
    ((2, CPU), (1, CPU), 'by 2 processes on cpu, and this is one process on cpu; resume it as it '
     'was started, with torchrun, 2 processes and --device cpu'),
    ((1, CPU), (1, GPU), 'by one process on cpu, and this is one process on cuda; '),
    ((2, GPU), (2, CPU), 'by 2 processes on cuda, and this is 2 processes on cpu; resume it as it '
     'was started, with torchrun, 2 processes and --device cuda')])
def test_other_processes_or_another_device_are_refused_by_name(tmp_path, before, now, said):
    snapshot(tmp_path, *before)
    with pytest.raises(ConfigError, match=re.escape(f'{tmp_path} was trained {said}')):
        check_alike(tmp_path, Processes(0, now[0]), now[1])


def test_a_run_of_the_cpu_is_not_resumed_on_a_gpu_and_stays(dataset, tmp_path, small_config):
    def resume(device, stop=False, resume=True):
        return train(dataset, tmp_path / 'model', small_config('steps=2'), device=device,
                     resume=resume, stop_requested=lambda: stop)

    with pytest.raises(Interrupted):
        resume(CPU, stop=True, resume=False)
    with pytest.raises(ConfigError, match='trained by one process on cpu.*--device cpu'):
        resume(GPU)
    assert 'trained 2 steps' in resume(CPU)


@pytest.mark.parametrize('resume', [False, True])
def test_two_runs_into_one_folder_are_kept_apart_and_the_first_loses_nothing(tmp_path, resume):
    out, run_folder = tmp_path / 'model', tmp_path / 'model.run'
    with prepared_folder(out, run_folder, '{}', False):
        (run_folder / 'tensorboard').mkdir()
        if resume:
            snapshot(run_folder, 1, CPU, config='{}')
        files = sorted(run_folder.rglob('*'))
        with pytest.raises(ConfigError, match='being written by another dpr train; wait for it'):
            with prepared_folder(out, run_folder, '{}', resume):
                pass
        assert sorted(run_folder.rglob('*')) == files
    with prepared_folder(out, run_folder, '{}', resume) as facts:
        assert bool(facts) == resume and (run_folder / 'tensorboard').exists() == resume


def test_a_snapshot_without_generators_is_named_as_damaged(tmp_path):
    snapshot(tmp_path, 0, CPU)
    with pytest.raises(CheckpointError, match='no states of generators.*It is damaged'):
        check_alike(tmp_path, Processes(), CPU)
