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

"""
Read a world that Gazebo and MuJoCo share: the part of SDF that the files in worlds/ use.

http://sdformat.org/spec. What lies beside the models and lights (plugins, the physics engine)
is Gazebo's own business; inside a model everything counts, so what is not known is refused.
"""

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from diffusion_policy_ros.checks import is_number, shown
from diffusion_policy_ros.errors import ConfigError
import numpy as np

# Element -> elements that it may hold.
KNOWN = {
    'world': {'gravity', 'light', 'model', 'physics', 'plugin', 'scene'},
    'model': {'link', 'pose', 'static'},
    'link': {'collision', 'inertial', 'pose', 'visual'},
    'inertial': {'inertia', 'mass', 'pose'},
    'inertia': {'ixx', 'ixy', 'ixz', 'iyy', 'iyz', 'izz'},
    'visual': {'geometry', 'material', 'pose'},
    'collision': {'geometry', 'pose', 'surface'},
    'geometry': {'box', 'cylinder', 'plane', 'sphere'},
    'box': {'size'}, 'cylinder': {'length', 'radius'}, 'plane': {'normal', 'size'},
    'sphere': {'radius'},
    'surface': {'friction'}, 'friction': {'ode'}, 'ode': {'mu', 'mu2'},
    'material': {'ambient', 'diffuse', 'specular'},
    'light': {'cast_shadows', 'diffuse', 'direction', 'pose', 'specular'},
}
# Shape -> elements with its sizes and how many numbers each holds.
SIZES = {'box': (('size', 3),), 'cylinder': (('radius', 1), ('length', 1)),
         'sphere': (('radius', 1),), 'plane': (('size', 2),)}
GREY = (0.7, 0.7, 0.7, 1.0)
INERTIA = ('ixx', 'iyy', 'izz', 'ixy', 'ixz', 'iyz')


@dataclass(frozen=True, eq=False)
class Shape:
    """
    What a model looks like, or what touches.

    :ivar kind: A key of ``SIZES``.
    :ivar size: Box: x, y, z; cylinder: radius, length; sphere: radius; plane: x, y. In m.
    :ivar pose: In the frame of the model, float64 ``(4, 4)``.
    :ivar rgba: Colour, each in [0, 1]; None for what touches and is not seen.
    :ivar friction: Coefficient of sliding friction, no unit; None where nothing is said.
    """

    kind: str
    size: tuple
    pose: np.ndarray
    rgba: tuple = None
    friction: float = None


@dataclass(frozen=True, eq=False)
class Model:
    """
    One rigid thing.

    :ivar name: Its name.
    :ivar static: Whether it never moves.
    :ivar pose: In the world, float64 ``(4, 4)``.
    :ivar visuals: ``Shape`` of what is seen.
    :ivar collisions: ``Shape`` of what touches.
    :ivar mass: In kg; None for what is static.
    :ivar inertia: ixx, iyy, izz, ixy, ixz, iyz about the centre of mass, kg m^2, or None.
    :ivar inertial_pose: Centre of mass and the inertia's axes in the model's frame ``(4, 4)``.
    """

    name: str
    static: bool
    pose: np.ndarray
    visuals: tuple
    collisions: tuple
    mass: float = None
    inertia: tuple = None
    inertial_pose: np.ndarray = None


@dataclass(frozen=True)
class Light:
    """
    A light from far away.

    :ivar name: Its name.
    :ivar position: Where it is drawn from, m; of no meaning for the direction.
    :ivar direction: Where it shines to.
    :ivar diffuse: Red, green and blue of what it lights, each in [0, 1].
    :ivar specular: The same of what glitters.
    :ivar shadows: Whether it casts any.
    """

    name: str
    position: tuple
    direction: tuple
    diffuse: tuple
    specular: tuple
    shadows: bool


@dataclass(frozen=True, eq=False)
class World:
    """
    All of a world that is simulated.

    :ivar name: Its name.
    :ivar step_s: Step of the physics in s.
    :ivar gravity: In m/s^2.
    :ivar ambient: Red, green and blue of the light that is everywhere.
    :ivar background: Colour of the sky.
    :ivar models: Tuple of ``Model``.
    :ivar lights: Tuple of ``Light``.
    """

    name: str
    step_s: float
    gravity: tuple
    ambient: tuple
    background: tuple
    models: tuple
    lights: tuple


def read_world(path) -> World:
    """
    Read an SDF file with one world.

    :param path: The file.
    :raises ConfigError: naming the file, the model, what was found and what to do about it.
    """
    path = Path(path)
    try:
        text = path.read_text('utf-8')
        if '<!DOCTYPE' in text:
            raise ConfigError(f'{path} contains "<!DOCTYPE", which no SDF needs; remove it')
        root = ElementTree.fromstring(text)
    except (OSError, ValueError, ElementTree.ParseError) as error:
        raise ConfigError(f'{path} is no readable SDF file: {error}') from error
    worlds = root.findall('world')
    if root.tag != 'sdf' or len(worlds) != 1:
        raise ConfigError(f'{path} holds {len(worlds)} worlds in <{root.tag}>; wanted is one in '
                          '<sdf>')
    world, where = worlds[0], str(path)
    _check_children(world, where)
    models = tuple(_read_model(element, where) for element in world.findall('model'))
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f'{where}: the model {shown(name)} is there twice; rename one')
    step_s, = _numbers(world, 'physics/max_step_size', 1, where, (0.001,))
    if step_s <= 0:
        raise ConfigError(f'{where}: physics/max_step_size is {step_s:g}; it must be above 0 s')
    return World(
        world.get('name', ''), step_s,
        _numbers(world, 'gravity', 3, where, (0.0, 0.0, -9.8)),
        _numbers(world, 'scene/ambient', 4, where, (0.4, 0.4, 0.4, 1.0))[:3],
        _numbers(world, 'scene/background', 4, where, GREY)[:3],
        models, tuple(_read_light(element, where) for element in world.findall('light')))


