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

"""``dpr record-sim`` as a user runs it, and what comes back out of its bags."""

import signal
import subprocess
import sys
import time

from diffusion_policy_ros.cli import simulations
from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.share import share_path
from diffusion_policy_ros.sim.base.environment import BaseEnvironment
from diffusion_policy_ros.sim.base.expert import BaseExpert
import numpy as np
import pytest

bag_reader = pytest.importorskip('diffusion_policy_ros.data.bags.bag_reader')
CONTRACT = load_contract(share_path('config', 'robots', 'base.yaml'))
START_NS = 1_000_000_000


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    """Return a folder of two demonstrations."""
    out = tmp_path_factory.mktemp('recorded') / 'bags'
    assert main(['record-sim', 'base', '--out', str(out), '--episodes', '2', '--seed', '5']) == 0
    return out


def demonstrate_again(seed):
    """Yield each row's observation and action of a demonstration, without a bag."""
    environment, expert = BaseEnvironment(CONTRACT), BaseExpert()
    environment.reset(seed)
    expert.reset(seed, environment)
    while (action := expert.act(environment)) is not None:
        yield environment.observation(), action
        environment.step(action)


def test_the_summary_tells_what_was_recorded_and_what_comes_next(tmp_path, capsys):
    out = tmp_path / 'bags'
    assert main(['record-sim', 'base', '--out', str(out), '--episodes', '1']) == 0
    rows = sum(1 for _ in demonstrate_again(0))
    assert capsys.readouterr().out.splitlines() == [
        f'1 demonstrations with {rows} rows -> {out}; 1 solved the task',
        f'next: dpr convert {out} --out datasets/NAME']
    assert [path.name for path in out.iterdir()] == ['episode_000000']


def test_a_bag_says_what_it_is(bags):
    for number in range(2):
        with bag_reader.open_bag(bags / f'episode_{number:06d}') as bag:
            said = bag.custom_data
        assert said['outcome'] == 'success' and said['episode'] == str(number)
        assert said['task'] == BaseExpert.task
        assert said['source'] == f'base simulation, seed {5 + number}'
        assert said['contract'] == CONTRACT.to_yaml()


@pytest.mark.parametrize('number', [0, 1])
def test_the_bag_gives_the_windows_that_the_policy_sees_in_simulation(bags, number):
    from diffusion_policy_ros.data.recorded import recorded_topics
    from diffusion_policy_ros.evaluation.evaluate import observation_messages
    recorded, live = (WindowBuilder(CONTRACT, n_obs_steps=2, lateness_ns=10**12)
                      for _ in range(2))
    with bag_reader.open_bag(bags / f'episode_{number:06d}') as bag:
        for topic, message, receive_ns in bag.messages(recorded_topics(CONTRACT)):
            recorded.push(topic, message, receive_ns)
    ticks = []
    for row, (observation, _) in enumerate(demonstrate_again(5 + number)):
        ticks.append(CONTRACT.tick_ns(START_NS, row))
        for topic, message in observation_messages(CONTRACT, observation, ticks[-1]):
            live.push(topic, message, ticks[-1])
    for tick_ns in ticks[1:]:
        one, other = (builder.window(tick_ns) for builder in (recorded, live))
        assert {key: value.tobytes() for key, value in one[0].items()} == \
            {key: value.tobytes() for key, value in other[0].items()}
        assert one[1] == other[1]


def test_the_bags_become_the_dataset_of_what_was_demonstrated(bags, tmp_path):
    pytest.importorskip('pyarrow')
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    out = tmp_path / 'dataset'
    assert main(['convert', str(bags), '--out', str(out), '--only', 'success']) == 0
    reader = LeRobotReader(out)
    rows = [row for seed in (5, 6) for row in demonstrate_again(seed)]
    assert len(reader.episode_ends) == 2 and reader.row_count == len(rows)
    found = reader.columns(('observation.environment_state', 'action'))
    np.testing.assert_array_equal(
        found['observation.environment_state'],
        [observation['observation.environment_state'] for observation, _ in rows])
    np.testing.assert_array_equal(found['action'], np.float32([action for _, action in rows]))


def test_a_failed_demonstration_is_kept_and_told_apart(tmp_path, capsys, monkeypatch):
    module, cls, _ = simulations.SIMULATIONS['base']
    monkeypatch.setitem(simulations.SIMULATIONS, 'base', (module, cls, 10))
    out = tmp_path / 'bags'
    assert main(['record-sim', 'base', '--out', str(out), '--episodes', '1']) == 0
    shown = capsys.readouterr().out
    assert '10 rows' in shown and '0 solved the task' in shown and '--only success' in shown
    with bag_reader.open_bag(out / 'episode_000000') as bag:
        assert bag.custom_data['outcome'] == 'failure'


def test_a_run_that_breaks_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_args):
        raise KeyboardInterrupt

    out = tmp_path / 'bags'
    monkeypatch.setattr(BaseEnvironment, 'step', stop)
    assert main(['record-sim', 'base', '--out', str(out), '--episodes', '1']) == 130
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_terminated_leaves_nothing(tmp_path):
    out = tmp_path / 'bags'
    with subprocess.Popen(
            [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'record-sim', 'base', '--out',
             str(out), '--episodes', '100000'], stderr=subprocess.PIPE, text=True) as run:
        deadline_s = time.monotonic() + 60
        while not list(tmp_path.glob('*/episode_*')) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        run.terminate()
        said = run.communicate(timeout=60)[1]
    # Python ends by SIGINT itself, 130 in a shell too, where that came in code made at run time.
    assert run.returncode in (130, -signal.SIGINT), said
    assert said.endswith('dpr record-sim: stopped\n')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('arguments, code, reason', [
    (('--episodes', '0'), 2, '--episodes is 0; it must be from 1'),
    (('--seed', '-1'), 2, '--seed is -1'),
    (('--contract', str(share_path('config', 'robots', 'pusht.yaml'))), 1,
     'use config/robots/base.yaml')])
def test_what_cannot_be_is_refused(arguments, code, reason, tmp_path, capsys):
    assert main(['record-sim', 'base', '--out', str(tmp_path / 'bags'), *arguments]) == code
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_never_written_to(bags, capsys):
    assert main(['record-sim', 'base', '--out', str(bags), '--episodes', '1']) == 1
    assert 'exists already and is never overwritten' in capsys.readouterr().err
    assert len(list(bags.iterdir())) == 2
