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

"""Read a robot's description for a simulation: xacro, cameras and commanded joints."""

from dataclasses import dataclass
import math
from pathlib import Path
from xml.etree import ElementTree

from diffusion_policy_ros.checks import is_number, shown
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.urdf import MOVABLE, parse_urdf
import numpy as np

SOURCE = 'robot_description'
# Names that a reader of ROS' camera messages knows; Gazebo has no other colour format of 8 bits
# that this package decodes without a loss.
PICTURE_FORMAT = 'R8G8B8'
MAX_PICTURE_SIDE = 4096
LARGEST_EFFORT = 1e6  # Nm or N


@dataclass(frozen=True)
class Camera:
    """
    A camera of the robot, as Gazebo makes it from its ``<sensor>``: a pinhole, square pixels.

    :ivar name: Its name, that of the sensor.
    :ivar link: Link that it sits on; it looks along the link's x, z is up.
    :ivar optical_frame: Frame of its messages: z along the view, x to the right, y down.
    :ivar width: Pixels per row.
    :ivar height: Rows.
    :ivar hfov: Horizontal field of view, rad in (0, pi).
    :ivar rate_hz: Pictures per second.
    :ivar clip: What is nearer than the first or farther than the second is not seen, m.
    """

    name: str
    link: str
    optical_frame: str
    width: int
    height: int
    hfov: float
    rate_hz: float
    clip: tuple

    @property
    def f(self) -> float:
        """Return the focal length in pixels: ``width / (2 tan(hfov / 2))``."""
        return self.width / (2.0 * math.tan(self.hfov / 2.0))

    @property
    def matrix(self) -> np.ndarray:
        """
        Return the pinhole matrix K of ``sensor_msgs/CameraInfo``, float64 ``(3, 3)``.

        The optical axis goes through (width / 2, height / 2), as Gazebo publishes it: pixel
        (0, 0) covers coordinates 0 to 1.
        """
        return np.array([[self.f, 0.0, self.width / 2.0], [0.0, self.f, self.height / 2.0],
                         [0.0, 0.0, 1.0]])

    @property
    def fovy(self) -> float:
        """Return the vertical field of view, rad: ``2 atan(height / (2 f))``."""
        return 2.0 * math.atan(self.height / (2.0 * self.f))


@dataclass(frozen=True)
class ControlledJoint:
    """
    A joint whose position ros2_control commands.

    :ivar name: Its name.
    :ivar initial: Position at which a simulation begins, rad or m.
    :ivar min: Smallest position that may be commanded, rad or m.
    :ivar max: Largest position that may be commanded, rad or m.
    """

    name: str
    initial: float
    min: float
    max: float


def expand_xacro(path, arguments=None) -> str:
    """
    Return the URDF that a xacro file describes.

    :param path: The file; what it includes by relative names is looked for beside it.
    :param arguments: Dict of the file's ``xacro:arg`` names to texts; what is left out has its
        default.
    :raises ConfigError: naming the file and what xacro says, if it cannot be expanded.
    """
    from xacro import process_file
    path = Path(path)
    if not path.is_file():
        raise ConfigError(f'{path} is not there; it must be the xacro file of a robot')
    arguments = {str(name): str(value) for name, value in (arguments or {}).items()}
    try:
        return process_file(str(path), mappings=arguments).toxml()
    except Exception as error:  # of any kind: expressions in the file are evaluated
        raise ConfigError(f'{path} cannot be expanded: {error or repr(error)}') from error


def read_cameras(urdf_text) -> dict:
    """
    Find the cameras of a robot: the ``<sensor type="camera">`` of its ``<gazebo>`` elements.

    :param urdf_text: The URDF, xacro expanded.
    :return: Dict of name -> ``Camera``, in the order of the text.
    :raises ConfigError: naming the camera, what was found and what is wanted.
    """
    links = parse_urdf(urdf_text).links
    cameras = {}
    for gazebo in ElementTree.fromstring(urdf_text).iter('gazebo'):
        for sensor in gazebo.findall('sensor'):
            if sensor.get('type') != 'camera':
                continue
            camera = _read_camera(sensor, gazebo.get('reference'), links)
            if camera.name in cameras:
                raise ConfigError(f'{SOURCE}: the camera {shown(camera.name)} is there twice')
            cameras[camera.name] = camera
    return cameras