def _read_model(element, where):
    """Read one model."""
    where = f'{where}: model {shown(element.get("name"))}'
    if not element.get('name'):
        raise ConfigError(f'{where} needs a name')
    _check_all(element, where)
    static = element.findtext('static', 'false').strip() in ('true', '1')
    links = element.findall('link')
    if not links or (len(links) > 1 and not static):
        raise ConfigError(f'{where} has {len(links)} links; what moves has one here, what is '
                          'static one or more')
    mass = {} if static else _read_inertial(links[0], where)
    return Model(element.get('name'), static, _pose(element, where),
                 _read_shapes(links, 'visual', where), _read_shapes(links, 'collision', where),
                 **mass)


def _read_inertial(link, where):
    """Return mass, inertia and where they are, by field of ``Model``."""
    mass, = _numbers(link, 'inertial/mass', 1, where)
    inertia = tuple(_numbers(link, f'inertial/inertia/{axis}', 1, where,
                             None if axis in INERTIA[:3] else (0.0,))[0] for axis in INERTIA)
    if mass <= 0 or min(inertia[:3]) <= 0:
        raise ConfigError(f'{where} has the mass {mass:g} and moments of inertia {inertia[:3]}; '
                          'they must be above 0')
    pose = _pose(link, where) @ _pose(link.find('inertial'), where)
    return {'mass': mass, 'inertia': inertia, 'inertial_pose': pose}


def _read_shapes(links, tag, where):
    """Return the shapes of some links, seen ones or touching ones."""
    return tuple(_read_shape(element, _pose(link, where), where)
                 for link in links for element in link.findall(tag))


def _read_shape(element, link_pose, where):
    """Read one visual or collision."""
    where = f'{where}: {element.tag} {shown(element.get("name"))}'
    geometry = list(element.find('geometry') if element.find('geometry') is not None else ())
    if len(geometry) != 1:
        raise ConfigError(f'{where} has {len(geometry)} shapes in its geometry; wanted is one of '
                          f'{", ".join(SIZES)}')
    shape, = geometry
    size = sum((_numbers(shape, name, count, where) for name, count in SIZES[shape.tag]), ())
    if min(size) <= 0:
        raise ConfigError(f'{where}: the sizes of its {shape.tag} are {size}; they must be above '
                          '0')
    if _numbers(shape, 'normal', 3, where, (0.0, 0.0, 1.0)) != (0.0, 0.0, 1.0):
        raise ConfigError(f'{where}: the normal of its plane must be 0 0 1; turn it by its pose')
    seen = element.tag == 'visual'
    mu, mu2 = (_numbers(element, f'surface/friction/ode/{name}', 1, where, (None,))[0]
               for name in ('mu', 'mu2'))
    if mu != mu2:
        raise ConfigError(f'{where}: mu is {mu} and mu2 is {mu2}; write both, and equal')
    return Shape(shape.tag, size, link_pose @ _pose(element, where),
                 _numbers(element, 'material/diffuse', 4, where, GREY) if seen else None, mu)


def _read_light(element, where):
    """Read one light."""
    where = f'{where}: light {shown(element.get("name"))}'
    _check_all(element, where)
    if element.get('type') != 'directional':
        raise ConfigError(f'{where} is of type {shown(element.get("type"))}; only "directional" '
                          'is simulated')
    return Light(element.get('name', ''), tuple(_pose(element, where)[:3, 3].tolist()),
                 _numbers(element, 'direction', 3, where),
                 _numbers(element, 'diffuse', 4, where, GREY)[:3],
                 _numbers(element, 'specular', 4, where, (0.1, 0.1, 0.1, 1.0))[:3],
                 element.findtext('cast_shadows', 'true').strip() in ('true', '1'))


def _check_all(element, where):
    """Check an element and everything in it."""
    _check_children(element, where)
    for child in element:
        if child.tag == 'pose' and child.attrib:
            raise ConfigError(f'{where}: a pose has {", ".join(child.attrib)}; only poses '
                              'relative to what they are in, in rad, are read')
        _check_all(child, where)


def _check_children(element, where):
    """Refuse an element that holds what is not simulated."""
    known = KNOWN.get(element.tag, set())
    for child in element:
        if child.tag not in known:
            raise ConfigError(f'{where}: <{child.tag}> inside <{element.tag}> is not simulated; '
                              f'remove it, or use only: {", ".join(sorted(known)) or "text"}')


def _pose(element, where):
    """Return the pose of an element in what it is in, float64 ``(4, 4)``."""
    x, y, z, roll, pitch, yaw = _numbers(element, 'pose', 6, where, (0.0,) * 6)
    pose = np.eye(4)
    pose[:3, :3] = _turn(2, yaw) @ _turn(1, pitch) @ _turn(0, roll)
    pose[:3, 3] = x, y, z
    return pose


def _turn(axis, angle):
    """Return the rotation about one of the three axes."""
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[[i, j], [i, j]] = np.cos(angle)
    matrix[i, j], matrix[j, i] = -np.sin(angle), np.sin(angle)
    return matrix


def _numbers(element, path, count, where, default=None):
    """Return the numbers of an element below; without a default it must be there."""
    text = element.findtext(path)
    if text is None and default is not None:
        return default
    try:
        numbers = tuple(float(word) for word in (text or '').split())
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(is_number, numbers)):
        raise ConfigError(f'{where}: {path} is {shown(text)}; it must be {count} finite '
                          'number(s)')
    return numbers
