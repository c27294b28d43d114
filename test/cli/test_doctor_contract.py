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

"""``dpr doctor --contract`` tells the limits in force, and who would refuse the contract later."""

import builtins
import json
from pathlib import Path
import shutil

from diffusion_policy_ros.cli.main import main
from diffusion_policy_ros.contract import load_contract
import pytest
import yaml

pytest.importorskip('av')
pytest.importorskip('pyarrow')

ROBOTS = Path(__file__).resolve().parents[2] / 'config' / 'robots'
TWIST = {'topic': 'base', 'type': 'geometry_msgs/msg/Twist', 'names': ['linear.x'],
         'stamp': 'receive'}


@pytest.fixture
def examine(tmp_path, capsys):
    """Return a function that changes the six-joint arm, and returns what is printed, by line."""
    def change_and_run(change=lambda raw: None):
        raw = yaml.safe_load((ROBOTS / 'arm6.yaml').read_text())
        change(raw)
        path = tmp_path / 'my_arm.yaml'
        path.write_text(yaml.safe_dump(raw))
        assert main(['doctor', '--contract', str(path)]) == 0
        return capsys.readouterr().out.replace(str(path), 'my_arm.yaml').splitlines()
    return change_and_run


def warnings(lines):
    """Return the lines that warn."""
    return [line.split(maxsplit=1)[1] for line in lines if line.startswith('WARN')]


@pytest.mark.parametrize('robot', sorted(ROBOTS.glob('*.yaml')), ids=lambda path: path.stem)
def test_the_contracts_that_come_with_the_package_are_accepted_by_all(robot, capsys):
    assert main(['doctor', '--contract', str(robot)]) == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [
        'OK    command_safety    accepts this contract',
        'OK    dpr convert       accepts this contract',
        'OK    dpr train         accepts this contract', '3 OK, 0 WARN, 0 ERROR']


def test_the_limits_of_every_joint_are_told_and_which_are_assumed(examine):
    def change(raw):
        raw['limits']['elbow'] = {'velocity': 2.0, 'jerk': 7.0}
        raw['limits']['gripper'] = {'velocity': 0.5, 'position': [0, 2]}
    lines = examine(change)
    assert '  wrist_1 [rad]: position -3 to 3, velocity 2.5, acceleration 8, jerk 80' in lines
    place = lines.index('  elbow [rad]: position any, velocity 2, acceleration 10, jerk 7')
    assert lines[place + 1] == ('      no acceleration given, 10 assumed; '
                                'no position given, none is kept')
    place = lines.index(
        '  gripper [rad]: position 0 to 2, velocity 0.5, acceleration 2.5, jerk 50')
    assert lines[place + 1] == (
        '      no acceleration given, 2.5 assumed; no jerk given, 50 assumed')
    assert not warnings(lines)


def test_joints_that_would_be_taken_for_grippers_are_named(examine):
    told, = warnings(examine(lambda raw: raw['actions'][0].update(interpolation='hold')))
    assert told.startswith('command_safety: ') and '6 joints, which are taken for gripp' in told


def test_a_position_limit_of_a_commanded_velocity_is_not_told_as_one_in_force(examine):
    def change(raw):
        raw['actions'].append(TWIST)
        raw['limits']['linear.x'] = {'position': [0, 1], 'velocity': 1.0}
    lines = examine(change)
    assert '  linear.x: position any, velocity 1, acceleration 5, jerk 100' in lines
    told, = warnings(lines)
    assert 'command_safety refuses: limits: the position limit of linear.x cannot be kept' in told


def test_joints_without_a_velocity_limit_are_warned_of_one_by_one(examine):
    def change(raw):
        del raw['limits']['elbow'], raw['limits']['wrist_2']['velocity']
    lines = examine(change)
    assert '  elbow [rad]: none that can be kept, see below' in lines
    assert warnings(lines) == [
        f'command_safety refuses: joint {name} has no velocity limit in my_arm.yaml, and nothing '
        f'moves without: add limits.{name}.velocity to the contract, or set use_robot_description '
        'of command_safety and give a URDF that has it' for name in ('elbow', 'wrist_2')]
    assert lines[-1] == '2 OK, 2 WARN, 0 ERROR'


