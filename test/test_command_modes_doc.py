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

"""What docs/command_modes.md shows can be used as it stands, and what it promises is sent."""

from pathlib import Path
import re

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.control.commands import build_command
from diffusion_policy_ros.message_types import (
    ACTION_TYPES, FLOAT64_ARRAY, JOINT_STATE, JOINT_TRAJECTORY, POSE_STAMPED, TWIST,
    TWIST_STAMPED)
import numpy as np
import pytest
import yaml

PAGE = (Path(__file__).parents[1] / 'docs' / 'command_modes.md').read_text(encoding='utf-8')
SECTIONS = dict(re.findall(r'^## (.*?)\n(.*?)(?=^## |\Z)', PAGE, re.MULTILINE | re.DOTALL))
MODES = list(SECTIONS)[1:]
STAMP_NS, LEAD_NS, PERIOD_NS = 1_700_000_000_123_456_789, 33_333_333, 100_000_000
# Controller type -> the last part of the topic that it listens to.
LISTENS = {'forward_command_controller/ForwardCommandController': 'commands',
           'joint_trajectory_controller/JointTrajectoryController': 'joint_trajectory',
           'diff_drive_controller/DiffDriveController': 'cmd_vel'}


def blocks(title):
    """Return the YAML of a section: contract entries first, then controllers."""
    found = [yaml.safe_load(text)
             for text in re.findall(r'^```yaml\n(.*?)^```', SECTIONS[title], re.M | re.S)]
    return ([block for block in found if isinstance(block, list)],
            [block for block in found if isinstance(block, dict)])


def contract(entries):
    """Put action entries into a contract."""
    return parse_contract(yaml.safe_dump({
        'robot': 'arm', 'rate_hz': 10, 'actions': entries,
        'observations': [{'key': 'observation.state', 'topic': 'joint_states',
                          'type': JOINT_STATE, 'joints': ['elbow'], 'max_age_ms': 100}]}))


def outputs(title):
    return [output for entries in blocks(title)[0] for output in contract(entries).actions]


OUTPUTS = [output for title in MODES for output in outputs(title)]


def shown(*kinds):
    """Let a test run for all outputs of some types that the page shows."""
    return pytest.mark.parametrize('output', [
        pytest.param(output, id=f'{output.type.split("/")[2]}-{output.topic}')
        for output in OUTPUTS if output.type in kinds])


@pytest.fixture(scope='module', params=['rosbags', 'rclpy'])
def types(request):
    if request.param == 'rclpy':
        pytest.importorskip('rclpy')
        from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
        return MESSAGE_CLASSES
    typesys = pytest.importorskip('rosbags.typesys')
    return typesys.get_typestore(typesys.Stores.ROS2_HUMBLE).types


def build(output, types, rows=1):
    values = np.ones((rows, len(output.names))) + np.arange(len(output.names))
    return build_command(output, values, types, stamp_ns=STAMP_NS, lead_ns=LEAD_NS,
                         period_ns=PERIOD_NS)


def nanoseconds(time):
    return time.sec * 10**9 + time.nanosec


def test_every_type_of_command_has_a_mode():
    assert {output.type for output in OUTPUTS} == set(ACTION_TYPES)
    assert {output.trajectory for output in OUTPUTS if output.type == JOINT_TRAJECTORY} \
        == {'point', 'chunk'}


def test_every_block_is_yaml_of_a_kind_that_is_checked():
    assert PAGE.count('```') == 2 * sum(len(entries) + len(controllers)
                                        for entries, controllers in map(blocks, MODES))


