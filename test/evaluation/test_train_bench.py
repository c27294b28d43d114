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
from diffusion_policy_ros.evaluation.train_bench import lerobot_python, LeRobotLoop
import pytest


def test_lerobot_is_looked_for_here_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.evaluation.train_bench.find_spec', lambda _: None)
    assert lerobot_python(None) is None and lerobot_python('none') is None
    monkeypatch.setattr('diffusion_policy_ros.evaluation.train_bench.find_spec', lambda _: 'spec')
    assert lerobot_python(None) == sys.executable and lerobot_python('/x/python') == '/x/python'


def test_a_lerobot_that_fails_is_told(tmp_path, capfd):
    (tmp_path / 'python').write_text('#!/bin/sh\necho no lerobot here >&2; exit 3\n')
    (tmp_path / 'python').chmod(0o755)
    loop = LeRobotLoop(str(tmp_path / 'python'), policy='p', dataset='d', device='cpu',
                       batch_size=2, workers=0, threads=1, precision='float32')
    with pytest.raises(DiffusionPolicyError, match='leave it out with --lerobot-python none'):
        loop.measure(1)
    assert 'no lerobot here' in capfd.readouterr().err