def test_a_contract_without_limits_is_warned_of_once(examine):
    lines = examine(lambda raw: raw.pop('limits'))
    assert 'limits: none, see below' in lines
    told, = warnings(lines)
    assert told.startswith('command_safety refuses: my_arm.yaml has no limits, and nothing moves '
                           'without: add limits.NAME.velocity for each of shoulder_pan, shoulder')


def test_joints_that_no_stream_measures_are_warned_of_together(examine):
    def change(raw):
        raw['observations'][-1]['joints'] = ['shoulder_pan', 'shoulder_lift', 'elbow', 'wrist_1']
    told = warnings(examine(change))
    assert [text.partition(':')[2].partition(':')[0] for text in told] == [
        ' no stream measures the position of wrist_2, wrist_3',
        ' no stream measures the position of gripper']
    assert all(text.startswith('command_safety refuses: ') and 'add an observation of' in text
               for text in told)


@pytest.mark.parametrize('output, reason', [
    ({'topic': 'hand', 'type': 'geometry_msgs/msg/PoseStamped'}, 'PoseStamped cannot be limited'),
    ({'topic': 'hand', 'type': 'sensor_msgs/msg/JointState', 'joints': ['pushed', 'pulled'],
      'field': 'effort'}, 'efforts cannot be limited')])
def test_an_output_that_cannot_be_limited_is_warned_of_once(examine, output, reason):
    told, = warnings(examine(lambda raw: raw['actions'].append(output)))
    assert told.startswith("command_safety refuses: action (topic 'hand'): ") and reason in told


def test_another_unit_than_is_measured_is_warned_of_once(examine):
    def change(raw):
        raw['actions'][0]['unit'] = 'deg'
    told, = warnings(examine(change))
    assert 'commands shoulder_pan in deg' in told and 'measures it in rad' in told


def test_no_problem_hides_another(examine):
    def change(raw):
        raw['rate_hz'] = 12.5
        raw['observations'][0]['image'] = {'height': 96, 'width': 96, 'encoding': '16UC1'}
        raw['observations'][1]['image'] = {'height': 48, 'width': 96, 'encoding': '32FC1'}
        raw['observations'][2]['joints'].remove('wrist_3')
        raw['actions'][0]['unit'] = 'deg'
        raw['actions'].append({'topic': 'hand', 'type': 'geometry_msgs/msg/PoseStamped'})
        raw['actions'].append(TWIST)
        del raw['limits']['wrist_3']
        raw['limits']['gripper']['velocity'] = 1e-9
    told = warnings(examine(change))
    for text, part in zip(told, (
            'joint wrist_3 has no velocity limit', 'joint gripper: velocity limit is 1e-09',
            'joint linear.x has no velocity limit', 'measures the position of wrist_3: ',
            'commands shoulder_pan in deg', 'PoseStamped cannot be limited', 'rate_hz is 12.5',
            'the cameras have the shapes'),
            strict=True):
        assert part in text


def test_a_rate_that_no_dataset_can_have_is_warned_of(examine):
    told, = warnings(examine(lambda raw: raw.update(rate_hz=12.5)))
    assert told == ('dpr convert refuses, as does the recorder: rate_hz is 12.5; a dataset needs '
                    'a whole number of rows per second. Choose one, in the contract or with '
                    '--rate')
    assert not warnings(examine(lambda raw: raw.update(rate_hz=12.0)))


def test_cameras_of_two_sizes_are_warned_of_unless_the_policy_sees_one_only(examine):
    def change(raw):
        raw['observations'][0]['image']['height'] = 96
    told, = warnings(examine(change))
    assert told.startswith('dpr train refuses: the cameras have the shapes [(3, 96, 160), (3, 120')

    def hide(raw):
        change(raw)
        raw['observations'][0]['role'] = 'auxiliary'
    assert not warnings(examine(hide))


def test_where_no_dataset_could_be_written_that_part_is_not_checked(examine, monkeypatch):
    load = builtins.__import__

    def fail(name, *rest):
        if name == 'diffusion_policy_ros.data.datasets.lerobot_writer':
            raise ModuleNotFoundError("No module named 'av'", name='av')
        return load(name, *rest)

    monkeypatch.setattr(builtins, '__import__', fail)
    lines = examine(lambda raw: raw.update(rate_hz=12.5))
    assert warnings(lines) == ["dpr convert       not checked: No module named 'av'"]
    assert lines[-1] == '2 OK, 1 WARN, 0 ERROR'


