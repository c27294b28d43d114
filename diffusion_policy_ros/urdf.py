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

"""Read a robot description (URDF): its links, joints and their limits, and nothing else of it."""

from collections import Counter
from dataclasses import dataclass
import math
from xml.etree import ElementTree

from diffusion_policy_ros.checks import check_choice, shown
from diffusion_policy_ros.errors import ConfigError

# Joints with one position, in rad or m; the others are rigid, or free and not commanded by one.
ROTATING = ('revolute', 'continuous')
MOVABLE = (*ROTATING, 'prismatic')
JOINT_TYPES = (*MOVABLE, 'fixed', 'floating', 'planar')
# What contracts call the units of a URDF; without a name they are taken for those.
POSITION_UNITS = ('', 'rad', 'm')
VELOCITY_UNITS = ('rad/s', 'm/s')
MAX_CHARACTERS = 20_000_000
# Expanded files still declare the namespace, but no element of theirs is in it.
XACRO_NAMESPACES = ('{http://www.ros.org/wiki/xacro}', '{http://ros.org/wiki/xacro}')


@dataclass(frozen=True)
class Mimic:
    """
    A joint that follows another: ``position = multiplier * position of joint + offset``.

    :ivar joint: Name of the joint that leads.
    :ivar multiplier: Rad or m of this joint per rad or m of the other.
    :ivar offset: Rad or m.
    """

    joint: str
    multiplier: float
    offset: float


@dataclass(frozen=True)
class UrdfJoint:
    """
    One joint: how its child link sits on its parent link, and what it may do.

    :ivar name: Its name.
    :ivar type: One of ``JOINT_TYPES``.
    :ivar parent: Name of the link that it is attached to.
    :ivar child: Name of the link that it carries.
    :ivar xyz: Origin of the child's frame at position 0, in the parent's frame, m.
    :ivar rpy: Roll, pitch and yaw of the child's frame there, about the fixed axes x, y, z, rad.
    :ivar axis: Unit vector of the axis in the child's frame; of no meaning for a fixed joint.
    :ivar lower: Smallest position, rad or m; None where the text says nothing.
    :ivar upper: Largest position, rad or m; None where the text says nothing.
    :ivar velocity: Largest speed, rad/s or m/s; None where the text says nothing.
    :ivar mimic: The ``Mimic`` that moves it, or None.
    """

    name: str
    type: str
    parent: str
    child: str
    xyz: tuple
    rpy: tuple
    axis: tuple
    lower: float = None
    upper: float = None
    velocity: float = None
    mimic: Mimic = None


@dataclass(frozen=True)
class Urdf:
    """
    The tree of a robot.

    :ivar links: Names of all links.
    :ivar joints: Joint name -> ``UrdfJoint``, in the order of the text.
    """

    links: tuple
    joints: dict

    @property
    def root(self) -> str:
        """Return the name of the link that no joint carries."""
        carried = {joint.child for joint in self.joints.values()}
        return next(link for link in self.links if link not in carried)


def parse_urdf(text, source='robot_description') -> Urdf:
    """
    Read the joints of a robot description; shapes, masses and extensions are not looked at.

    Format: the element ``robot`` of https://wiki.ros.org/urdf/XML. A DOCTYPE is refused: only one
    can define entities, which may grow without bound or name other files.

    :param text: The URDF, xacro expanded.
    :param source: Where it came from, for the error messages.
    :return: The tree; every joint is of a known type, between links that exist, and finite.
    :raises ConfigError: naming the source, the joint, what was found and what is wanted.
    """
    root = _parse_xml(text, source)
    links = tuple(_attribute(link, 'name', f'{source}: a link') for link in root.findall('link'))
    _check_no_name_twice(links, f'{source}: link')
    found = [_parse_joint(element, source) for element in root.findall('joint')]
    _check_no_name_twice([joint.name for joint in found], f'{source}: joint')
    urdf = Urdf(links, {joint.name: joint for joint in found})
    _check_tree(urdf, source)
    _check_mimics(urdf, source)
    return urdf


def _parse_xml(text, source):
    """Return the element ``robot``."""
    if not isinstance(text, str) or not text.strip():
        raise ConfigError(f'{source} is {shown(text)}; it must be the text of a URDF')
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f'{source} has {len(text)} characters, more than any URDF needs '
                          f'({MAX_CHARACTERS})')
    if '<!DOCTYPE' in text:
        raise ConfigError(f'{source} contains "<!DOCTYPE", which a URDF does not need and could '
                          'hide anything behind; remove it')
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise ConfigError(f'{source} is not valid XML: {error}') from error
    if root.tag != 'robot':
        raise ConfigError(f'{source} begins with the element {shown(root.tag)}; a URDF begins '
                          'with "robot"')
    if any(element.tag.startswith(XACRO_NAMESPACES) for element in root):
        raise ConfigError(f'{source} is a xacro file; expand it first: xacro FILE > robot.urdf')
    return root


