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

"""The robot contract: what it says, how it travels, and every mistake it refuses."""

from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from diffusion_policy_ros.contract import load_contract, parse_contract, RECORDED, RobotContract
from diffusion_policy_ros.errors import ContractError
from diffusion_policy_ros.streams import ActionOutput, ImageSpec, ObservationStream
from hypothesis import given, strategies as st
import pytest
import yaml

ROBOTS = sorted((Path(__file__).parents[1] / 'config' / 'robots').glob('*.yaml'))
JOINT_STATE, JOINT_TRAJECTORY = 'sensor_msgs/msg/JointState', 'trajectory_msgs/msg/JointTrajectory'
POSE, ARRAY = 'geometry_msgs/msg/PoseStamped', 'std_msgs/msg/Float64MultiArray'
CAMERA, STATE, TRUTH = range(3)

BASE = yaml.safe_load("""
robot: test
rate_hz: 10
settle_ms: 20
observations:
  - {key: observation.images.camera, topic: camera/image_raw, type: sensor_msgs/msg/Image,
     image: {height: 96, width: 128}, max_age_ms: 200}
  - {key: observation.state, topic: joint_states, type: sensor_msgs/msg/JointState,
     joints: [a, b], unit: rad, max_age_ms: 100}
  - {key: observation.truth, topic: truth, type: geometry_msgs/msg/PoseStamped, role: auxiliary,
     max_age_ms: 100}
actions:
  - {topic: command, type: sensor_msgs/msg/JointState, joints: [a, b], unit: rad}
limits:
  a: {position: [-1, 1], velocity: 2}
""")


def changed(*steps):
    """Return BASE with ``(path, value)`` set; a value of None removes the key."""
    raw = deepcopy(BASE)
    for path, value in steps:
        *parents, last = path
        place = raw
        for step in parents:
            place = place[step]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return raw


def parse(raw):
    return parse_contract(yaml.safe_dump(raw), source='robot.yaml')


def observation(index, **fields):
    return changed(*((('observations', index, name), value) for name, value in fields.items()))


def action(**fields):
    return changed(*((('actions', 0, name), value) for name, value in fields.items()))


def with_entry(kind, **fields):
    raw = deepcopy(BASE)
    raw[kind].append(fields)
    return raw


@pytest.mark.parametrize('path', ROBOTS, ids=lambda path: path.stem)
def test_robots_of_the_package_load_and_survive_yaml(path):
    contract = load_contract(path)
    again = parse_contract(contract.to_yaml())
    assert again == contract
    assert contract.disagreements(again) == []


def test_shapes_and_names_follow_the_entries():
    raw = with_entry('observations', key='observation.state', topic='gripper', type=ARRAY,
                     names=['g'], stamp='receive', max_age_ms=100)
    contract = parse(raw)
    assert contract.keys == (
        'observation.images.camera', 'observation.state', 'observation.truth')
    assert contract.shape_of('observation.images.camera') == (96, 128, 3)
    assert contract.shape_of('observation.state') == (3,)
    assert contract.names_of('observation.state') == ('a', 'b', 'g')
    assert contract.shape_of('action') == (2,)
    assert len(contract.names_of('observation.truth')) == 9
    assert [s.topic for s in contract.policy_observations] == [
        'camera/image_raw', 'joint_states', 'gripper']
    assert contract.settle_ns == 20_000_000


@pytest.mark.parametrize('encoding,channels', [('rgb8', 3), ('mono8', 1), ('16UC1', 1),
                                               ('32FC1', 1)])
def test_channels_follow_the_encoding(encoding, channels):
    assert ImageSpec(2, 3, encoding).channels == channels


def test_ticks_do_not_drift():
    contract = parse(changed((('rate_hz',), 30)))
    assert contract.tick_ns(5, 1) == 5 + 33_333_333
    assert contract.tick_ns(5, 3) == 5 + 100_000_000
    assert contract.tick_ns(5, 30 * 86400) == 5 + 86400 * 10 ** 9
    assert contract.period_ns == 33_333_333


