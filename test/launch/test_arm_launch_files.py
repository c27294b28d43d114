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

"""The launch files of simulated and real robots, on pretended packages."""

from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.launch
CONTROLLERS = {'forward': 'arm_forward_controller', 'trajectory': 'arm_controller'}
CONTRACTS = {'forward': 'arm_pick_place', 'trajectory': 'arm_pick_place_trajectory'}


def names(calls):
    """Return the programs of some calls."""
    return [call.split()[0] for call in calls]


def call_of(program, calls):
    """Return the one call of a program."""
    call, = [call for call in calls if call.split()[0] == program]
    return call


@pytest.mark.parametrize('arm_controller', CONTROLLERS)
@pytest.mark.parametrize('name, first', [('gazebo', ['create']), ('mock', [])])
def test_controllers_come_up_in_order_and_the_contract_fits_the_active_one(
        launched, name, first, arm_controller):
    run = launched((name, f'arm_controller:={arm_controller}'), until='command_safety')
    assert not run.missing, run.outputs[0]
    ordered = [call for call in run.calls if call.split()[0] in (
        'create', 'spawner', 'command_safety')]
    assert names(ordered) == [*first, 'spawner', 'spawner', 'spawner', 'command_safety']
    active = CONTROLLERS[arm_controller]
    other, = set(CONTROLLERS.values()) - {active}
    spawners = ordered[len(first):-1]
    assert [call.split(' --')[0] for call in spawners] == [
        'spawner joint_state_broadcaster', f'spawner {active} gripper_controller',
        f'spawner {other}']
    assert ['--inactive' in call for call in spawners] == [False, False, True]
    assert all(f'--param-file {run.share}/config/gazebo/controllers.yaml' in call
               and '--controller-manager /controller_manager' in call for call in spawners)
    assert f'contract: {run.share}/config/robots/{CONTRACTS[arm_controller]}.yaml' in ordered[-1]


@pytest.mark.parametrize('name, failing, spawners', [
    ('gazebo', 'create', 0), ('gazebo', 'spawner', 1), ('mock', 'spawner', 1)])
def test_where_a_step_fails_nothing_that_needs_it_is_started_and_the_launch_ends(
        launched, name, failing, spawners):
    run = launched((name,), until='command_safety', failing=failing)
    assert run.missing
    assert 'ended with exit code 3: what should come after it is not started' in run.outputs[0], \
        '\n'.join(line[:300] for line in run.outputs[0].splitlines()[-40:])
    assert names(run.calls).count('spawner') == spawners
    assert 'command_safety' not in names(run.calls)


@pytest.mark.parametrize('headless, words', [
    ('true', '-s --headless-rendering -r --seed 7'), ('false', '-r --seed 7')])
def test_gazebo_is_told_world_seed_and_whether_there_is_a_screen(launched, headless, words):
    run = launched(('gazebo', f'headless:={headless}', 'seed:=7'), until='gz')
    world = run.share / 'worlds' / 'arm_pick_place.sdf'
    assert call_of('gz', run.calls).startswith(f'gz {words} {world} true ')


def test_gazebo_finds_the_files_of_the_package_and_its_plugin_the_fast_dds_profile(launched):
    run = launched(('gazebo',), until='gz')
    profile, resources = call_of('gz', run.calls).split()[-2:]
    assert profile == f'{run.share}/config/fastdds.xml'
    assert str(run.share.parent) in resources.split(':')


def test_gazebo_runs_everything_on_its_clock_and_pictures_past_the_other_bridge(launched):
    run = launched(('gazebo', 'dry_run:=true', 'speed_scale:=0.5'), until='command_safety')
    for program in ('robot_state_publisher', 'parameter_bridge', 'image_bridge', 'command_safety'):
        assert 'use_sim_time: true' in call_of(program, run.calls), program
    image_bridge = call_of('image_bridge', run.calls)
    assert image_bridge.startswith(
        'image_bridge wrist_camera/image_raw scene_camera/image_raw')
    assert 'qos: sensor_data' in image_bridge
    assert f'config_file: {run.share}/config/gazebo/bridge.yaml' in call_of(
        'parameter_bridge', run.calls)
    safety = call_of('command_safety', run.calls)
    assert 'dry_run: true' in safety and 'speed_scale: 0.5' in safety
    description = call_of('robot_state_publisher', run.calls)
    assert f'<parameters>{run.share}/config/gazebo/controllers.yaml</parameters>' in description


