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

"""A snapshot is on the disk before it replaces the one before it."""

import os
from pathlib import Path

import pytest

torch = pytest.importorskip('torch')
from diffusion_policy_ros.errors import CheckpointError  # noqa: E402,I100
from diffusion_policy_ros.training.snapshot import (  # noqa: E402
    default_states, load_snapshot, read_facts, save_snapshot)


def save(folder, step):
    """Write the snapshot of a step."""
    network = torch.nn.Linear(2, 3)
    save_snapshot(folder, modules={'network': network},
                  optimizer=torch.optim.AdamW(network.parameters()),
                  generator=torch.Generator(), default_states=[default_states(
                      torch.device('cpu'))],
                  facts={'stage': 'diffusion', 'step': step, 'seconds': 1.0, 'config': '',
                         'dataset': ''})


def test_no_loss_of_power_leaves_facts_without_their_tensors(tmp_path, monkeypatch):
    save(tmp_path, 1)
    happened, fsync, rename, unlink = [], os.fsync, Path.rename, Path.unlink

    def note(what, act, *paths):
        happened.append((what, *(Path(path).name for path in paths)))
        return act(*paths)

    monkeypatch.setattr(os, 'fsync', lambda handle: happened.append(
        ('synced', Path(os.readlink(f'/proc/self/fd/{handle}')).name)) or fsync(handle))
    monkeypatch.setattr(Path, 'rename', lambda *paths: note('renamed', rename, *paths))
    monkeypatch.setattr(os, 'replace', lambda *paths: note('renamed', rename, *paths))
    monkeypatch.setattr(Path, 'unlink', lambda path: note('removed', unlink, path))
    save(tmp_path, 2)
    tensors, facts = 'diffusion-00000002.safetensors', 'snapshot.json'
    assert happened == [
        ('synced', f'{tensors}.part'), ('renamed', f'{tensors}.part', tensors),
        ('synced', tmp_path.name),
        ('synced', f'{facts}.part'), ('renamed', f'{facts}.part', facts),
        ('synced', tmp_path.name), ('removed', 'diffusion-00000001.safetensors')]
    assert read_facts(tmp_path)['tensors'] == tensors


@pytest.mark.parametrize('sizes', [(3, 2), (2, 3, 1), (4, 3)])
def test_moments_of_other_parameters_are_never_given_to_an_optimizer(tmp_path, sizes):
    """Their shapes differ, though the weights may not: other ones were trained."""
    def trained(sizes):
        parameters = [torch.nn.Parameter(torch.ones(size)) for size in sizes]
        optimizer = torch.optim.AdamW(parameters)
        sum(one.sum() for one in parameters).backward()
        optimizer.step()
        return optimizer

    def load(optimizer):
        load_snapshot(tmp_path, modules={}, optimizer=optimizer, generator=torch.Generator(),
                      device=torch.device('cpu'), rank=0)

    save_snapshot(tmp_path, modules={}, optimizer=trained(sizes), generator=torch.Generator(),
                  default_states=[default_states(torch.device('cpu'))],
                  facts={'stage': 'diffusion', 'step': 1, 'seconds': 1.0, 'config': '',
                         'dataset': ''})
    load(trained(sizes))
    with pytest.raises(CheckpointError, match='moments of .*belongs to another network; delete'):
        load(trained((2, 3)))


def test_what_a_user_put_beside_a_snapshot_stays(tmp_path):
    for name in ('resnet18.safetensors', 'notes.txt'):
        (tmp_path / name).touch()
    for step in (1, 2):
        save(tmp_path, step)
    assert {path.name for path in tmp_path.iterdir()} == {
        'resnet18.safetensors', 'notes.txt', 'diffusion-00000002.safetensors', 'snapshot.json'}