@given(st.integers(0, 10**12), st.one_of(st.integers(1, 1000), st.floats(0.1, 1000)))
def test_ticks_are_exact_however_late(index, rate_hz):
    """In whole nanoseconds, the nearest; floats lose one after a month at 30 Hz."""
    contract = replace(parse(changed()), rate_hz=rate_hz, settle_ms=0)
    assert contract.tick_ns(7, index) == 7 + round(Fraction(index * 10**9) / Fraction(rate_hz))


def test_streams_may_read_two_fields_of_one_topic():
    contract = parse(with_entry(
        'observations', key='observation.velocity', topic='joint_states', type=JOINT_STATE,
        joints=['a', 'b'], field='velocity', max_age_ms=100))
    assert contract.names_of('observation.velocity') == ('a', 'b')
    parse(with_entry('observations', key='observation.state', topic='joint_states',
                     type=JOINT_STATE, joints=['a', 'b'], field='velocity', max_age_ms=100))


@pytest.mark.parametrize('raw', [
    observation(CAMERA, topic='other/camera', max_age_ms=50, on_stale='hold'),
    observation(TRUTH, topic='other/truth', rotation='quaternion'),
    action(topic='other/command'), changed((('settle_ms',), 0)), changed((('limits',), None))])
def test_installations_of_one_robot_agree(raw):
    assert parse(BASE).disagreements(parse(raw)) == []


@pytest.mark.parametrize('raw,said', [
    (changed((('rate_hz',), 15)), 'rate_hz: trained at 10, robot has 15'),
    (observation(STATE, joints=['b', 'a']),
     r"observation.state names: trained with \['a', 'b'\], robot has \['b', 'a'\]"),
    (observation(STATE, unit='deg'), 'observation.state unit: trained with rad, robot has deg'),
    (observation(STATE, field='effort'), 'observation.state field: trained with position'),
    (observation(CAMERA, image={'height': 48, 'width': 64}), 'image: trained with .*height=96'),
    (action(label='next_state'), 'action label: trained with command, robot has next_state'),
    (action(offset_ms=3.0), 'action offset_ms: trained with 0.0, robot has 3.0'),
    (action(frame_id='base'), 'action frame_id: trained with none, robot has base'),
    (with_entry('actions', topic='g', type=ARRAY, names=['g'], stamp='receive'),
     'actions: trained with 1 entries, robot has 2')])
def test_what_changes_the_meaning_of_numbers_disagrees(raw, said):
    found = parse(BASE).disagreements(parse(raw))
    with pytest.raises(ContractError, match=said):
        raise ContractError('; '.join(found))


def test_differences_can_be_told_for_a_recording():
    raw = changed((('rate_hz',), 15), (('observations', STATE, 'unit'), 'deg'))
    raw['actions'].append({'topic': 'g', 'type': ARRAY, 'names': ['g'], 'stamp': 'receive'})
    assert parse(BASE).disagreements(parse(raw), mine='recorded', theirs='arm.yaml') == [
        'rate_hz: recorded at 10, arm.yaml has 15',
        'observation.state unit: recorded with rad, arm.yaml has deg',
        'actions: recorded with 1 entries, arm.yaml has 2']


def test_entries_of_other_numbers_are_not_compared_one_by_one():
    raw = parse(BASE).to_dict()
    del raw['observations'][0]
    found = parse(BASE).disagreements(parse(raw), kinds=RECORDED)
    assert found == ['observations: trained with 3 entries, robot has 2']


@pytest.mark.parametrize('raw, said', [
    (observation(TRUTH, rotation='quaternion'), 'observation.truth rotation: recorded with rot6d'),
    (observation(TRUTH, unit='mm'), 'observation.truth unit: recorded with'),
    (with_entry('observations', key='observation.force', topic='force', type=ARRAY, names=['f'],
                stamp='receive', role='auxiliary', max_age_ms=100),
     'observations: recorded with 3 entries, robot has 4')])
def test_a_recording_depends_on_its_auxiliary_streams_too(raw, said):
    found = parse(BASE).disagreements(parse(raw), mine='recorded', kinds=RECORDED)
    assert any(sentence.startswith(said) for sentence in found), found
    assert parse(BASE).disagreements(parse(raw)) == []


