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
"""`dpr replay` on a demonstration: plans beside what was demonstrated."""

import json
from pathlib import Path

from diffusion_policy_ros.cli.main import main
import numpy as np
import pytest

torch = pytest.importorskip('torch')
zarr = pytest.importorskip('zarr')
from diffusion_policy_ros.policy import Policy  # noqa: E402,I100

CONFIG = Path(__file__).parents[2] / 'config'
ROWS = 12


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


@pytest.fixture
def bag(tmp_path):
    """Record a demonstration that always looks the same, with actions that count up."""
    group = zarr.open_group(str(tmp_path / 'tiny.zarr'), mode='w')
    for name, values in {'data/img': np.full((ROWS, 96, 96, 3), 7, np.float32),
                         'data/state': np.full((ROWS, 5), 250, np.float32),
                         'data/action': np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2),
                         'meta/episode_ends': np.array([ROWS])}.items():
        group[name] = values
    assert main(['convert', str(tmp_path / 'tiny.zarr'), '--to', 'bags', '--mapping',
                 str(CONFIG / 'import/pusht_zarr.yaml'), '--contract',
                 str(CONFIG / 'robots/pusht.yaml'), '--out', str(tmp_path / 'bags')]) == 0
    found, = (tmp_path / 'bags').iterdir()
    return found


def test_errors_are_those_of_the_policys_own_plans(bag, model, tmp_path, capsys):
    out = tmp_path / 'replay.json'
    assert main(['replay', str(bag), str(model), '--device', 'cpu', '--seed', '3',
                 '--out', str(out)]) == 0
    figures, said = json.loads(out.read_text()), capsys.readouterr().out
    policy = Policy.load(model)
    window = {'observation.images.camera': np.full((1, 2, 96, 96, 3), 7, np.uint8),
              'observation.state': np.full((1, 2, 2), 0.25, np.float32)}
    demonstrated = np.arange(2 * ROWS).reshape(ROWS, 2) / 1000
    squares = []
    for number, start in enumerate(range(0, ROWS, 4)):
        plan = policy.sample(window, generator=torch.Generator().manual_seed(3 + number))
        squares.append((plan[0, 1:5].double().numpy() - demonstrated[start:start + 4]) ** 2)
    wanted = np.sqrt(np.mean(squares, axis=(0, 1)))
    assert [figures['rmse'][name] for name in ('finger_x', 'finger_y')] \
        == pytest.approx(wanted.tolist(), rel=1e-4)
    assert figures['plans'] == 3 and len(figures['rmse_by_row']) == ROWS
    assert f'{ROWS} rows in 1 pieces, 3 plans' in said


def test_what_cannot_be_replayed_is_refused_in_one_sentence(bag, model, tmp_path, capsys):
    assert main(['replay', str(tmp_path / 'none'), str(model)]) == 1
    assert main(['replay', str(bag), str(model), '--execute-horizon', '9']) == 1
    assert main(['replay', str(bag), str(model), '--contract',
                 str(CONFIG / 'robots/arm6.yaml')]) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith('dpr replay: ') for line in errors) and len(errors) == 3