def test_the_links_of_the_table_lead_to_the_modes():
    slugs = [re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-') for title in MODES]
    assert re.findall(r'\]\(#(.*?)\)', PAGE) == slugs


@pytest.mark.parametrize('title', MODES)
def test_controllers_listen_to_the_topics_and_have_the_joints_of_the_contract(title):
    by_topic = {output.topic: output for output in outputs(title)}
    for document in blocks(title)[1]:
        manager = document.pop('controller_manager', {'ros__parameters': {}})['ros__parameters']
        kinds = {name: value['type'] for name, value in manager.items()
                 if isinstance(value, dict)}
        assert set(kinds) == set(document) - {'servo_node'}
        for name, kind in kinds.items():
            output = by_topic.pop(f'{name}/{LISTENS[kind]}')
            joints = document[name]['ros__parameters'].get('joints')
            assert joints == (None if output.type == TWIST_STAMPED else list(output.names))
        assert not kinds or not any('/' in topic for topic in by_topic)


def test_servo_listens_to_the_topic_of_the_poses_for_longer_than_three_commands():
    title = next(title for title in MODES if title.startswith('Pose'))
    (output,), (document,) = outputs(title), blocks(title)[1]
    servo = document['servo_node']['ros__parameters']['moveit_servo']
    assert servo['pose_command_in_topic'].replace('~', 'servo_node') == output.topic
    assert servo['incoming_command_timeout'] > 3 * PERIOD_NS / 1e9


def test_every_trajectory_controller_starts_where_the_last_command_has_come_to():
    for title in MODES:
        for document in blocks(title)[1]:
            for node in document.values():
                parameters = node['ros__parameters']
                assert parameters.get('interpolate_from_desired_state',
                                      'command_interfaces' not in parameters)


@shown(*ACTION_TYPES)
def test_headers_say_when_a_command_is_due_but_a_trajectorys_starts_on_arrival(output, types):
    message = build(output, types)
    assert hasattr(message, 'header') == (output.type not in (FLOAT64_ARRAY, TWIST))
    if hasattr(message, 'header'):
        due_ns = 0 if output.type == JOINT_TRAJECTORY else STAMP_NS
        assert nanoseconds(message.header.stamp) == due_ns
        assert message.header.frame_id == output.frame_id


@shown(FLOAT64_ARRAY)
def test_bare_numbers_have_an_empty_layout(output, types):
    message = build(output, types)
    assert list(message.layout.dim) == [] and message.layout.data_offset == 0
    assert list(message.data) == [1.0 + k for k in range(len(output.names))]


@shown(JOINT_TRAJECTORY)
def test_a_trajectory_is_one_that_its_controller_accepts(output, types):
    rows = 1 if output.trajectory == 'point' else 8
    message = build(output, types, rows)
    due_ns = [nanoseconds(point.time_from_start) for point in message.points]
    assert due_ns == [LEAD_NS + k * PERIOD_NS for k in range(rows)]
    assert due_ns[0] > 0 and (np.diff(due_ns) > 0).all()
    if rows > 1:  # the page names the first of them
        assert ', '.join(f'{due / 1e6:.0f}' for due in due_ns[:3]) + ' ms' in PAGE
    assert list(message.joint_names) == list(output.names)
    for point in message.points:
        assert len(point.positions) == len(output.names)
        assert not len(point.velocities) + len(point.accelerations) + len(point.effort)


@shown(TWIST, TWIST_STAMPED)
def test_components_that_are_not_named_are_zero(output, types):
    message = build(output, types)
    twist = message.twist if output.type == TWIST_STAMPED else message
    assert (twist.linear.x, twist.angular.z) == (1.0, 2.0)
    assert (twist.linear.y, twist.linear.z, twist.angular.x, twist.angular.y) == (0,) * 4


@shown(POSE_STAMPED)
def test_a_pose_has_a_frame_and_a_unit_quaternion(output, types):
    message = build(output, types)
    turn = message.pose.orientation
    assert np.hypot(np.hypot(turn.x, turn.y), np.hypot(turn.z, turn.w)) == pytest.approx(1)
    assert message.header.frame_id


@shown(JOINT_STATE)
def test_a_joint_state_fills_the_one_array_that_the_contract_names(output, types):
    message = build(output, types)
    assert [len(message.position), len(message.velocity), len(message.effort)] == [3, 0, 0]