DOCUMENT_MISTAKES = [
    (changed((('contract_version',), 2)), 'contract_version is 2; this package reads version 1'),
    (changed((('robot',), None)), 'contract: "robot" is missing'),
    (changed((('rate',), 5)), "contract: unknown key 'rate'; did you mean \"rate_hz\""),
    (changed((('zzz',), 5)), "contract: unknown key 'zzz'; known: robot, rate_hz"),
    (changed((('robot',), '')), "robot is ''; give the robot a name"),
    (changed((('rate_hz',), 'fast')), "rate_hz is 'fast'; it must be a finite number"),
    (changed((('rate_hz',), float('nan'))), 'rate_hz is nan; it must be a finite number'),
    (changed((('rate_hz',), True)), 'rate_hz is True; it must be a finite number'),
    (changed((('rate_hz',), 0.01)), 'rate_hz is 0.01; it must be from 0.1 to 1000 Hz'),
    (changed((('settle_ms',), 100)), 'settle_ms is 100; it must be from 0 to less than one perio'),
    (changed((('settle_ms',), -1)), 'settle_ms is -1; it must be from 0'),
    (changed((('observations',), 5)), 'observations must be a list of entries'),
    (changed((('observations',), ['x'])), r"observations\[0\] must be a mapping, got 'x'"),
    (changed((('observations',), [])), 'at least one stream with "role: policy" is needed'),
    (changed((('actions',), [])), 'actions: at least one output is needed'),
]

