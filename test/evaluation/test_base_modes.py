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

"""The room with two answers is its own mirror image for a policy, and sides are told apart."""

import json

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.sim.base.environment import BaseEnvironment
from diffusion_policy_ros.sim.base.expert import BaseExpert, LEFT
from diffusion_policy_ros.sim.base.scene import MIRROR_SCENE
import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('matplotlib')
pytest.importorskip('tqdm')
from diffusion_policy_ros.evaluation.base_modes import MirrorRoom  # noqa: E402,I100
from diffusion_policy_ros.policy.policy import Policy  # noqa: E402

CONTRACT = share_path('config', 'robots', 'base.yaml')


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Return the folder of an untrained policy for the base."""
    return save_tiny_policy(contract=CONTRACT)


@pytest.fixture
def room(model):
    """Return the room as that policy sees it."""
    return MirrorRoom(Policy.load(model))


def demonstrations(contract, rows=15):
    """Return sides and first rows of experts that start in the middle."""
    sides, chunks = [], []
    for seed in range(12):
        environment, expert = BaseEnvironment(contract), BaseExpert()
        environment.reset(scene=MIRROR_SCENE)
        expert.reset(seed, environment)
        chunk = []
        for _ in range(rows):
            chunk.append(expert.act(environment))
            environment.step(chunk[-1])
        sides.append(expert.side)
        chunks.append(chunk)
    return np.array(sides), np.array(chunks)


def test_the_policy_sees_the_same_on_both_sides_and_rests(room):
    state = room.window['observation.state'][0]
    assert state == pytest.approx(np.tile([0.8, 0, 1, 0, 0, 0, 1, 0, 0, 0], (2, 1)), abs=1e-6)
    scan, goal = np.split(room.window['observation.environment_state'][0, -1], [36])
    np.testing.assert_allclose(scan[1:], scan[:0:-1], rtol=1e-5)
    assert goal == pytest.approx([5.2, 0.0])


def test_the_first_second_and_a_half_of_a_demonstration_tells_its_side(room, model):
    sides, chunks = demonstrations(Policy.load(model).contract)
    assert len(set(sides)) == 2
    np.testing.assert_array_equal(room.passes_left(chunks), sides == LEFT)
    np.testing.assert_array_equal(room.passes_left(chunks * (1, -1)), sides != LEFT)


def test_ways_are_those_that_the_base_drives(room, model):
    contract = Policy.load(model).contract
    _, chunks = demonstrations(contract)
    environment = BaseEnvironment(contract)
    environment.reset(scene=MIRROR_SCENE)
    for twist, place in zip(chunks[0], room.ways(chunks[:1])[0, 1:]):
        environment.step(twist)
        assert (environment.base.motion.x, environment.base.motion.y) == pytest.approx(place)


def test_what_counts_is_where_a_chunk_is_farthest_from_the_line(room):
    chunk = np.array([(0.5, 1.5)] * 6 + [(0.5, -1.5)] * 14)
    assert room.ways(chunk[None])[0, -1, 1] < 0  # it ends on the right
    assert room.passes_left(chunk[None]).tolist() == [True]
    assert room.passes_left(np.zeros((1, 15, 2))).tolist() == [False]


def test_a_policy_for_another_robot_is_refused_with_the_remedy(save_tiny_policy):
    with pytest.raises(ConfigError, match='not for the base: .*observation of its own with --dat'):
        MirrorRoom(Policy.load(save_tiny_policy()))


def test_dpr_modes_measures_and_draws_it(model, tmp_path, capsys):
    out, figures = tmp_path / 'modes.png', tmp_path / 'modes.json'
    assert main(['modes', str(model), '--sim', 'base', '--samples', '20', '--out', str(out),
                 '--json', str(figures)]) == 0
    assert '20 chunks for a room that is its own mirror image:' in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert len(found['is_left']) == 20 and found['left'] == sum(found['is_left'])
    assert out.read_bytes()[:4] == b'\x89PNG'


def test_dpr_modes_takes_a_place_or_a_dataset(model, capsys):
    assert main(['modes', str(model), '--sim', 'base', '--dataset', 'x', '--episode', '0',
                 '--row', '0']) == 2
    assert 'leave it out with --dataset' in capsys.readouterr().err


def test_dpr_eval_drives_the_base(model, tmp_path, capsys, monkeypatch):
    pytest.importorskip('gym_pusht')
    from diffusion_policy_ros.cli import simulations
    monkeypatch.setitem(simulations.SIMULATIONS, 'base',
                        (*simulations.SIMULATIONS['base'][:2], 12))
    out = tmp_path / 'report'
    assert main(['eval', str(model), '--sim', 'base', '--episodes', '3', '--steps', '1',
                 '--out', str(out)]) == 0
    assert '3 episodes: mean score' in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ['eval.json', 'report.html']
    found = json.loads((out / 'eval.json').read_text())
    assert found['sim'] == 'base' and all(each['steps'] == 12 for each in found['results'])


def test_dpr_eval_has_no_nodes_for_it(model, capsys):
    assert main(['eval', str(model), '--sim', 'base', '--through-ros']) == 2
    assert '--through-ros has nodes for arm_pick_place, arm_push, pusht, not for base' \
        in capsys.readouterr().err
