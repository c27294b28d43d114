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

"""The reader of worlds: what comes through, and what is refused with which words."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.world import read_world
import numpy as np
import pytest

BALL = """<model name="ball"><pose>1 2 3 0 0 1.5707963267948966</pose><link name="l">
  <pose>0.1 0 0 0 0 0</pose>
  <inertial><pose>0 0.2 0 0 0 0</pose><mass>2</mass><inertia><ixx>1</ixx><iyy>2</iyy><izz>2.5</izz>
    <ixy>0.1</ixy></inertia></inertial>
  <visual name="v"><pose>0 0 0.3 1.5707963267948966 0 0</pose>
    <geometry><cylinder><radius>0.1</radius><length>0.4</length></cylinder></geometry>
    <material><diffuse>0.1 0.2 0.3 1</diffuse></material></visual>
  <collision name="c"><geometry><sphere><radius>0.1</radius></sphere></geometry>
    <surface><friction><ode><mu>0.7</mu><mu2>0.7</mu2></ode></friction></surface></collision>
</link></model>"""
SUN = '<light name="sun" type="directional"><direction>0 0 -1</direction></light>'


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a world of some elements."""
    def read_text(inside=BALL, whole='<sdf version="1.10"><world name="w">{}</world></sdf>'):
        path = tmp_path / 'some.sdf'
        path.write_text(whole.format(inside))
        return read_world(path)
    return read_text


def test_every_part_of_a_model_is_read(read):
    world = read(BALL + SUN + '<physics><max_step_size>0.002</max_step_size></physics>'
                 '<gravity>0 0 -1.62</gravity><plugin name="p" filename="f"/>')
    ball, = world.models
    assert (ball.name, ball.static, ball.mass) == ('ball', False, 2.0)
    np.testing.assert_allclose(ball.pose, [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3],
                                           [0, 0, 0, 1]], atol=1e-12)
    assert ball.inertia == (1.0, 2.0, 2.5, 0.1, 0.0, 0.0)
    np.testing.assert_allclose(ball.inertial_pose[:3, 3], [0.1, 0.2, 0.0])
    seen, = ball.visuals
    assert (seen.kind, seen.size, seen.rgba) == ('cylinder', (0.1, 0.4), (0.1, 0.2, 0.3, 1.0))
    np.testing.assert_allclose(seen.pose, [[1, 0, 0, 0.1], [0, 0, -1, 0], [0, 1, 0, 0.3],
                                           [0, 0, 0, 1]], atol=1e-12)
    touching, = ball.collisions
    assert (touching.kind, touching.size, touching.friction) == ('sphere', (0.1,), 0.7)
    assert (world.step_s, world.gravity) == (0.002, (0.0, 0.0, -1.62))
    assert world.lights[0].direction == (0.0, 0.0, -1.0)


def test_roll_pitch_and_yaw_turn_about_fixed_axes_in_this_order(read):
    text = BALL.replace('1 2 3 0 0 1.5707963267948966', '0 0 0 0.3 -0.5 0.7')
    cr, sr, cp, sp, cy, sy = (f(angle) for angle in (0.3, -0.5, 0.7) for f in (np.cos, np.sin))
    np.testing.assert_allclose(read(text).models[0].pose[:3, :3], [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr]], atol=1e-12)


@pytest.mark.parametrize('old, new, words', [
    ('<inertial>', '<sensor name="s"/><inertial>', '<sensor> inside <link> is not simulated; '
     'remove it, or use only: collision, inertial, pose, visual'),
    ('</link>', '</link><joint name="j"/>', '<joint> inside <model> is not simulated'),
    ('<sphere>', '<mesh/><sphere>', '<mesh> inside <geometry>'),
    ('<ode>', '<bullet/><ode>', '<bullet> inside <friction>'),
    ('<pose>1 2 3', '<pose relative_to="x">1 2 3', "model 'ball': a pose has relative_to"),
    ('1 2 3 0', '1 2 0', "pose is '1 2 0 0 1.57.*'; it must be 6 finite number"),
    ('<mass>2</mass>', '<mass>heavy</mass>', "inertial/mass is 'heavy'"),
    ('<mass>2</mass>', '<mass>-2</mass>', 'has the mass -2'),
    ('<mass>2</mass>', '', 'inertial/mass is None'),
    ('<radius>0.1</radius><length>', '<radius>-1</radius><length>', 'sizes of its cylinder'),
    ('<radius>0.1</radius><length>', '<radius>inf</radius><length>', "radius is 'inf'"),
    ('<geometry><sphere><radius>0.1</radius></sphere></geometry>', '<geometry/>',
     "collision 'c' has 0 shapes in its geometry; wanted is one of box, cylinder, sphere, plane"),
    ('<mu2>0.7</mu2>', '', 'mu is 0.7 and mu2 is None; write both'),
    ('name="ball"', '', 'needs a name'),
    ('</link>', '</link><link name="m"/>', 'has 2 links'),
    ('<sphere><radius>0.1</radius></sphere>',
     '<plane><normal>1 0 0</normal><size>1 1</size></plane>', 'normal of its plane')])
def test_what_would_be_simulated_otherwise_is_refused_by_name(read, old, new, words):
    assert old in BALL
    with pytest.raises(ConfigError, match=words):
        read(BALL.replace(old, new))


@pytest.mark.parametrize('inside, words', [
    ('<include/>', r'some.sdf: <include> inside <world> is not simulated'),
    ('<physics><max_step_size>0</max_step_size></physics>', 'max_step_size is 0; .* above 0 s'),
    ('<physics><max_step_size>-1</max_step_size></physics>', 'max_step_size is -1;'),
    (BALL + BALL, "model 'ball' is there twice"),
    (SUN.replace('directional', 'spot'), "light 'sun' is of type 'spot'; only \"directional\"")])
def test_what_a_world_cannot_hold_is_refused(read, inside, words):
    with pytest.raises(ConfigError, match=words):
        read(inside)


def test_what_is_no_world_is_refused(read, tmp_path):
    for whole, words in (('<sdf><world', 'is no readable SDF file'), ('', 'is no readable'),
                         ('<sdf/>', 'holds 0 worlds in <sdf>'),
                         ('<robot><world/></robot>', 'holds 1 worlds in <robot>'),
                         ('<!DOCTYPE sdf><sdf/>', 'remove it')):
        with pytest.raises(ConfigError, match=words):
            read('', whole)
    with pytest.raises(ConfigError, match='nowhere.sdf is no readable SDF file'):
        read_world(tmp_path / 'nowhere.sdf')


@pytest.mark.parametrize('name, things', [
    ('arm_pick_place', {'cube', 'bin_left', 'bin_right'}), ('arm_push', {'puck', 'goal'})])
def test_the_shipped_worlds_hold_what_their_tasks_need(worlds, name, things):
    world = read_world(worlds / f'{name}.sdf')
    assert world.name == name
    assert {model.name for model in world.models} == {'ground', 'table'} | things
    assert world.step_s == 0.002
    table = next(model for model in world.models if model.name == 'table')
    top = table.collisions[0]
    assert (table.pose @ top.pose)[2, 3] + top.size[2] / 2 == pytest.approx(0.0)
