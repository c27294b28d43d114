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
Build a MuJoCo model of a robot and its world from the URDF and the SDF that Gazebo gets.

MuJoCo reads the URDF itself; added here is what a URDF has no words for: position servos for the
commanded joints, cameras, and the models of the world.
"""

from dataclasses import dataclass
from xml.etree import ElementTree

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.sim.arm.description import read_cameras, read_control
from diffusion_policy_ros.sim.arm.engine import mujoco
from diffusion_policy_ros.sim.arm.servo import add_servos
from diffusion_policy_ros.sim.arm.world import read_world
from diffusion_policy_ros.urdf import MOVABLE, parse_urdf
import numpy as np

# Groups of shapes: MuJoCo draws the first three.
SEEN, TOUCHING = 1, 3
KINDS = {'box': mujoco.mjtGeom.mjGEOM_BOX, 'cylinder': mujoco.mjtGeom.mjGEOM_CYLINDER,
         'sphere': mujoco.mjtGeom.mjGEOM_SPHERE, 'plane': mujoco.mjtGeom.mjGEOM_PLANE}
# Along x, with z up, in the axes of a camera of MuJoCo, which looks along -z with y up.
VIEW_ALONG_X = (0.5, 0.5, -0.5, -0.5)
# Contacts resist turning about their normal too (4 dimensions), by a friction of 5 mm arm. They
# are as hard as the step allows: MuJoCo leaves out how contacts turn with a hand, so that what it
# holds creeps outward when it swings, by its acceleration times half the contacts' time constant.
# A pyramid instead of the cone, or softer friction, would let it creep downward too.
CONTACT_DIMENSIONS = 4
TURNING_FRICTION_M = 0.005
ROLLING_FRICTION_M = 0.0001
FRICTION_OVER_NORMAL = 10.0
CONTACT_STEPS = 2.0
# Beyond this, in kg, kg m^2 or m, products of masses and lengths are no numbers any more.
LARGEST_INERTIAL = 1e9
HARDNESS = (0.95, 0.99, 0.001, 0.5, 2.0)
COMPILER = {'discardvisual': 'false', 'fusestatic': 'false', 'strippath': 'true'}


@dataclass(frozen=True, eq=False)
class ArmModel:
    """
    A model and where in it things are.

    :ivar mj: The ``mujoco.MjModel``.
    :ivar joints: Tuple of ``ControlledJoint``, in the order of ``read_control``; the k-th one is
        moved by actuator k.
    :ivar cameras: Dict of name -> ``Camera``.
    :ivar positions: Index into ``qpos`` per joint, int ``(n,)``.
    :ivar velocities: Index into ``qvel`` per joint, int ``(n,)``.
    :ivar max_velocities: Limit of the URDF per joint, rad/s or m/s, infinite without one ``(n,)``.
    :ivar trailing_s: By how much time each joint trails its servo's moving target, s ``(n,)``.
    :ivar followers: Tuple of (joint that mimics, joint that leads, multiplier, offset).
    :ivar movable: Dict of each model of the world that can move -> index of the first of its 7
        entries of ``qpos``.
    """

    mj: object
    joints: tuple
    cameras: dict
    positions: np.ndarray
    velocities: np.ndarray
    max_velocities: np.ndarray
    trailing_s: np.ndarray
    followers: tuple
    movable: dict


def build_model(urdf_text, world_path) -> ArmModel:
    """
    Build the model.

    :param urdf_text: The URDF, xacro expanded.
    :param world_path: SDF file of the world.
    :raises ConfigError: naming the file and the fault, if either cannot be simulated.
    """
    urdf, cameras, joints = parse_urdf(urdf_text), read_cameras(urdf_text), read_control(urdf_text)
    world = read_world(world_path)
    twice = {model.name for model in world.models} & {*urdf.links, 'world'}
    if twice:
        raise ConfigError(f'{world_path}: the model {min(twice)!r} has the name of a link of the '
                          'robot; rename it')
    spec = read_robot(urdf_text, urdf)
    for camera in cameras.values():
        spec.body(camera.link).add_camera(name=camera.name, quat=VIEW_ALONG_X,
                                          fovy=np.degrees(camera.fovy))
    _set_options(spec, world, cameras)
    _add_world(spec, world)
    add_servos(spec, joints, _compile)
    mj = _compile(spec)
    ids = [mj.joint(joint.name).id for joint in joints]
    limits = [urdf.joints[joint.name].velocity for joint in joints]
    return ArmModel(
        mj, joints, cameras, mj.jnt_qposadr[ids], mj.jnt_dofadr[ids],
        np.array([np.inf if limit is None else limit for limit in limits]),
        -mj.actuator_biasprm[:, 2] / mj.actuator_gainprm[:, 0],
        tuple(_followers(urdf)),
        {model.name: int(mj.joint(model.name).qposadr[0]) for model in world.models
         if not model.static})


def _followers(urdf):
    """Yield each joint that mimics another, with the one at the end of its chain that leads."""
    for joint in urdf.joints.values():
        leader, multiplier, offset = joint, 1.0, 0.0
        while leader.mimic is not None:
            offset += multiplier * leader.mimic.offset
            multiplier *= leader.mimic.multiplier
            leader = urdf.joints[leader.mimic.joint]
        if leader is not joint:
            for moved in (joint, leader):
                if moved.type not in MOVABLE:
                    raise ConfigError(
                        f'robot_description: joint {joint.name!r} mimics {leader.name!r}, and '
                        f'{moved.name!r} is {moved.type}; both must be one of: '
                        f'{", ".join(MOVABLE)}')
            yield joint.name, leader.name, multiplier, offset


def _compile(spec):
    """Compile a model; what MuJoCo refuses is the description's fault."""
    try:
        mj = spec.compile()
    except ValueError as error:
        raise ConfigError(f'MuJoCo cannot simulate this robot and world: {error}') from error
    inertial = np.column_stack([mj.body_mass, mj.body_inertia, np.abs(mj.body_ipos)])
    for body in np.flatnonzero(~(inertial <= LARGEST_INERTIAL).all(axis=1)):
        raise ConfigError(
            f'MuJoCo cannot simulate {mj.body(int(body)).name!r}, which has the mass '
            f'{mj.body_mass[body]} kg, moments of inertia {mj.body_inertia[body].tolist()} about '
            f'{mj.body_ipos[body].tolist()}; no number may be beyond {LARGEST_INERTIAL:g}')
    return mj