def test_gazebo_gets_no_link_of_the_world_without_a_mass_which_it_would_leave_out():
    from diffusion_policy_ros.launching.robot import for_gazebo
    robot = ElementTree.fromstring(for_gazebo("""
        <robot name="a"><link name="world"/><link name="camera"/><link name="base">
        <inertial><mass value="4"/></inertial></link><link name="tip"/>
        <joint name="a" type="fixed"><parent link="world"/><child link="camera"/></joint>
        <joint name="b" type="fixed"><parent link="world"/><child link="base"/></joint>
        <joint name="c" type="fixed"><parent link="base"/><child link="tip"/></joint>
        </robot>""", ''))
    masses = {link.get('name'): [float(mass.get('value')) for mass in link.iter('mass')]
              for link in robot.findall('link')}
    assert masses == {'world': [], 'camera': [0.1], 'base': [4.0], 'tip': []}
    assert robot.find("link[@name='camera']/inertial/inertia").attrib == {
        'ixx': '1e-4', 'ixy': '0', 'ixz': '0', 'iyy': '1e-4', 'iyz': '0', 'izz': '1e-4'}


def test_a_namespace_moves_nodes_controllers_and_the_plugin_in_gazebo(launched):
    run = launched(('gazebo', 'namespace:=cell/left'), until='command_safety')
    for call in run.calls:
        assert call.startswith('gz ') or '__ns:=/cell/left' in call, call
    assert '-name cell_left' in call_of('create', run.calls)
    assert '<namespace>/cell/left</namespace>' in call_of('robot_state_publisher', run.calls)
    for call in run.calls:
        if call.startswith('spawner'):
            assert '--controller-manager /cell/left/controller_manager' in call


def test_a_model_brings_the_policy_behind_the_safety_node_and_record_the_recorder(
        launched, save_tiny_policy):
    model = save_tiny_policy(n_action_steps=4)
    run = launched(('mock', f'model:={model}', 'record:=true', 'task:=pick it up',
                    'safety:=false', f'contract:={model}/contract.yaml', 'command_rate_hz:=30',
                    'autostart:=false'), until='policy_server command_safety recorder')
    assert not run.missing, run.outputs[0]
    server, safety, recorder = (call_of(name, run.calls) for name in (
        'policy_server', 'command_safety', 'recorder'))
    assert f'model: {model}' in server and 'command_prefix: policy' in server
    assert 'command_rate_hz: 30' in server and 'tip_link: tool0' in server
    assert 'task: pick it up' in recorder
    for call, node in ((server, 'policy_server'), (safety, 'command_safety'),
                       (recorder, 'recorder')):
        assert f'{run.share}/config/{node}.yaml' in call  # each its own parameters
        assert f'contract: {model}/contract.yaml' in call


def test_a_real_arm_is_started_by_its_own_launch_file_and_at_first_not_moved(launched):
    run = launched(('real_arm', 'contract:=/etc/hosts', 'namespace:=a',
                    'bringup:=their_robot/driver.launch.py',
                    'bringup_arguments:=robot_ip:=10.0.0.7'), until='command_safety driver')
    assert not run.missing, run.outputs[0]
    # Its arguments are its own: it has a namespace and a contract of its own.
    words = call_of('driver', run.calls).split()
    assert words[:4] == ['driver', 'unset', 'unset', '10.0.0.7']
    # But for the profile, without which its pictures get lost.
    assert words[4] == f'{run.share}/config/fastdds.xml'
    safety = call_of('command_safety', run.calls)
    assert 'dry_run: true' in safety and 'speed_scale: 0.1' in safety
    assert set(names(run.calls)) == {'driver', 'command_safety'}


def test_a_real_arm_that_runs_already_gets_the_safety_node_alone(launched):
    run = launched(('real_arm', 'contract:=/etc/hosts', 'dry_run:=false'), until='command_safety')
    assert names(run.calls) == ['command_safety']
    assert 'dry_run: false' in run.calls[0]


def test_a_real_arm_can_be_started_from_its_description(launched):
    run = launched(
        ('real_arm', 'contract:=/etc/hosts', 'description:={share}/urdf/arm.urdf.xacro',
         'description_arguments:=hardware:=real real_plugin:=vendor/ArmSystem',
         'controllers:={share}/config/gazebo/controllers.yaml',
         'start_controllers:=joint_state_broadcaster arm_controller'), until='command_safety')
    assert not run.missing, run.outputs[0]
    assert '<plugin>vendor/ArmSystem</plugin>' in call_of('robot_state_publisher', run.calls)
    assert call_of('spawner', run.calls).startswith(
        'spawner joint_state_broadcaster arm_controller --')
    assert names(run.calls)[-2:] == ['spawner', 'command_safety']


