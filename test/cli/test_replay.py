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
"""`dpr replay` on a demonstration: plans beside what was demonstrated; and what it refuses."""

import json
from pathlib import Path

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.policy.action_chunk import Promise
from diffusion_policy_ros.policy.plan_record import PlanRecord
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

torch = pytest.importorskip('torch')
zarr = pytest.importorskip('zarr')
from diffusion_policy_ros.policy import Policy  # noqa: E402,I100

CONFIG = Path(__file__).parents[2] / 'config'
ROWS = 12
STRING = 'std_msgs/msg/String'
RECORD = PlanRecord(
    weights='ab', device='cpu', precision='float32', backend='auto',
    tick_ns=1, stamps_ns=[[1, 1], [2, 2]],
    promise=Promise(np.full((16, 2), np.nan), 1, -1), seed=0,
    settings={'sampler_changes': {}, 'join': 'none', 'num_candidates': 1,
              'warm_start_level': 0.6}, evaluations=4, is_complete=True, epoch=0, accepted_ns=3,
    first_command_ns=4, grid={'origin_ns': 4, 'rate_hz': 10.0},
    blending={'name': 'none', 'blend_rows': 4, 'ensemble_decay': 0.01},
    topics=['/joint_commands'], rows=np.zeros((15, 2)))


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
    assert said.splitlines()[0] == (
        'no plan records in this bag: it is taken for a demonstration, and only planned actions '
        'are compared; record /policy_server/plan_record to compute a run again')


def test_what_cannot_be_replayed_is_refused_in_one_sentence(bag, model, tmp_path, capsys):
    assert main(['replay', str(tmp_path / 'none'), str(model)]) == 1
    assert main(['replay', str(bag), str(model), '--execute-horizon', '9']) == 1
    assert main(['replay', str(bag), str(model), '--contract',
                 str(CONFIG / 'robots/arm6.yaml')]) == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith('dpr replay: ') for line in errors) and len(errors) == 3


def test_a_run_whose_clock_was_set_back_is_refused(model, tmp_path, capsys):
    types, second = get_typestore(Stores.LATEST), 10**9
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection('/policy_server/plan_record', STRING, typestore=types)
        text = types.serialize_cdr(types.types[STRING](RECORD.to_json()), STRING)
        for at in (5 * second, 6 * second, 3 * second):
            writer.write(topic, at, text)
    assert main(['replay', str(tmp_path / 'bag'), str(model)]) == 1
    assert 'the clock was set back by 3.000 s (topic /policy_server/plan_record) while it was ' \
        'recorded' in capsys.readouterr().err


@pytest.mark.parametrize('is_dated', [True, False])
def test_what_is_dated_by_another_clock_than_the_policys_is_refused(
        is_dated, model, tmp_path, capsys):
    types, contract = get_typestore(Stores.LATEST), tmp_path / 'contract.yaml'
    text = (CONFIG / 'robots/pusht.yaml').read_text()
    contract.write_text(text if is_dated else text.replace('stamp: header', 'stamp: receive'))
    with Writer(tmp_path / 'bag', version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection('/policy_server/plan_record', STRING, typestore=types)
        writer.write(topic, 1_700_000_000 * 10**9,
                     types.serialize_cdr(types.types[STRING](RECORD.to_json()), STRING))
    assert main(['replay', str(tmp_path / 'bag'), str(model), '--contract', str(contract)]) == 1
    said = capsys.readouterr().err
    assert ('1700000000 s away from the clock' in said) != is_dated
    assert ('--use-sim-time' in said) != is_dated


@pytest.mark.parametrize('out', ['x' * 300, f'{"x" * 300}/replay.json', 'none/replay.json', '.'])
def test_an_unusable_out_is_refused_before_anything_is_loaded(out, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['replay', 'no_bag', 'no_model', '--out', out]) == 1
    said = capsys.readouterr().err
    assert f'--out is {out}; name a file in a folder that exists' in said
    assert len(said.splitlines()) == 1