def _read_camera(sensor, link, links):
    """Read one camera."""
    name = sensor.get('name')
    where = f'{SOURCE}: camera {shown(name)}'
    if not name:
        raise ConfigError(f'{SOURCE}: a camera lacks the attribute "name"')
    frame = sensor.findtext('gz_frame_id') or sensor.findtext('camera/optical_frame_id')
    for what, given in (('reference of its gazebo element', link), ('gz_frame_id', frame)):
        if given not in links:
            raise ConfigError(f'{where}: its {what} is {shown(given)}; it must be a link')
    pixels = sensor.findtext('camera/image/format', PICTURE_FORMAT)
    if pixels.strip() != PICTURE_FORMAT:
        raise ConfigError(f'{where}: its format is {shown(pixels)}; only {PICTURE_FORMAT} is '
                          'simulated')
    width, height = (_number(sensor, f'camera/image/{side}', where, 1, MAX_PICTURE_SIDE)
                     for side in ('width', 'height'))
    if width % 1 or height % 1:
        raise ConfigError(f'{where}: its picture is {width:g} x {height:g}; whole numbers wanted')
    near, far = (_number(sensor, f'camera/clip/{end}', where, 1e-6, 1e6)
                 for end in ('near', 'far'))
    if near >= far:
        raise ConfigError(f'{where}: camera/clip/near is {near:g}, and camera/clip/far {far:g}; '
                          'far must be above near')
    return Camera(name, link, frame, int(width), int(height),
                  _number(sensor, 'camera/horizontal_fov', where, 0.01, 3.1),
                  _number(sensor, 'update_rate', where, 0.01, 1000.0), (near, far))


def read_control(urdf_text) -> tuple:
    """
    Find the joints that ``<ros2_control>`` commands by position.

    A joint's limits of command are the ``min`` and ``max`` of its command interface, where they
    are written, else those of the joint. It begins at the ``initial_value`` of its state
    interface, where that is written, else at 0 or at the limit nearest to it.

    :param urdf_text: The URDF, xacro expanded.
    :return: One ``ControlledJoint`` per joint, in the order of the text.
    :raises ConfigError: naming the joint, what was found and what is wanted.
    """
    urdf, root = parse_urdf(urdf_text), ElementTree.fromstring(urdf_text)
    efforts = {joint.get('name'): joint.find('limit[@effort]') for joint in root.findall('joint')}
    joints = {}
    for system in root.iter('ros2_control'):
        for element in system.findall('joint'):
            if not element.findall('command_interface'):
                continue
            joint = _read_joint(element, urdf)
            if joint.name in joints:
                raise ConfigError(f'{SOURCE}: ros2_control lists the joint {shown(joint.name)} '
                                  'twice')
            _check_effort(efforts[joint.name], f'{SOURCE}: joint {shown(joint.name)}')
            joints[joint.name] = joint
    if not joints:
        raise ConfigError(f'{SOURCE}: no joint has a command interface; list the joints to move '
                          'in a <ros2_control> element')
    return tuple(joints.values())


def _read_joint(element, urdf):
    """Read one joint of ros2_control."""
    name = element.get('name')
    where = f'{SOURCE}: joint {shown(name)} of ros2_control'
    joint = urdf.joints.get(name)
    if joint is None:
        raise ConfigError(f'{where} is no joint of the robot')
    if joint.type not in MOVABLE:
        raise ConfigError(f'{where} is of type {shown(joint.type)}; what is commanded must be one '
                          f'of: {", ".join(MOVABLE)}')
    if joint.mimic is not None:
        raise ConfigError(f'{where} mimics {shown(joint.mimic.joint)}; it must have no command '
                          'interface')
    if joint.velocity == 0.0:
        raise ConfigError(f'{where} has the limit velocity 0, with which it never moves; it must '
                          'be above')
    kinds = [interface.get('name') for interface in element.findall('command_interface')]
    if kinds != ['position']:
        raise ConfigError(f'{where} has the command interfaces {kinds}; only one, "position", is '
                          'simulated')
    low, high = (_parameter(element, f'command_interface/param[@name="{side}"]', where, limit)
                 for side, limit in (('min', joint.lower), ('max', joint.upper)))
    if low is None or high is None or low > high:
        raise ConfigError(f'{where}: its positions are {low} to {high}; write "min" and "max" of '
                          'its command interface, or the lower and upper limit of the joint')
    state = 'state_interface[@name="position"]/param[@name="initial_value"]'
    initial = _parameter(element, state, where, min(max(0.0, low), high))
    if not low <= initial <= high:
        raise ConfigError(f'{where}: its initial_value is {initial:g}, outside {low:g} to '
                          f'{high:g}')
    return ControlledJoint(name, initial, low, high)


def _check_effort(limit, where):
    """Refuse a servo that may exert nothing; without a limit of effort it may exert anything."""
    text = None if limit is None else limit.get('effort')
    try:
        is_wrong = text is not None and not 0.0 < float(text) <= LARGEST_EFFORT
    except ValueError:
        is_wrong = True
    if is_wrong:
        raise ConfigError(f'{where}: limit effort is {shown(text)}; it must be a number above 0, '
                          f'up to {LARGEST_EFFORT:g}')


def _parameter(element, path, where, default):
    """Return the number that a ``<param>`` holds, or the default where there is none."""
    if element.find(path) is None:
        return default
    return _number(element, path, where, -1e6, 1e6)


def _number(element, path, where, least, most):
    """Return the text of an element below as a number within bounds."""
    text = element.findtext(path)
    try:
        number = float(text)
    except (TypeError, ValueError):
        number = math.nan
    if not is_number(number) or not least <= number <= most:
        raise ConfigError(f'{where}: {path} is {shown(text)}; it must be a number from {least:g} '
                          f'to {most:g}')
    return number
