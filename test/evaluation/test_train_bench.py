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

"""LeRobot's loop is found where there is one, and its failure is told."""

import sys

from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.evaluation.chunk_bench_policy import (
    bench_config, random_window, untrained_policy)
from diffusion_policy_ros.evaluation.roofline import chunk_work
from diffusion_policy_ros.evaluation.train_bench import lerobot_python, LeRobotLoop, PlainLoop
from diffusion_policy_ros.streams import ACTION_KEY
from diffusion_policy_ros.training.config import load_train_config
import numpy as np
import pytest
import torch


def test_lerobot_is_looked_for_here_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.evaluation.train_bench.find_spec', lambda _: None)
    assert lerobot_python(None) is None and lerobot_python('none') is None
    monkeypatch.setattr('diffusion_policy_ros.evaluation.train_bench.find_spec', lambda _: 'spec')
    assert lerobot_python(None) == sys.executable and lerobot_python('/x/python') == '/x/python'


class OneWindow:
    """Stands in for a dataset: the same window again and again."""

    def __init__(self, window, action_shape):
        self._window = {**{key: value.numpy() for key, value in window.items()},
                        ACTION_KEY: np.zeros((1, *action_shape), np.float32)}

    def __len__(self):
        return 8

    def gather(self, rows):
        return self._window


def test_a_step_costs_two_to_three_times_what_a_prediction_does():
    policy = untrained_policy(bench_config((16, 32), cameras=1, image_size=(32, 32), horizon=8))
    window = random_window(policy)
    work = chunk_work(policy, window, 1)
    loop = PlainLoop(policy, OneWindow(window, (8, policy.config.action_dim)),
                     load_train_config(None, ['batch_size=4']), device=torch.device('cpu'),
                     workers=0)
    # Each layer has a gradient of its weights and one of its inputs, but the first ones.
    forward = work.encoder_flops + work.denoiser_flops
    assert 2.5 * forward < loop.flops_per_window() < 3 * forward


def test_a_lerobot_that_fails_is_told(tmp_path, capfd):
    (tmp_path / 'python').write_text('#!/bin/sh\necho no lerobot here >&2; exit 3\n')
    (tmp_path / 'python').chmod(0o755)
    loop = LeRobotLoop(str(tmp_path / 'python'), policy='p', dataset='d', device='cpu',
                       batch_size=2, workers=0, threads=1, precision='float32')
    with pytest.raises(DiffusionPolicyError, match='leave it out with --lerobot-python none'):
        loop.measure(1)
    assert 'no lerobot here' in capfd.readouterr().err