ENTRY_MISTAKES = [
    (observation(STATE, max_age_ms=None), r'observations\[1\]: "max_age_ms" is missing'),
    (observation(STATE, max_age_ms=None, max_age_sm=100),
     r"observations\[1\]: unknown key 'max_age_sm'; did you mean \"max_age_ms\""),
    (observation(STATE, joint=['a']), "unknown key 'joint'; did you mean \"joints\""),
    (observation(STATE, colour='red'), r"observations\[1\]: unknown key 'colour'"),
    (observation(STATE, names=['a']), r'observations\[1\] has both joints and names'),
    (observation(STATE, joints='a b'), "joints or names must be a list, got 'a b'"),
    (observation(STATE, joints=[]), r'name the entries in order, with "joints: \[..\]"'),
    (observation(STATE, joints=[1]), r'joints and names must be words, got \[1\]'),
    (observation(STATE, joints=['a', 'a']), r"'a' is named twice in \['a', 'a'\]"),
    (observation(STATE, topic='/joint_states'), 'write the topic without the leading "/"'),
    (observation(STATE, topic='joint states'), 'topic must be a ROS topic name'),
    (observation(STATE, topic='arm//joints'), 'topic must be a ROS topic name'),
    (observation(STATE, topic='2arm'), 'no part starting with a digit'),
    (observation(STATE, topic=7), r'\(topic 7\): topic must be a ROS topic name'),
    (observation(STATE, type='sensor_msgs/JointState'),
     "type is 'sensor_msgs/JointState'; choose one of: sensor_msgs/msg/Image"),
    (observation(STATE, on_stale='zero'), "on_stale is 'zero'; choose one of: stop, hold"),
    (observation(STATE, frozen_after=1), 'frozen_after is 1; it must be a whole number of mess'),
    (observation(STATE, frozen_after=-3), 'frozen_after is -3; .* from 2 to 10000, or 0'),
    (observation(STATE, role='main'), "role is 'main'; choose one of: policy, auxiliary"),
    (observation(STATE, stamp='now'), "stamp is 'now'; choose one of: header, receive"),
    (observation(STATE, max_age_ms=float('inf')), 'max_age_ms is inf; it must be a finite number'),
    (observation(STATE, max_age_ms=0), 'max_age_ms is 0; it must be a finite number from 1'),
    (observation(STATE, max_age_ms=True), 'max_age_ms is True'),
    (observation(STATE, field='torque'), "field is 'torque'; choose one of: position, velocity"),
    (observation(STATE, type=ARRAY), 'MultiArray has no header; write "stamp: receive"'),
    (observation(STATE, type=JOINT_TRAJECTORY), 'says when to start, not when it was sent'),
    (observation(STATE, key='state'), 'key must start with "observation."'),
    (observation(STATE, key='observation.'), 'key must start with "observation."'),
    (observation(STATE, key='observation.a/b'), 'key must start with "observation."'),
    (observation(CAMERA, key='observation.images.'), 'key must start with "observation."'),
    (observation(STATE, key='observation.images.a'), 'camera types, and only they, use a key und'),
    (observation(CAMERA, key='observation.camera'), 'camera types, and only they'),
    (observation(CAMERA, image=None), 'a camera needs "image: {height: .., width: ..}"'),
    (observation(CAMERA, image=[96, 96]),
     r'observations\[0\].image must be a mapping, got \[96, 96\]'),
    (observation(CAMERA, image={'height': 9}), r'observations\[0\].image: "width" is missing'),
    (observation(CAMERA, image={'height': 9, 'width': 9.5}), r'\[0\].image.width is 9.5; it'),
    (observation(CAMERA, image={'height': 0, 'width': 9}), 'image.height is 0'),
    (observation(CAMERA, image={'height': 9, 'width': 9, 'encoding': 'bgr8'}),
     r"observations\[0\].image.encoding is 'bgr8'; choose one of: rgb8, mono8, 16UC1, 32FC1"),
    (observation(CAMERA, image={'height': 9, 'width': 9, 'resize': 'fit'}),
     r"observations\[0\].image.resize is 'fit'; choose one of: exact, stretch, crop, pad"),
    (observation(CAMERA, joints=['a']), r"a camera has no joints or names, got \['a'\]"),
    (observation(STATE, image={'height': 9, 'width': 9}), 'carries no picture; remove "image"'),
    (observation(TRUTH, rotation='euler'), "rotation is 'euler'; choose one of: rot6d, quat"),
    (observation(TRUTH, names=['position.q']), "PoseStamped has no component 'position.q'; it"),
    (action(topic=None), r'actions\[0\]: "topic" is missing'),
    (action(type='nav_msgs/msg/Odometry'), "type is 'nav_msgs/msg/Odometry'; choose one of: sens"),
    (action(label='guess'), "label is 'guess'; choose one of: command, next_state"),
    (action(interpolation='cubic'), "interpolation is 'cubic'; choose one of: linear, hold"),
    (action(trajectory='all'), "trajectory is 'all'; choose one of: point, chunk"),
    (action(offset_ms=5000), 'offset_ms is 5000; it must be a finite number from -1000 to 1000'),
    (action(frame_id=3), 'frame_id is 3; it must be a word'),
    (action(type=POSE, joints=['position.x', 'rotation.xx']),
     "the commanded rotation lacks 'rotation.yx'; name none or all of"),
]

TOGETHER_MISTAKES = [
    (with_entry('observations', **BASE['observations'][STATE]), 'observation .* appears twice'),
    (with_entry('actions', **BASE['actions'][0]), "action 'command' appears twice"),
    (with_entry('observations', **dict(BASE['observations'][CAMERA], topic='camera_2')),
     "two cameras share the key 'observation.images.camera'; give each its own"),
    (with_entry('observations', **dict(BASE['observations'][TRUTH], key='observation.state')),
     "key 'observation.state' has policy and auxiliary streams; give the auxiliary ones"),
    (with_entry('observations', key='observation.more', topic='truth', type=JOINT_STATE,
                joints=['a'], max_age_ms=100), "topic 'truth' has two types, .*PoseStamped and"),
    (with_entry('actions', topic='more', type=JOINT_STATE, joints=['a']),
     "action entry 'a' is commanded by two outputs"),
    (action(label='next_state', joints=['a', 'c']),
     "label next_state needs 'c' exactly once in observation.state, which has: a, b"),
    (changed((('limits',), [1])), 'limits must map joint names to their limits'),
    (changed((('limits', 'z'), {})), "limits: 'z' is not commanded; actions name: a, b"),
    (changed((('limits', 'a'), 3)), 'limits.a must be a mapping, got 3'),
    (changed((('limits', 'a', 'speed'), 3)), "limits.a: unknown key 'speed'"),
    (changed((('limits', 'a', 'velocity'), 0)), 'limits.a.velocity is 0; it must be a finite'),
    (changed((('limits', 'a', 'velocity'), True)), 'limits.a.velocity is True; it must be'),
    (changed((('limits', 'a', 'jerk'), float('inf'))), 'limits.a.jerk is inf; it must be a fin'),
    (changed((('limits', 'a', 'position'), [1, -1])), r'must be \[low, high\] with finite low'),
    (changed((('limits', 'a', 'position'), 1)), 'limits.a.position is 1; it must be'),
]