def read_robot(urdf_text, urdf):
    """
    Let MuJoCo read the URDF; sort its shapes, and set the friction of its links.

    :param urdf_text: The URDF, xacro expanded.
    :param urdf: The same, parsed.
    :return: ``mujoco.MjSpec`` of the robot alone.
    :raises ConfigError: if MuJoCo cannot read it.
    """
    root = ElementTree.fromstring(urdf_text)
    for extension in root.findall('mujoco'):
        root.remove(extension)
    ElementTree.SubElement(ElementTree.SubElement(root, 'mujoco'), 'compiler', COMPILER)
    try:
        spec = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding='unicode'))
    except ValueError as error:
        raise ConfigError(f'MuJoCo cannot read this robot: {error}') from error
    friction = {gazebo.get('reference'): _read_friction(gazebo)
                for gazebo in root.findall('gazebo') if gazebo.find('mu1') is not None}
    for body in spec.bodies:
        for geom in body.geoms:
            geom.group = TOUCHING if geom.contype else SEEN
            _set_friction(geom, friction.get(body.name))
    # What a joint holds together may overlap.
    for joint in urdf.joints.values():
        spec.add_exclude(bodyname1=joint.parent, bodyname2=joint.child)
    return spec


def _read_friction(gazebo):
    """Return the friction that a gazebo element gives a link."""
    text = gazebo.findtext('mu1')
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f'robot_description: mu1 of the link {gazebo.get("reference")!r} is '
                          f'{text!r}; it must be a number') from error


def _set_friction(geom, sliding):
    """Set the friction of a shape; without a number, sliding has that of MuJoCo and of SDF, 1."""
    geom.condim = CONTACT_DIMENSIONS
    geom.friction = (1.0 if sliding is None else sliding, TURNING_FRICTION_M, ROLLING_FRICTION_M)


def _set_options(spec, world, cameras):
    """Set how the world is stepped and drawn."""
    spec.option.timestep = world.step_s
    spec.option.gravity = world.gravity
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = FRICTION_OVER_NORMAL
    spec.visual.headlight.ambient = world.ambient
    spec.visual.headlight.diffuse = (0.2, 0.2, 0.2)
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)
    spec.add_texture(name='sky', type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=64, height=384,
                     builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT, rgb1=world.background,
                     rgb2=world.background)
    # One pair of clipping planes serves all cameras; lengths are in units of the extent.
    spec.stat.extent = 1.0
    if cameras:
        spec.visual.map.znear = min(camera.clip[0] for camera in cameras.values())
        spec.visual.map.zfar = max(camera.clip[1] for camera in cameras.values())
        spec.visual.global_.offwidth = max(camera.width for camera in cameras.values())
        spec.visual.global_.offheight = max(camera.height for camera in cameras.values())


def _add_world(spec, world):
    """Add the models and lights."""
    for light in world.lights:
        spec.worldbody.add_light(
            name=light.name, pos=light.position, dir=light.direction, diffuse=light.diffuse,
            specular=light.specular, castshadow=light.shadows,
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
    for model in world.models:
        body = spec.worldbody.add_body(name=model.name, **_placed(model.pose))
        if not model.static:
            body.add_freejoint(name=model.name)
            pose = _placed(model.inertial_pose)
            body.explicitinertial = True
            body.mass, body.fullinertia = model.mass, model.inertia
            body.ipos, body.iquat = pose['pos'], pose['quat']
        for shape in model.visuals:
            _add_shape(body, shape, group=SEEN, rgba=shape.rgba, contype=0, conaffinity=0, mass=0)
        for shape in model.collisions:
            _set_friction(_add_shape(body, shape, group=TOUCHING), shape.friction)
    for geom in spec.geoms:
        geom.solref, geom.solimp = (CONTACT_STEPS * world.step_s, 1.0), HARDNESS


def _add_shape(body, shape, **options):
    """Add one shape; MuJoCo wants half of every length."""
    halves = [length / 2.0 for length in shape.size]
    if shape.kind in ('cylinder', 'sphere'):
        halves[0] = shape.size[0]
    halves += [0.0] * (3 - len(halves)) if shape.kind != 'plane' else [1.0]
    return body.add_geom(type=KINDS[shape.kind], size=halves, **_placed(shape.pose), **options)


def _placed(pose):
    """Return the position and the quaternion, w first, of a pose ``(4, 4)``."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, np.ascontiguousarray(pose[:3, :3]).ravel())
    return {'pos': pose[:3, 3], 'quat': quaternion}
