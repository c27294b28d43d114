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

"""The shipped RViz and Foxglove files: that they parse, and show what our nodes really offer."""

import ast
from dataclasses import fields
import json
from pathlib import Path
import re

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.telemetry import Latency
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
NODES = ROOT / 'diffusion_policy_ros' / 'nodes'
# Each view with the node of its simulated robot and that robot's contract.
ROBOTS = {'policy': ('pusht_sim', 'pusht'), 'arm': ('arm_sim', 'arm_pick_place')}
CAMERAS = {'policy': {'/camera/image_raw'},
           'arm': {'/wrist_camera/image_raw', '/scene_camera/image_raw'}}
RVIZ = {name: yaml.safe_load((ROOT / 'config' / 'rviz' / f'{name}.rviz').read_text('utf-8'))
        for name in ROBOTS}
FOXGLOVE = {name: json.loads((ROOT / 'config' / 'foxglove' / f'{name}.json').read_text('utf-8'))
            for name in ROBOTS}
PANELS = {name: layout['configById'] for name, layout in FOXGLOVE.items()}
of_each = pytest.mark.parametrize('name', ROBOTS)
# What RViz 2 brings along (plugins_description.xml of rviz_common and rviz_default_plugins).
RVIZ_CLASSES = {
    *(f'rviz_common/{name}' for name in (
        'Displays', 'Selection', 'Time', 'Tool Properties', 'Views')),
    *(f'rviz_default_plugins/{name}' for name in (
        'Axes', 'Camera', 'FocusCamera', 'Grid', 'Image', 'Interact', 'Marker', 'MarkerArray',
        'Measure', 'MoveCamera', 'Orbit', 'Path', 'PointStamped', 'Pose', 'PoseArray',
        'RobotModel', 'Select', 'TF', 'TopDownOrtho', 'XYOrbit'))}
RVIZ_POLICIES = {'Durability Policy': {'Volatile', 'Transient Local'},
                 'Reliability Policy': {'Reliable', 'Best Effort'},
                 'History Policy': {'Keep Last', 'Keep All'}}
# The panels of Foxglove and of Lichtblick, its open successor; an id is "<type>!<name>".
PANEL_TYPES = {
    '3D', 'CallService', 'DiagnosticStatusPanel', 'DiagnosticSummary', 'Gauge', 'Image',
    'Indicator', 'Parameters', 'PieChart', 'Plot', 'Publish', 'RawMessages', 'RosOut',
    'SourceInfo', 'StateTransitions', 'Tab', 'Table', 'Teleop', 'TopicGraph', 'map'}
# Of robot_state_publisher; nothing is missing where there is none.
OF_OTHERS = {'/robot_description'}


def offered_by(node):
    """Return what a node and the modules of ``nodes`` that it loads name with a "~/"."""
    found, waiting = set(), [node]
    while waiting:
        name = waiting.pop()
        if name in found or not (NODES / f'{name}.py').exists():
            continue
        found.add(name)
        for part in ast.walk(ast.parse((NODES / f'{name}.py').read_text('utf-8'))):
            if isinstance(part, ast.ImportFrom) and part.module == 'diffusion_policy_ros.nodes':
                waiting += [alias.name for alias in part.names]
            elif isinstance(part, ast.ImportFrom) and part.module.startswith(
                    'diffusion_policy_ros.nodes.'):
                waiting.append(part.module.split('.')[-1])
    texts = ''.join((NODES / f'{name}.py').read_text('utf-8') for name in found)
    return {f'/{node}/{name}' for name in re.findall(r"'~/([a-z_/]+)'", texts)}


def offered(name):
    """Return the topics and services of our nodes and of a simulated robot."""
    simulation, robot = ROBOTS[name]
    contract = load_contract(ROOT / 'config' / 'robots' / f'{robot}.yaml')
    return {*offered_by('policy_server'), *offered_by('command_safety'), '/diagnostics',
            *offered_by(simulation),
            *(f'/{entry.topic}' for entry in (*contract.observations, *contract.actions))}


def named_in(document):
    """Return all absolute names in a document, without the fields of a message path."""
    if isinstance(document, dict):
        return set().union(*(named_in(part) for part in (*document, *document.values())))
    if isinstance(document, list):
        return set().union(*map(named_in, document))
    if isinstance(document, str) and document.startswith('/'):
        return {document.split('.')[0]}
    return set()


def classes_in(document):
    """Return all entries that name a class."""
    if isinstance(document, dict):
        own = [document] if document.get('Class') else []
        return own + [found for part in document.values() for found in classes_in(part)]
    if isinstance(document, list):
        return [found for part in document for found in classes_in(part)]
    return []