@pytest.mark.parametrize('raw,match', DOCUMENT_MISTAKES + ENTRY_MISTAKES + TOGETHER_MISTAKES)
def test_mistake_is_refused_with_its_place_and_remedy(raw, match):
    with pytest.raises(ContractError, match=f'^robot.yaml: .*{match}'):
        parse(raw)


def test_next_state_must_be_unambiguous():
    raw = with_entry('observations', key='observation.state', topic='joint_states',
                     type=JOINT_STATE, joints=['a', 'b'], field='velocity', max_age_ms=100)
    raw['actions'][0]['label'] = 'next_state'
    with pytest.raises(ContractError, match="needs 'a' exactly once in .* which has: a, b, a, b"):
        parse(raw)


def test_text_that_is_no_mapping_is_refused():
    with pytest.raises(ContractError, match=r'robot.yaml: a mapping is needed, got \[1, 2\]'):
        parse_contract('[1, 2]', source='robot.yaml')
    with pytest.raises(ContractError, match='contract: not valid YAML'):
        parse_contract('{')
    with pytest.raises(ContractError, match='not valid YAML'):
        parse_contract('!!python/object/apply:os.getcwd []')


def test_unreadable_file_is_refused_with_examples(tmp_path):
    with pytest.raises(ContractError, match='cannot read the contract .*none.yaml.*config/robots'):
        load_contract(tmp_path / 'none.yaml')
    (tmp_path / 'binary.yaml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ContractError, match='cannot read the contract'):
        load_contract(tmp_path / 'binary.yaml')


def test_contract_can_be_built_without_yaml():
    contract = RobotContract(
        robot='test', rate_hz=10,
        observations=(ObservationStream('observation.state', 'joints', JOINT_STATE, 100.0,
                                        names=('a',)),),
        actions=(ActionOutput('command', JOINT_TRAJECTORY, names=('a',), stamp='receive'),))
    assert parse_contract(contract.to_yaml()) == contract
    with pytest.raises(ContractError, match='a camera needs "image'):
        ObservationStream('observation.images.a', 'a', 'sensor_msgs/msg/Image', 100.0,
                          image={'height': 4, 'width': 4})


@pytest.mark.parametrize('text', [
    'robot: x\nrate_hz: ' + '9' * 400, 'robot: x\nrate_hz: 2020-13-45', 'robot: !!bool x',
    'robot: ' + '[' * 20000, 'robot: x\nrobot: y',
    'robot: x\nrate_hz: 10\nactions: [a]\nobservations: [{topic: a, type: b, key: c, '
    'max_age_ms: ' + '9' * 400 + '}]'])
def test_absurd_documents_are_one_contract_error(text):
    with pytest.raises(ContractError) as caught:
        parse_contract(text, source='my.yaml')
    assert 'my.yaml' in str(caught.value) and len(str(caught.value)) < 1000


def test_a_value_with_endless_aliases_is_refused_at_once():
    lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
    lines += [f'a{i}: &a{i} [{", ".join([f"*a{i - 1}"] * 10)}]' for i in range(1, 9)]
    with pytest.raises(ContractError, match='unknown key'):
        parse_contract('\n'.join(lines) + '\nrobot: *a8\nrate_hz: 10\nobservations: []\n'
                       'actions: []')
    with pytest.raises(ContractError):
        RobotContract(robot=[[['x'] * 10**6] * 10**6] * 10**6, rate_hz=10, observations=(),
                      actions=())
