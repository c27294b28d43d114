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
"""A run of the real server, recorded into a bag and computed again by ``dpr replay``."""

from dataclasses import replace
import json
import os
import shutil

import pytest

pytest.importorskip('rclpy')
pytest.importorskip('torch')
from diffusion_policy_ros.cli.main import main  # noqa: E402,I100
from diffusion_policy_ros.contract import load_contract  # noqa: E402
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from std_msgs.msg import String  # noqa: E402

DOMAIN_ID = 61
CONTRACT = os.path.join(os.path.dirname(__file__), '../../config/robots/pusht.yaml')
RECORD = 'policy_server/plan_record'


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


class Tape:
    """Keeps the serialized messages of topics, as a recorder would."""

    def __init__(self, peer, topics):
        self.messages = []
        for topic, kind in topics.items():
            peer.node.create_subscription(MESSAGE_CLASSES[kind], topic, self._keeper(topic, kind),
                                          qos.RECORDED, raw=True)

    def _keeper(self, topic, kind):
        def keep(data, info):  # dated by the middleware, as `ros2 bag record` does it
            self.messages.append((f'/{topic}', kind, data, info['received_timestamp']))
        return keep

    def count(self, topic):
        return sum(name == f'/{topic}' for name, *_ in self.messages)

    def save(self, folder, contract):
        with EpisodeBag(folder, contract) as bag:
            for message in self.messages:
                bag.write(*message)
        return folder


def _record(peer, server, contract, plans=6):
    """Record a run of some plans."""
    topics = {entry.topic: entry.type for entry in
              (*contract.policy_observations, *contract.actions)}
    tape = Tape(peer, {**topics, RECORD: 'std_msgs/msg/String'})
    server.activate()
    peer.until(lambda: tape.count(RECORD) >= plans, f'{plans} plans')
    server.change('DEACTIVATE')
    return tape


@pytest.mark.parametrize('settings', [
    {}, {'join': 'rtc', 'inference_delay_ms': 120.0},
    {'join': 'blend', 'command_rate_hz': 30.0, 'blend_rows': 3},
    {'join': 'ensemble', 'replan': 'continuous', 'command_rate_hz': 20.0},
    {'deadline_ms': 20.0, 'num_inference_steps': 60},
    *(pytest.param(settings, marks=pytest.mark.slow) for settings in (
        {'join': 'warm_start'}, {'join': 'coherent', 'num_candidates': 3},
        {'join': 'shared_noise', 'solver': 'sde_dpm_solver++'}))],
    ids=lambda settings: '-'.join(map(str, settings.values())) or 'default')
def test_plans_and_commands_come_out_the_same_bit_for_bit(
        peer, server, model, tmp_path, capsys, settings):
    for name, value in settings.items():
        assert server.set(name, value).successful
    contract = load_contract(CONTRACT)
    bag = _record(peer, server, contract).save(tmp_path / 'bag', contract)
    code = main(['replay', str(bag), str(model), '--device', 'cpu',
                 '--out', str(tmp_path / 'replay.json')])
    figures, said = json.loads((tmp_path / 'replay.json').read_text()), capsys.readouterr().out
    assert code == 0, said
    assert figures['plans'] == figures['same_plans'] >= 6
    commands, = figures['commands'].values()
    assert commands['same'] == commands['all'] >= 8
    assert 'the same bit for bit' in said


@pytest.mark.parametrize('backend', [
    'torchscript', *(pytest.param(name, marks=pytest.mark.slow) for name in ('onnx', 'openvino'))])
def test_a_run_of_exported_networks_is_computed_again_by_the_same_runtime(
        peer, server, model, tmp_path, capsys, backend):
    pytest.importorskip({'onnx': 'onnxruntime', 'openvino': 'openvino'}.get(backend, 'torch'))
    form = 'onnx' if backend == 'openvino' else backend
    assert main(['export', str(model), '--format', form]) == 0
    assert server.set('backend', backend).successful
    contract = load_contract(CONTRACT)
    tape = _record(peer, server, contract)
    record = next(message for name, _, data, _ in tape.messages if name == '/' + RECORD
                  for message in [json.loads(deserialize_message(data, String).data)])
    assert record['backend'] == backend
    code = main(['replay', str(tape.save(tmp_path / 'bag', contract)), str(model),
                 '--device', 'cpu'])
    assert code == 0, capsys.readouterr().out
    shutil.rmtree(model / form)
    assert main(['replay', str(tmp_path / 'bag'), str(model), '--device', 'cpu']) == 1
    assert f'run: dpr export {model} --format {form}' in capsys.readouterr().err


def _until_more(peer, tape, plans=3):
    """Wait for some more plans."""
    wanted = tape.count(RECORD) + plans
    peer.until(lambda: tape.count(RECORD) >= wanted, f'{plans} more plans')


@pytest.mark.slow
@pytest.mark.parametrize('changes', [
    pytest.param([('join', 'none'), ('join', 'rtc'), ('join', 'ensemble')],
                 marks=pytest.mark.slow),
    pytest.param([('ensemble_decay', 3.0), ('ensemble_decay', 0.0)], marks=pytest.mark.slow),
    ['swap_model', 'reset', 'swap_model']],
    ids=['join', 'decay', 'model'])