REFUSED = [
    (('gazebo', 'world:=nowhere.sdf'), 'world:=nowhere.sdf: there is no such file'),
    (('mock', 'description:=nowhere.xacro'), 'nowhere.xacro: there is no such file'),
    (('real_arm', 'contract:=a', 'bringup:=their_robot/absent.launch.py'),
     'their_robot/absent.launch.py: there is no such file'),
    (('real_arm', 'contract:=a', 'bringup:=absent/a.launch.py'), 'not installed: absent'),
    (('real_arm', 'contract:=a', 'bringup:=b', 'description:=c'), 'both given'),
    (('real_arm', 'contract:=a', 'description:=c'), 'needs controllers:='),
    (('real_arm', 'contract:=a', 'bringup:=their_robot/driver.launch.py',
      'bringup_arguments:=robot_ip=3'), 'got robot_ip=3; wanted is name:=value'),
    (('real_arm',), "missing required argument 'contract'"),
    (('arm', 'arm_task:=push', 'arm_controller:=trajectory'),
     'arm_task:=push has no contract for arm_controller:=trajectory; give one by contract:=')]


def test_what_cannot_be_started_is_said_with_the_way_out(launched):
    run = launched(*[launch for launch, _ in REFUSED], until='command_safety')
    assert run.missing and 'command_safety' not in names(run.calls)
    for (launch, words), output in zip(REFUSED, run.outputs):
        assert words in output, launch


def test_missing_packages_are_all_named_with_the_way_to_get_them(launched):
    run = launched(('gazebo',), ('mock',), until='command_safety',
                   without=('ros_gz_image', 'controller_manager'))
    assert run.missing and not run.calls
    assert 'not installed: controller_manager, ros_gz_image. Try: sudo apt install ' \
        'ros-kilted-controller-manager ros-kilted-ros-gz-image' in run.outputs[0]
    assert 'not installed: controller_manager. Try' in run.outputs[1]


@pytest.mark.parametrize('arm_controller', CONTROLLERS)
def test_the_simulated_arm_is_the_clock_and_its_contract_fits_the_active_controller(
        launched, arm_controller):
    run = launched(('arm', f'arm_controller:={arm_controller}', 'seed:=7'),
                   until='arm_sim robot_state_publisher command_safety')
    assert not run.missing, run.outputs[0]
    simulation = call_of('arm_sim', run.calls)
    contract = f'contract: {run.share}/config/robots/{CONTRACTS[arm_controller]}.yaml'
    for words in (contract, 'seed: 7', 'publish_clock: true',
                  'viewer: false', 'task: pick_place',
                  f'controllers: {run.share}/config/gazebo/controllers.yaml'):
        assert words in simulation
    assert 'use_sim_time' not in simulation
    assert 'use_sim_time: true' in call_of('robot_state_publisher', run.calls)
    assert contract in call_of('command_safety', run.calls)


def test_the_simulated_arm_has_a_contract_for_pushing_and_can_follow_the_wall_clock(launched):
    run = launched(('arm', 'arm_task:=push', 'use_sim_time:=false'),
                   until='arm_sim command_safety')
    assert not run.missing, run.outputs[0]
    simulation = call_of('arm_sim', run.calls)
    assert 'task: push' in simulation and 'publish_clock: false' in simulation
    assert 'rviz2' not in names(run.calls)
    for call in (simulation, call_of('command_safety', run.calls)):
        assert f'contract: {run.share}/config/robots/arm_push.yaml' in call


@pytest.mark.parametrize('name, switches', [('base', ''), ('pusht', ' view: false')])
def test_a_simulation_without_its_policy_gets_its_arguments_as_parameters(
        launched, name, switches):
    run = launched((name, 'policy:=false', 'seed:=7', 'namespace:=left'), until=f'{name}_sim')
    assert not run.missing, run.outputs[0]
    assert names(run.calls) == [f'{name}_sim']
    simulation, = run.calls
    assert ' '.join(simulation.split()).endswith(f' seed: 7 use_sim_time: false{switches}')
    assert '__ns:=/left' in simulation and f'{run.share}/config/{name}_sim.yaml' in simulation


def test_a_launch_ends_with_its_simulation(launched):
    run = launched(('arm', 'seed:=-1'), ('base', 'seed:=-1', 'autostart:=false'),
                   ('pusht', 'seed:=-1', 'autostart:=false'), until='what_never_starts')
    for others, output in zip(('command_safety', 'policy_server', 'policy_server'), run.outputs):
        assert f"sending signal 'SIGINT' to process[{others}" in output, output[-2000:]


def test_rviz_comes_with_the_view_of_the_arm_where_it_is_wanted(launched):
    run = launched(('arm', 'rviz:=true'), until='rviz2')
    assert not run.missing, run.outputs[0]
    view = run.share / 'config' / 'rviz' / 'arm.rviz'
    assert view.is_file() and f'rviz2 -d {view}' in call_of('rviz2', run.calls)
