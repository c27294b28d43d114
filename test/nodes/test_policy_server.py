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
"""The policy server over real DDS: lifecycle, commands at the rate, refusals and recoveries."""

from dataclasses import replace
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
torch = pytest.importorskip('torch')
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402,I100
from diffusion_policy_ros.choices import SOLVERS  # noqa: E402
from diffusion_policy_ros.contract import load_contract, parse_contract  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.policy_server import PolicyServer  # noqa: E402
from diffusion_policy_ros.policy import Policy  # noqa: E402
from diffusion_policy_ros.policy.row_encoder import RowEncoder  # noqa: E402
from diffusion_policy_ros.real_time import CPUS, keep_to_cpus  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rosgraph_msgs.msg import Clock  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

DOMAIN_ID = 47
CONTRACT = os.path.join(os.path.dirname(__file__), '../../config/robots/pusht.yaml')
ROOT = os.path.join(os.path.dirname(__file__), '../..')


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small untrained policy; its folder."""
    return save_tiny_policy(n_action_steps=4)


def _stamps_ns(messages):
    """Return the header stamps."""
    return np.array([m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages])


def test_lifecycle_goes_through_its_states_and_back(peer, server):
    assert server.state() == 'unconfigured'
    server.activate()
    assert server.state() == 'active'
    server.until_status('commanding')
    server.until_commands(3)
    assert server.change('DEACTIVATE')
    server.until_status('inactive')
    assert server.stays_silent()
    assert server.change('ACTIVATE')
    server.until_commands(3)
    assert server.change('DEACTIVATE') and server.change('CLEANUP')
    assert server.state() == 'unconfigured' and server.stays_silent()
    server.activate()
    server.until_commands(3)
    assert server.change('ACTIVE_SHUTDOWN')
    assert server.state() == 'finalized' and server.stays_silent()


def test_commands_go_out_at_the_rate_of_the_contract(peer, server):
    server.activate()
    server.until_commands(20)
    steps = np.diff(_stamps_ns(server.commands))
    assert np.median(steps) == pytest.approx(1e8, abs=2)
    assert (steps > 0).all()
    assert list(server.commands[0].name) == ['finger_x', 'finger_y']
    positions = np.array([command.position for command in server.commands])
    assert ((positions >= 0) & (positions <= 0.512 + 1e-6)).all()  # the range of the statistics


def test_commands_between_rows_are_interpolated(peer, server):
    assert server.set('command_rate_hz', 30.0).successful
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    server.activate()
    server.until_commands(60)
    stamps = _stamps_ns(server.commands)
    assert np.median(np.diff(stamps)) == pytest.approx(1e9 / 30, abs=2)
    plan = plans[0]
    rows = np.array([point.positions for point in plan.points])
    due = _stamps_ns([plan])[0] + np.round(np.arange(len(rows)) * 1e8)
    until = _stamps_ns(plans[1:2])[0] if len(plans) > 1 else due[-1]
    checked = 0
    for stamp, command in zip(stamps, server.commands):
        if due[0] <= stamp < until:
            wanted = [np.interp(stamp - due[0], due - due[0], rows[:, i]) for i in range(2)]
            assert np.allclose(command.position, wanted, atol=1e-9)
            checked += 1
    assert checked >= 5


def test_a_late_camera_stops_the_commands_until_it_is_back(peer, server):
    server.activate()
    server.until_commands(3)
    image, peer.robot.image = peer.robot.image, None
    server.until_status('camera/image_raw', 'old', 'limit 0.250 s')
    assert server.stays_silent()
    peer.robot.image = image
    server.until_status('commanding')
    server.until_commands(5)


def test_a_clock_that_runs_ahead_cannot_make_old_samples_look_fresh(peer, server):
    now_ns, lead_ns = peer.robot.now_ns, 900_000_000
    peer.robot.now_ns = lambda: now_ns() + lead_ns
    server.activate()
    server.until_status('s old, limit 0.250 s')
    assert server.stays_silent() and not server.commands
    peer.robot.now_ns = now_ns
    server.until_commands(3)


@pytest.mark.parametrize('stream, change, words', [
    ('image', {'encoding': 'mono16x'}, ('camera/image_raw', 'mono16x')),
    ('image', {'data': bytes(1000)}, ('camera/image_raw', '1000')),
    ('joints', {'name': ['finger_x'], 'position': [0.1]}, ('joint_states', 'finger_y')),
    ('joints', {'position': [float('nan'), 0.1]}, ('joint_states', 'nan')),
])
def test_malformed_input_stops_the_commands_until_it_is_right_again(
        peer, server, stream, change, words):
    server.activate()
    server.until_commands(2)
    good = getattr(peer.robot, stream)
    setattr(peer.robot, stream, {**good, **change})
    server.until_status(*words)
    assert server.stays_silent()
    setattr(peer.robot, stream, good)
    server.until_commands(3)
    server.until_status('commanding')


def test_a_contract_that_disagrees_is_refused_and_the_node_stays(peer, server, tmp_path):
    text = load_contract(CONTRACT).to_yaml()
    path = tmp_path / 'other.yaml'
    path.write_text(text.replace('rate_hz: 10', 'rate_hz: 20').replace('settle_ms: 25', ''))
    parse_contract(path.read_text())
    assert server.set('contract', str(path)).successful
    assert not server.change('CONFIGURE')
    server.until_status('trained at 10', str(path))
    assert server.state() == 'unconfigured'
    assert server.set('contract', '').successful
    server.activate()
    server.until_commands(2)


def test_topics_may_differ_between_checkpoint_and_robot(peer, server, tmp_path):
    path = tmp_path / 'moved.yaml'
    path.write_text(load_contract(CONTRACT).to_yaml().replace('joint_commands', 'arm/target'))
    assert server.set('contract', str(path)).successful
    moved = peer.hear(JointState, 'arm/target', qos.COMMANDS)
    server.activate()
    peer.until(lambda: len(moved) > 2, 'commands on the other topic')
    assert not server.commands


def test_nothing_is_commanded_to_a_controller_of_another_joint_order(peer, server, tmp_path):
    robot = load_contract(CONTRACT)
    path = tmp_path / 'arm.yaml'
    path.write_text(replace(robot, actions=tuple(
        replace(output, topic='arm_controller/commands', stamp='receive',
                type='std_msgs/msg/Float64MultiArray') for output in robot.actions)).to_yaml())
    commands = peer.hear(Float64MultiArray, 'arm_controller/commands', qos.COMMANDS)

    def controller(joints, **options):
        node = Node('arm_controller', **options)
        node.declare_parameter('joints', joints)
        node.declare_parameter('interface_name', 'position')
        return node

    wrong = peer.start(lambda **options: controller(['finger_y', 'finger_x'], **options))
    assert server.set('contract', str(path)).successful
    server.activate()
    server.until_status('/arm_controller', 'in the order (finger_y, finger_x)')
    assert server.stays_silent() and not commands
    peer.stop(wrong)
    peer.start(lambda **options: controller(['finger_x', 'finger_y'], **options))
    server.until_status('commanding')
    peer.until(lambda: len(commands) > 5, 'commands')


def test_corrupt_and_missing_checkpoints_are_refused(peer, server, model, tmp_path):
    assert server.set('model', str(tmp_path / 'none')).successful
    assert not server.change('CONFIGURE')
    server.until_status('no folder', 'none')
    assert server.status[-1].level == DiagnosticStatus.ERROR
    broken = tmp_path / 'broken'
    broken.mkdir()
    for file in model.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    weights = broken / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert server.set('model', str(broken)).successful
    assert not server.change('CONFIGURE')
    server.until_status('model.safetensors')
    assert server.state() == 'unconfigured'


def test_a_plan_that_is_not_finite_is_never_commanded(peer, server, model, tmp_path):
    tame = Policy.load(model)
    policy = Policy(replace(tame.config, clip_sample=False), tame.normalizer,
                    contract=tame.contract, sampler=tame.sampler)
    with torch.no_grad():  # finite weights, which overflow
        policy.diffusion.unet.final_conv[-1].weight.fill_(3e38)
    policy.save(tmp_path / 'wild')
    assert server.set('model', str(tmp_path / 'wild')).successful
    server.activate()
    server.until_status('not finite')
    assert server.stays_silent() and not server.commands
    assert server.state() == 'active'


def test_a_failing_inference_stops_the_commands_and_recovers(peer, server, monkeypatch):
    server.activate()
    server.until_commands(2)

    def fail(self, *arguments, **options):
        raise RuntimeError('out of memory')

    with monkeypatch.context() as patch:
        patch.setattr(RowEncoder, 'encode', fail)
        server.until_status('inference failed', 'out of memory')
        assert server.stays_silent()
    server.until_commands(3)
    server.until_status('commanding')


def test_parameters_that_cannot_work_are_refused_with_the_reason(peer, server):
    assert not server.set('seed', 'x').successful
    assert server.set('solver', 'eular').reason.endswith(
        f'choose one of: checkpoint, {", ".join(SOLVERS)}')
    assert not server.set('command_rate_hz', -1.0).successful
    assert server.set('command_rate_hz', 25.0).successful  # no contract is known yet
    assert not server.change('CONFIGURE')
    server.until_status('command_rate_hz is 25', "contract's rate_hz, 10")
    assert server.set('command_rate_hz', 20).successful
    assert server.set('cpus', '9999').successful  # known only when it is asked for
    assert not server.change('CONFIGURE')
    server.until_status("cpus is '9999'", 'these are ')
    assert server.set('cpus', str(min(CPUS))).successful
    assert server.change('CONFIGURE')
    assert os.sched_getaffinity(0) == {min(CPUS)}
    keep_to_cpus('')
    assert 'clean it up first' in server.set('contract', 'elsewhere').reason
    assert 'n_action_steps of this checkpoint, 4' in server.set('execute_horizon', 5).reason
    assert 'num_inference_steps is 101' in server.set('num_inference_steps', 101).reason
    assert server.set('execute_horizon', 4).successful
    assert server.set('num_inference_steps', 2).successful


def test_every_option_of_the_sampler_can_change_while_commands_go_out(peer, server):
    server.activate()
    for name, value in (('solver', 'sde_dpm_solver++'), ('sampler.order', 2),
                        ('sampler.spacing', 'karras'), ('sampler.temperature', 0),
                        ('sampler.then', 'dpm_solver'), ('sampler.switch_lambda', 1.5)):
        assert server.set(name, value).successful
    for name, value, words in (
            ('solver', 'euler', 'order of euler is 2; choose one of: 1'),
            ('sampler.eta', 1.0, 'only with ddim'), ('sampler.eta', -0.5, 'from 0 to 1'),
            ('sampler.guidance_scale', 3.0, 'trained without conditioning_dropout'),
            ('sampler.start_timestep', 4.5, 'start_timestep is 4.5'),
            ('sampler.then', 'adaptive', 'leave then out')):
        assert words in server.set(name, value).reason
    worker, seen = peer.server_node._runtime._policy.worker, []
    submit, worker.submit = worker.submit, lambda request, *done: (
        seen.append(request), submit(request, *done))
    peer.until(lambda: seen, 'a plan')
    assert seen[0].settings.sampler_changes == {
        'solver': 'sde_dpm_solver++', 'order': 2, 'spacing': 'karras', 'temperature': 0.0,
        'then': 'dpm_solver', 'switch_lambda': 1.5}
    server.until_commands(3)
    server.until_status('commanding')


def test_a_plan_that_comes_to_no_end_stops_the_commands_until_one_does(peer, server):
    assert server.set('solver', 'adaptive').successful
    assert server.set('sampler.max_evaluations', 1).successful
    server.activate()
    server.until_status('more than max_evaluations = 1')
    assert server.stays_silent() and not server.commands
    assert server.set('solver', 'checkpoint').successful
    server.until_commands(3)
    server.until_status('commanding')


def test_the_same_seed_gives_the_same_first_plan(peer, server):
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    first = []
    assert server.change('CONFIGURE')
    for seed in (3, 3, 4):
        assert server.set('seed', seed).successful
        assert server.change('ACTIVATE')
        peer.until(lambda: plans, 'a plan')
        assert server.change('DEACTIVATE')
        first.append(np.array([point.positions for point in plans[0].points]))
        # A second plan may still be on its way to this list.
        peer.until(lambda: server.status[-1].message == 'inactive', 'the deactivation')
        plans.clear()
    assert first[0].shape == (15, 2)
    assert (first[0] == first[1]).all()
    assert (first[0] != first[2]).any()


def test_reset_drops_the_plan_and_the_next_one_starts_from_the_seed(peer, server):
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    success, message = peer.ask('policy_server/reset')
    assert not success and 'configure first' in message
    server.activate()
    peer.until(lambda: len(plans) >= 2, 'plans')
    assert list(plans[0].points[0].positions) != list(plans[1].points[0].positions)
    count = len(plans)
    assert peer.ask('policy_server/reset')[0]
    peer.until(lambda: any(plan.points[0].positions == plans[0].points[0].positions
                           for plan in plans[count:]), 'the first plan again')


def test_after_a_reset_the_next_plan_is_the_first_and_not_a_late_one(peer, server):
    server.activate()
    server.until_commands(3)
    server.until_status('commanding')
    runtime, told = peer.server_node._runtime, len(server.status)
    runtime._loop.telemetry.missed = 0
    submit, runtime._policy.worker.submit = runtime._policy.worker.submit, lambda *arguments: None
    assert peer.ask('policy_server/reset')[0]
    server.until_status('waiting for the first plan')
    assert server.stays_silent()
    assert not [s.message for s in server.status[told:] if 'not finished' in s.message]
    assert runtime._loop.telemetry.missed == 0
    runtime._policy.worker.submit = submit
    server.until_status('commanding')


def test_an_executor_that_does_not_look_is_named_as_the_reason(peer, server):
    server.activate()
    server.until_commands(3)
    left = peer.server_node._runtime._loop._left
    wake, left.wake = left.wake, lambda: None
    server.until_status('no tick was looked at for 3 periods', 'executor')
    assert 'num_inference_steps' not in ''.join(s.message for s in server.status)
    left.wake = wake
    server.until_status('commanding')


def test_the_plan_and_its_latency_are_shown_with_names(peer, server):
    latencies = peer.hear(Float64MultiArray, 'policy_server/latency', qos.EVENTS)
    plans = peer.hear(JointTrajectory, 'policy_server/chunk', qos.EVENTS)
    server.activate()
    peer.until(lambda: latencies and plans, 'latency and plan')
    named = dict(zip(latencies[0].layout.dim[0].label.split(','), latencies[0].data))
    assert list(named) == ['capture_ms', 'receive_ms', 'decode_ms', 'encode_ms', 'sample_ms',
                           'publish_ms', 'total_ms']
    assert named['total_ms'] == pytest.approx(sum(list(named.values())[:6]))
    assert all(value >= 0 for value in named.values())
    assert named['capture_ms'] + named['receive_ms'] + named['decode_ms'] >= 25  # settle_ms
    assert list(plans[0].joint_names) == ['finger_x', 'finger_y']
    times = [p.time_from_start.sec * 10**9 + p.time_from_start.nanosec for p in plans[0].points]
    assert times == [k * 10**8 for k in range(15)]


def test_diagnostics_tell_rates_ages_and_latencies(peer, server):
    heard = peer.hear(DiagnosticArray, '/diagnostics', qos.EVENTS)
    server.activate()
    server.until_commands(15)
    heard.clear()
    peer.until(lambda: heard, 'diagnostics')
    statuses = {status.name: status for status in heard[-1].status}
    assert set(statuses) == {f'policy_server: {s}' for s in ('commands', 'inputs', 'inference')}
    facts = {item.key: item.value for status in statuses.values() for item in status.values}
    assert float(facts['camera/image_raw rate (Hz)']) == pytest.approx(30, rel=0.5)
    assert float(facts['joint_states age at the tick (ms)']) <= 250
    assert float(facts['rate (Hz)']) == pytest.approx(10, rel=0.3)
    assert float(facts['total p99 (ms)']) >= float(facts['total p50 (ms)']) > 0
    assert 'missed' in facts and facts['model'].endswith('tiny')


def test_a_clock_that_jumps_back_clears_the_past_and_goes_on(
        peer, model, make_robot, make_server_client):
    clock = peer.node.create_publisher(Clock, '/clock', qos.EVENTS)
    robot = make_robot()
    zero = [time.monotonic(), 1000.0]
    robot.now_ns = lambda: round((time.monotonic() - zero[0] + zero[1]) * 1e9)

    def show_time():
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(robot.now_ns(), 10**9)
        clock.publish(message)

    peer.node.create_timer(0.005, show_time)
    peer.start(PolicyServer, model=str(model), num_threads=1, use_sim_time=True)
    server = make_server_client()
    server.activate()
    server.until_commands(5)
    zero[:] = time.monotonic(), 500.0
    peer.until(lambda: _stamps_ns(server.commands[-1:])[0] < 600e9, 'commands in the new time')
    stamps = _stamps_ns(server.commands)
    assert (np.diff(stamps) < 0).sum() == 1  # one jump, and nothing of the old time after it


@pytest.mark.parametrize('number', [
    pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_ends_the_node_cleanly_while_it_commands(
        model, make_robot, make_server_client, number):
    make_robot()
    server = make_server_client()
    code = ('import sys; from diffusion_policy_ros.nodes.policy_server import main; '
            'sys.exit(main())')
    process = subprocess.Popen(
        [sys.executable, '-c', code, '--ros-args', '-p', f'model:={model}', '-p',
         'num_threads:=1'], cwd=ROOT, stderr=subprocess.PIPE,
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)})
    try:
        server.activate()
        server.until_commands(3)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
        assert b'Traceback' not in errors
    finally:
        process.kill()
        process.wait()


def test_a_node_with_a_bad_override_ends_with_one_sentence():
    code = ('import sys; from diffusion_policy_ros.nodes.policy_server import main; '
            'sys.exit(main())')
    ended = subprocess.run(
        [sys.executable, '-c', code, '--ros-args', '-p', 'seed:=-7'], cwd=ROOT, timeout=120,
        capture_output=True, text=True,
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID),
             'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'})
    assert ended.returncode == 1
    assert 'cannot start' in ended.stderr and 'seed' in ended.stderr
    assert 'Traceback' not in ended.stderr