def test_whatever_the_guard_refuses_is_warned_of(monkeypatch):
    from diffusion_policy_ros.cli import doctor_contract as report
    from diffusion_policy_ros.errors import SafetyError
    whole = load_contract(ROBOTS / 'arm6.yaml')

    def refuse(contract, *rest, **named):
        if len(contract.actions) > 1:
            raise SafetyError('these outputs do not go together')

    monkeypatch.setattr(report, 'build_guard', refuse)
    assert report.guard_refusals(whole, 'my_arm.yaml') == ['these outputs do not go together']


@pytest.fixture(scope='module')
def model(save_tiny_policy):
    """Save a small policy of the Push-T robot, and drop its weights; its folder."""
    folder = save_tiny_policy()
    (folder / 'model.safetensors').unlink()
    return folder


@pytest.fixture
def fit(tmp_path, model, capsys):
    """Return a function that changes contract and checkpoint; the line, path of the contract."""
    def change_and_run(change=lambda raw: None, spoil=lambda folder: None):
        raw, path = yaml.safe_load((ROBOTS / 'pusht.yaml').read_text()), tmp_path / 'robot.yaml'
        change(raw)
        path.write_text(yaml.safe_dump(raw))
        folder = shutil.copytree(model, tmp_path / 'checkpoint')
        spoil(folder)
        code = main(['doctor', '--contract', str(path), '--model', str(folder)])
        line = capsys.readouterr().out.splitlines()[-2]
        assert code == line.startswith('ERROR policy_server refuses: ')
        return line.partition('refuses: ')[2] or line, path, folder
    return change_and_run


def test_a_checkpoint_may_have_other_topics_than_its_robot(fit):
    line, _, folder = fit(lambda raw: raw['observations'][0].update(topic='front/image_raw'))
    assert line == f'OK    policy_server     accepts this contract for {folder}'


def test_another_robot_than_a_checkpoint_was_trained_on_is_refused_in_the_servers_words(fit):
    def change(raw):
        raw['rate_hz'] = 20
        raw['actions'][0]['joints'].reverse()
    reason = fit(change)[0]
    assert 'rate_hz: trained at 10, robot has 20; action names: trained with' in reason


@pytest.mark.parametrize('part, change, reason', [
    ('observations', lambda entries: entries.pop(0), "the policy sees 'observation.images.cam"),
    ('actions', lambda entries: entries[0]['joints'].append('z'), 'the policy commands 2')])
def test_a_checkpoint_without_a_contract_is_compared_by_its_shapes(
        fit, save_tiny_policy, part, change, reason):
    from diffusion_policy_ros.policy.checkpoint import export_checkpoint, read_checkpoint

    def forget(folder):
        shutil.rmtree(folder)
        export_checkpoint(folder, read_checkpoint(save_tiny_policy(vision_backbone='resnet18')))
    assert fit(lambda raw: change(raw[part]), forget)[0].startswith(reason)


@pytest.mark.parametrize('name, content, reason', [
    ('config.json', None, '/config.json is missing; copy the whole checkpoint folder again'),
    ('config.json', json.dumps({'type': 'act'}), "/config.json: type is 'act'"),
    ('contract.yaml', None, '/contract.yaml is missing; copy the whole checkpoint folder again'),
    ('contract.yaml', 'robot: [', '/contract.yaml')])
def test_a_checkpoint_that_cannot_be_read_is_one_line(fit, name, content, reason):
    def spoil(folder):
        (folder / name).unlink()
        if content:
            (folder / name).write_text(content)
    assert reason in fit(spoil=spoil)[0]


def test_a_checkpoint_that_is_no_folder_is_one_line(capsys):
    assert main(['doctor', '--contract', str(ROBOTS / 'pusht.yaml'), '--model', 'x' * 300]) == 1
    line = capsys.readouterr().out.splitlines()[-2]
    assert line.endswith(' is no folder; give the folder that holds config.json')
