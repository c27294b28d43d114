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

"""Position servos for the joints of a MuJoCo model, as an industrial arm has them."""

from diffusion_policy_ros.sim.arm.engine import mujoco
import numpy as np

# Motors and gears, seen from the joint.
ARMATURE = {mujoco.mjtJoint.mjJNT_HINGE: 0.1, mujoco.mjtJoint.mjJNT_SLIDE: 1.0}  # kg m^2, kg
# A servo is a spring and a damper: with the joint's largest inertia it would swing at this
# frequency if it were not damped so much that it just does not swing. With less inertia it is
# damped more. A joint trails a moving target by 2 / frequency.
NATURAL_FREQUENCY = {mujoco.mjtJoint.mjJNT_HINGE: 30.0, mujoco.mjtJoint.mjJNT_SLIDE: 50.0}  # rad/s
DAMPING_RATIO = 1.0
POSES = 200
# How firmly a joint that mimics another follows it: time constant in s, damping ratio; and the
# share of the error that one step may leave.
FOLLOWING = (0.006, 1.0)
FIRMNESS = (0.99, 0.999, 0.001, 0.5, 2.0)


def add_servos(spec, joints, compile_spec):
    """
    Add a servo to each commanded joint, and gravity compensation to the robot.

    The force of a servo, gravity compensation included, stays within the URDF's effort, which
    MuJoCo has read.

    :param spec: ``mujoco.MjSpec`` with the robot; changed.
    :param joints: Tuple of ``ControlledJoint``.
    :param compile_spec: Function that compiles the spec.
    """
    for joint in joints:
        moved = spec.joint(joint.name)
        moved.armature = ARMATURE[moved.type]
        moved.actgravcomp = True
    for body in spec.bodies:
        if _is_carried(body):
            body.gravcomp = 1.0
    for equality in spec.equalities:
        equality.solref, equality.solimp = FOLLOWING, FIRMNESS
    inertias = _largest_inertias(compile_spec(spec), joints)
    for joint in joints:
        frequency = NATURAL_FREQUENCY[spec.joint(joint.name).type]
        stiffness = inertias[joint.name] * frequency ** 2
        servo = spec.add_actuator(name=joint.name, target=joint.name,
                                  trntype=mujoco.mjtTrn.mjTRN_JOINT)
        servo.set_to_position(kp=stiffness, kv=2.0 * DAMPING_RATIO * stiffness / frequency)
        servo.ctrllimited = True
        servo.ctrlrange = (joint.min, joint.max)


def _is_carried(body):
    """Tell whether a joint of the robot moves a body."""
    while body.parent is not None:
        if any(joint.type in ARMATURE for joint in body.joints):
            return True
        body = body.parent
    return False


def _largest_inertias(mj, joints):
    """Return the largest inertia about each joint over many poses, kg m^2 or kg."""
    data, random = mujoco.MjData(mj), np.random.default_rng(0)
    ids = [mj.joint(joint.name).id for joint in joints]
    places, dofs = mj.jnt_qposadr[ids], mj.jnt_dofadr[ids]
    low, high = np.array([[joint.min, joint.max] for joint in joints]).T
    largest = np.zeros(len(joints))
    column = np.zeros(mj.nv)
    for _ in range(POSES):
        data.qpos[places] = random.uniform(low, high)
        mujoco.mj_forward(mj, data)
        for k, dof in enumerate(dofs):
            mujoco.mj_mulM(mj, data, column, np.eye(mj.nv)[dof])
            largest[k] = max(largest[k], column[dof])
    return dict(zip((joint.name for joint in joints), largest.tolist(), strict=True))
