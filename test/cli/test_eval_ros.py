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

"""``dpr eval --through-ros``: the nodes play the same seeds, and their loop is told."""

import json
import os
import signal
import subprocess
import sys
import time

from diffusion_policy_ros.cli import eval as dpr_eval
from diffusion_policy_ros.cli import eval_ros
from diffusion_policy_ros.cli.main import build_parser
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.errors import ConfigError, ContractError
from diffusion_policy_ros.share import share_path
import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('gym_pusht')
pytest.importorskip('av')
demo_record = pytest.importorskip('diffusion_policy_ros.evaluation.demo_record')


ARM_HOME = (0.0, 0.27, 1.33, 1.54, 0.0, 0.0, 0.02)


def run(model, *arguments, sim='pusht'):
    """Run ``dpr eval --through-ros``; its exit code."""
    return dpr_eval.run(build_parser('eval').parse_args(
        ['eval', str(model), '--sim', sim, '--through-ros', *map(str, arguments)]))


@pytest.fixture
def short(monkeypatch):
    """Let episodes last three seconds."""
    for name, simulation in dpr_eval.SIMULATIONS.items():
        monkeypatch.setitem(dpr_eval.SIMULATIONS, name, (*simulation[:2], 30))


def record(number):
    """Return an episode of three seconds that nobody played."""
    ticks = 10**18 + np.arange(31) * 10**8
    none, empty = np.zeros(0, np.int64), np.zeros(0)
    return demo_record.EpisodeRecord(
        sim='pusht', number=number, seed=100_000 + number, end_ns=int(ticks[-1]),
        received_ns=ticks, sent_ns=ticks, score_ns=ticks, score=np.full((31, 2), 0.19),
        latency_ns=none, latency_ms=empty, plan_ns=none, plan_due_ns=none.reshape(0, 0),
        plans=empty.reshape(0, 0, 2), frame_ns=none,
        pictures=np.zeros((0, 1, 96, 96, 3), np.uint8), states=empty.reshape(0, 11),
        notes=np.array([], dtype=str))


def test_what_is_asked_for_reaches_the_nodes_and_ctrl_c_keeps_what_is_through(
        short, save_tiny_policy, tmp_path, monkeypatch, capsys):
    seen = {}

    def episodes(folder, sim, parameters, seeds, seconds):
        seen.update(parameters, sim=sim, seeds=seeds, seconds=seconds)
        record(0).save(folder / 'episode_0.npz')
        yield record(0), {'said': ['FOLLOWING'], 'facts': {}}
        raise KeyboardInterrupt

    monkeypatch.setattr(eval_ros, '_episodes', episodes)
    out, model = tmp_path / 'live.json', save_tiny_policy()
    contract = share_path('config', 'robots', 'pusht.yaml')
    assert run(model, '--contract', contract, '--threads', 2, '--steps', 3, '--solver', 'heun',
               '--sampler', 'temperature=0.5', '--join', 'rtc', '--delay-ms', 20,
               '--execute-horizon', 4, '--out', out) == 130
    assert (seen['num_inference_steps'], seen['solver']) == (3, 'heun')
    assert (seen['sampler.temperature'], seen['join']) == (0.5, 'rtc')
    assert (seen['contract'], seen['num_threads']) == (contract.resolve(), 2)
    assert seen['sim'] == 'pusht'
    assert (seen['inference_delay_ms'], seen['execute_horizon']) == (20.0, 4)
    assert (seen['seconds'], list(seen['seeds'])) == (3.0, list(range(100_000, 100_010)))
    figures = json.loads(out.read_text())
    assert figures['through_ros'] and figures['results'] == [
        {'seed': 100_000, 'score': pytest.approx(0.2), 'success': False, 'steps': 30}]
    assert figures['contract'] == str(contract) and 'batch' not in figures
    said = capsys.readouterr().out
    assert 'stopped: 1 of 10 episodes were through and are kept' in said
    assert 'commands per second: 10.00 of 100' in said


def test_ctrl_c_before_anything_is_through_is_a_stop(short, save_tiny_policy, monkeypatch):
    def episodes(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(eval_ros, '_episodes', episodes)
    with pytest.raises(KeyboardInterrupt):
        run(save_tiny_policy())


def test_a_simulation_without_nodes_and_a_robot_that_it_is_not_are_refused(
        save_tiny_policy, monkeypatch):
    monkeypatch.setattr(eval_ros, '_episodes', None)
    with pytest.raises(ConfigError, match='has nodes for arm_pick_place.*not for base'):
        run('nowhere', sim='base')
    with pytest.raises(ContractError, match='use config/robots/pusht.yaml'):
        run(save_tiny_policy(contract=share_path('config', 'robots', 'arm_pick_place.yaml')))


@pytest.mark.slow
def test_a_run_that_is_terminated_leaves_no_work_behind(save_tiny_policy, tmp_path):
    pytest.importorskip('rclpy')
    command = [sys.executable, '-m', 'diffusion_policy_ros.cli.main', 'eval',
               str(save_tiny_policy()), '--sim', 'pusht', '--through-ros']
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env={**os.environ, 'TMPDIR': str(tmp_path)}) as run:
        deadline_s = time.monotonic() + 120
        while not list(tmp_path.glob('dpr_eval_*/*.log')) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert list(tmp_path.glob('dpr_eval_*'))
        run.terminate()
        assert run.wait(60) in (130, -signal.SIGINT)
    assert not list(tmp_path.glob('dpr_eval_*'))


@pytest.mark.slow
def test_the_nodes_play_the_seeds_under_command_safety(short, save_tiny_policy, tmp_path, capsys):
    pytest.importorskip('rclpy')
    out = tmp_path / 'report'
    assert run(save_tiny_policy(num_inference_steps=2), '--episodes', 2, '--seed', 5,
               '--out', out) == 0
    figures = json.loads((out / 'eval.json').read_text())
    assert [episode['seed'] for episode in figures['results']] == [5, 6]
    assert all(0 < episode['steps'] <= 30 for episode in figures['results'])
    assert float(figures['live']['commands per second'].split()[0]) > 50
    assert figures['live']['joint_commands refused'] == '0'
    page = (out / 'report.html').read_text('utf-8')
    assert 'Through ROS 2 in real time' in page and 'The live loop' in page
    assert (out / 'worst.mp4').stat().st_size > 1000
    assert '2 episodes: mean score' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('name', ['arm_pick_place', 'arm_pick_place_trajectory'])
def test_the_nodes_play_the_arm_by_either_controller(
        short, save_tiny_policy, tmp_path, name):
    pytest.importorskip('rclpy')
    pytest.importorskip('mujoco')
    contract, out = share_path('config', 'robots', f'{name}.yaml'), tmp_path / 'report'
    model = save_tiny_policy(num_inference_steps=2, low=np.subtract(ARM_HOME, 0.1),
                             high=np.add(ARM_HOME, 0.1), contract=share_path(
                                 'config', 'robots', 'arm_pick_place.yaml'))
    assert run(model, '--contract', contract, '--episodes', 2, '--seed', 5, '--out', out,
               sim='arm_pick_place') == 0
    figures = json.loads((out / 'eval.json').read_text())
    assert [episode['seed'] for episode in figures['results']] == [5, 6]
    assert 0 < float(figures['live']['real-time factor of the simulation']) < 1.1
    topic = load_contract(contract).actions[0].topic
    assert int(figures['live'][f'{topic} clamped steps'].split(' of ')[1]) > 0  # it followed
    assert (out / 'worst.mp4').stat().st_size > 1000