def _parse_joint(element, source):
    """Read one joint."""
    name = _attribute(element, 'name', f'{source}: a joint')
    where = f'{source}: joint {shown(name)}'
    kind = _attribute(element, 'type', where)
    check_choice(f'{where}: type', kind, JOINT_TYPES, ConfigError)
    ends = [_attribute(element.find(end), 'link', f'{where}: its {end}')
            for end in ('parent', 'child')]
    origin = element.find('origin')
    xyz, rpy = (_vector(origin, part, (0.0, 0.0, 0.0), where) for part in ('xyz', 'rpy'))
    return UrdfJoint(name, kind, *ends, xyz, rpy, _parse_axis(element, kind, where),
                     *_parse_limit(element.find('limit'), where),
                     _parse_mimic(element.find('mimic'), where))


def _parse_axis(element, kind, where):
    """Return the axis with length one."""
    axis = _vector(element.find('axis'), 'xyz', (1.0, 0.0, 0.0), where)
    length = math.hypot(*axis)
    if kind in MOVABLE and length < 1e-9:
        raise ConfigError(f'{where}: axis is {list(axis)}, which is no direction')
    return tuple(part / length for part in axis) if length else axis


def _parse_limit(element, where):
    """Return lower, upper and velocity, each None where it is not written."""
    lower, upper, velocity = (_number(element, part, None, where)
                              for part in ('lower', 'upper', 'velocity'))
    if lower is not None and upper is not None and lower > upper:
        raise ConfigError(f'{where}: limit lower is {lower:g}, above upper {upper:g}')
    if velocity is not None and velocity < 0:
        raise ConfigError(f'{where}: limit velocity is {velocity:g}; it must not be negative')
    return lower, upper, velocity


def _parse_mimic(element, where):
    """Return what a joint follows, None for most."""
    if element is None:
        return None
    return Mimic(_attribute(element, 'joint', f'{where}: its mimic'),
                 _number(element, 'multiplier', 1.0, where),
                 _number(element, 'offset', 0.0, where))


def _attribute(element, name, where):
    """Return an attribute that must be there."""
    value = None if element is None else element.get(name)
    if not value:
        raise ConfigError(f'{where} lacks the attribute "{name}"')
    return value


def _number(element, name, default, where):
    """Return an attribute as a finite number."""
    text = None if element is None else element.get(name)
    return default if text is None else _finite(text, 1, f'{where}: {element.tag} {name}')[0]


def _vector(element, name, default, where):
    """Return an attribute as three finite numbers."""
    text = None if element is None else element.get(name)
    return default if text is None else _finite(text, 3, f'{where}: {element.tag} {name}')


def _finite(text, count, where):
    """Return the numbers of a text."""
    try:
        numbers = tuple(float(word) for word in text.split())
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ConfigError(f'{where} is {shown(text)}; it must be {count} finite number(s)')
    return numbers


def _check_no_name_twice(names, what):
    """Refuse two links, or two joints, of one name."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f'{what} {shown(twice[0])} is there twice; names must be unique')


def _check_tree(urdf, source):
    """Check that the links hang together as one tree."""
    children = {link: [] for link in urdf.links}
    carried = set()
    for joint in urdf.joints.values():
        for link in (joint.parent, joint.child):
            if link not in children:
                raise ConfigError(f'{source}: joint {shown(joint.name)} names the link '
                                  f'{shown(link)}, which is not there')
        if joint.child in carried:
            raise ConfigError(f'{source}: joint {shown(joint.name)} carries the link '
                              f'{shown(joint.child)}, which another joint carries already')
        carried.add(joint.child)
        children[joint.parent].append(joint.child)
    roots = [link for link in urdf.links if link not in carried]
    if len(roots) != 1:
        raise ConfigError(f'{source} has {len(roots)} links that no joint carries '
                          f'({", ".join(map(shown, roots[:5]))}); a tree has exactly one')
    # With one root and one joint above every other link, what the root does not reach is a ring.
    for link in roots:
        roots.extend(children[link])
    if len(roots) < len(urdf.links):
        ring = sorted(set(urdf.links) - set(roots))
        raise ConfigError(f'{source}: the links {", ".join(map(shown, ring[:5]))} carry one '
                          'another in a ring')


def _check_mimics(urdf, source):
    """Check that every chain of followers ends at a joint that leads."""
    for joint in urdf.joints.values():
        seen = [joint.name]
        while (mimic := urdf.joints[seen[-1]].mimic) is not None:
            where = f'{source}: joint {shown(seen[-1])} mimics {shown(mimic.joint)}'
            if mimic.joint not in urdf.joints:
                raise ConfigError(f'{where}, which is not there')
            if mimic.joint in seen:
                raise ConfigError(f'{where}, which mimics it in turn')
            seen.append(mimic.joint)