def test_a_run_that_was_changed_on_the_way_comes_out_the_same(
        peer, server, model, tmp_path, capsys, changes):
    for name, value in {'join': 'ensemble', 'command_rate_hz': 30.0,
                        'replan': 'continuous'}.items():
        assert server.set(name, value).successful
    contract = load_contract(CONTRACT)
    tape = Tape(peer, {**{entry.topic: entry.type for entry in (
        *contract.policy_observations, *contract.actions)}, RECORD: 'std_msgs/msg/String'})
    server.activate()
    for change in changes:
        _until_more(peer, tape)
        if isinstance(change, tuple):
            assert server.set(*change).successful
        else:
            assert peer.ask(f'policy_server/{change}')[0]
    _until_more(peer, tape)
    server.change('DEACTIVATE')
    code = main(['replay', str(tape.save(tmp_path / 'bag', contract)), str(model),
                 '--device', 'cpu'])
    assert code == 0, capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('settings', [
    {}, pytest.param({'join': 'naive', 'inference_delay_ms': 120.0}, marks=pytest.mark.slow),
    pytest.param({'join': 'ensemble', 'replan': 'continuous', 'command_rate_hz': 20.0},
                 marks=pytest.mark.slow)],
    ids=['default', 'naive', 'ensemble'])
def test_a_recording_that_began_during_the_run_counts_what_it_can_know(
        peer, server, model, tmp_path, capsys, settings):
    for name, value in settings.items():
        assert server.set(name, value).successful
    contract = load_contract(CONTRACT)
    tape = _record(peer, server, contract, plans=60 if 'replan' in settings else 12)
    records = [k for k, message in enumerate(tape.messages) if message[0] == '/' + RECORD]
    tape.messages = tape.messages[records[2] - 5:]
    code = main(['replay', str(tape.save(tmp_path / 'bag', contract)), str(model),
                 '--device', 'cpu', '--out', str(tmp_path / 'replay.json')])
    figures, said = json.loads((tmp_path / 'replay.json').read_text()), capsys.readouterr().out
    assert code == 0, said
    assert len(records) - 2 > figures['plans'] == figures['same_plans'] >= 5
    commands, = figures['commands'].values()
    assert commands['same'] == commands['all'] >= 5
    assert 'the recording began while the policy was commanding' in said


@pytest.mark.slow
def test_commands_without_stamps_are_found_on_the_grid(peer, server, model, tmp_path):
    robot = load_contract(CONTRACT)
    output, = robot.actions
    contract = replace(robot, actions=(
        replace(output, topic='trajectory', stamp='receive', trajectory='chunk',
                type='trajectory_msgs/msg/JointTrajectory'),))
    path = tmp_path / 'arm.yaml'
    path.write_text(contract.to_yaml())
    assert server.set('contract', str(path)).successful
    assert server.set('command_rate_hz', 30.0).successful
    bag = _record(peer, server, contract).save(tmp_path / 'bag', contract)
    assert main(['replay', str(bag), str(model), '--contract', str(path),
                 '--device', 'cpu', '--out', str(tmp_path / 'replay.json')]) == 0
    commands, = json.loads((tmp_path / 'replay.json').read_text())['commands'].values()
    assert commands['same'] == commands['all'] >= 30


def _change_record(tape, index, **changes):
    """Change fields of a recorded plan."""
    topic, kind, data, receive_ns = tape.messages[index]
    fields = {**json.loads(deserialize_message(data, String).data), **changes}
    tape.messages[index] = (topic, kind, serialize_message(String(data=json.dumps(fields))),
                            receive_ns)


def test_another_checkpoint_and_missing_pictures_are_refused(
        peer, server, model, save_tiny_policy, tmp_path, capsys):
    contract = load_contract(CONTRACT)
    tape = _record(peer, server, contract, plans=3)
    bag = tape.save(tmp_path / 'bag', contract)
    other = save_tiny_policy(n_action_steps=4, spatial_softmax_num_keypoints=8)
    assert main(['replay', str(bag), str(other)]) == 1
    assert 'were made with the weights' in capsys.readouterr().err
    records = [k for k, message in enumerate(tape.messages) if message[0] == '/' + RECORD]
    tape.messages = [m for k, m in enumerate(tape.messages)
                     if m[0] != '/camera/image_raw' or k < records[0] or k > records[-1]]
    assert main(['replay', str(tape.save(tmp_path / 'cut', contract)), str(model)]) == 1
    assert 'camera/image_raw stamped' in capsys.readouterr().err


def test_a_run_with_two_models_is_refused(peer, server, model, tmp_path, capsys):
    contract = load_contract(CONTRACT)
    tape = _record(peer, server, contract, plans=3)
    index = max(k for k, message in enumerate(tape.messages) if message[0] == '/' + RECORD)
    _change_record(tape, index, weights='f' * 64)
    assert main(['replay', str(tape.save(tmp_path / 'bag', contract)), str(model)]) == 1
    assert f'and then {"f" * 16}; the model was swapped' in capsys.readouterr().err


def test_a_changed_plan_is_noticed(peer, server, model, tmp_path, capsys):
    contract = load_contract(CONTRACT)
    tape = _record(peer, server, contract, plans=3)
    index = next(k for k, message in enumerate(tape.messages) if message[0] == '/' + RECORD)
    seed = json.loads(deserialize_message(tape.messages[index][2], String).data)['seed']
    _change_record(tape, index, seed=seed + 1)
    bag = tape.save(tmp_path / 'bag', contract)
    assert main(['replay', str(bag), str(model), '--device', 'cpu']) == 3
    assert '2 of 3 the same bit for bit' in capsys.readouterr().out