def leaves_of(tree):
    """Return the panels of a layout from left to right and from top to bottom."""
    if isinstance(tree, str):
        return [tree]
    assert set(tree) == {'direction', 'first', 'second', 'splitPercentage'}
    assert tree['direction'] in ('row', 'column') and 5 <= tree['splitPercentage'] <= 95
    return leaves_of(tree['first']) + leaves_of(tree['second'])


@of_each
@pytest.mark.parametrize('tool', ['rviz', 'foxglove'])
def test_every_name_is_one_that_our_nodes_offer(tool, name):
    named = named_in(
        RVIZ[name]['Visualization Manager'] if tool == 'rviz' else PANELS[name])
    assert {'/policy_server/markers', '/policy_server/overlay/compressed', '/robot_description',
            *CAMERAS[name]} <= named
    assert named - OF_OTHERS <= offered(name)


@of_each
def test_rviz_knows_every_class(name):
    found = classes_in(RVIZ[name])
    assert {entry['Class'] for entry in found} <= RVIZ_CLASSES
    assert {f'rviz_default_plugins/{name}' for name in (
        'MarkerArray', 'Image', 'RobotModel', 'TF', 'Orbit')} <= {e['Class'] for e in found}


@of_each
def test_rviz_subscribes_as_the_topics_are_published(name):
    topics = {}
    for display in RVIZ[name]['Visualization Manager']['Displays']:
        for key in ('Topic', 'Description Topic'):
            if key in display:
                topic = display[key]
                topics[topic['Value']] = topic
                for policy, choices in RVIZ_POLICIES.items():
                    assert topic[policy] in choices
    assert topics['/robot_description']['Durability Policy'] == 'Transient Local'
    assert topics['/policy_server/markers']['Durability Policy'] == 'Volatile'
    # A reliable subscription would get nothing from a best-effort camera.
    for camera in CAMERAS[name]:
        assert topics[camera]['Reliability Policy'] == 'Best Effort'


def test_the_view_of_the_arm_is_in_a_frame_of_its_description():
    urdf = (ROOT / 'urdf' / 'arm.urdf.xacro').read_text('utf-8')
    frame = RVIZ['arm']['Visualization Manager']['Global Options']['Fixed Frame']
    assert frame == PANELS['arm']['3D!plan']['followTf'] and f'<link name="{frame}"' in urdf


def test_the_plots_of_the_arm_name_joints_as_commands_and_joint_states_order_them():
    contract = load_contract(ROOT / 'config' / 'robots' / 'arm_pick_place.yaml')
    orders = {f'/{entry.topic}': entry.names for entry in (
        *contract.actions, *contract.streams_of('observation.state'))}
    for path in PANELS['arm']['Plot!commands']['paths']:
        topic, index = re.fullmatch(r'(.*)\.(?:data|position)\[(\d)\]', path['value']).groups()
        assert path['label'].split()[0] == orders[topic][int(index)]


@of_each
def test_rviz_shows_the_namespaces_that_the_markers_have(name):
    pytest.importorskip('visualization_msgs')
    from diffusion_policy_ros.nodes import plan_markers
    plan, = [display for display in RVIZ[name]['Visualization Manager']['Displays']
             if display['Class'] == 'rviz_default_plugins/MarkerArray']
    assert plan['Namespaces'] == dict.fromkeys(
        [plan_markers.PLAN, plan_markers.DUE, plan_markers.CANDIDATES], True)


@of_each
def test_foxglove_knows_every_panel_and_places_each_once(name):
    assert {panel.split('!')[0] for panel in PANELS[name]} <= PANEL_TYPES
    assert sorted(leaves_of(FOXGLOVE[name]['layout'])) == sorted(PANELS[name])


@of_each
def test_foxglove_plots_every_part_of_the_latency_under_its_name(name):
    names = Latency(*[0.0] * len(fields(Latency))).named()
    assert {path['label']: path['value'] for path in PANELS[name]['Plot!latency']['paths']} == {
        part: f'/policy_server/latency.data[{index}]' for index, part in enumerate(names)}


@of_each
def test_foxglove_has_a_button_for_every_service_that_stops_and_goes_on(name):
    calls = [config for panel, config in PANELS[name].items() if panel.startswith('CallService!')]
    assert {config['serviceName'] for config in calls} - {'/arm_sim/reset'} == {
        '/policy_server/reset', '/command_safety/trip', '/command_safety/rearm'}
    assert all(json.loads(config['requestPayload']) == {} for config in calls)


@of_each
def test_foxglove_lights_tell_each_level_and_silence(name):
    for panel, config in PANELS[name].items():
        if panel.startswith('Indicator!'):
            assert [rule['rawValue'] for rule in config['rules']] == ['0', '1', '2']
            assert config['fallbackLabel'] == 'silent'
