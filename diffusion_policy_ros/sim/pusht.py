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
Push-T on gym-pusht's physics: a round finger pushes a T-shaped block onto a goal.

One pixel of the original task is one millimetre here: the table is 0.512 m square, x points right
and y down, as in its picture. Angles turn from x towards y.
"""

import math

from diffusion_policy_ros.errors import ChunkError, ConfigError, ContractError
from diffusion_policy_ros.sim.pusht_picture import PushTCamera, TABLE_PX
from diffusion_policy_ros.streams import ENVIRONMENT_KEY, IMAGE_KEY_PREFIX, STATE_KEY
from gym_pusht.envs.pusht import PushTEnv
import numpy as np
import shapely

METRES_PER_PIXEL = 0.001
PIXELS_PER_METRE = 1000.0
TABLE_M = TABLE_PX * METRES_PER_PIXEL
SUBSTEP_S = 0.01
DEFAULT_PERIOD_S = 0.1
PICTURE_SIZE = 96
SUCCESS_COVERAGE = 0.95
CAMERA_KEY = f'{IMAGE_KEY_PREFIX}camera'
OBSERVATION_SHAPES = {
    CAMERA_KEY: (PICTURE_SIZE, PICTURE_SIZE, 3), STATE_KEY: (2,), ENVIRONMENT_KEY: (9,)}
# Finger and block far apart: the pass of physics that a reset of gym-pusht makes leaves no
# contact behind.
APART_PX = (100.0, 100.0, 300.0, 300.0, 0.0)


class PushT:
    """
    The Push-T robot and its task.

    The finger follows its target by a spring and a damper, 100 times a second:
    ``acceleration = 100 (target - position) - 20 velocity``, in 1/s^2 and 1/s.

    :ivar contract: The contract that ``step`` follows, None where none was given.
    :ivar max_coverage: Largest coverage at the end of an ``advance`` since the reset, in [0, 1].
    """

    def __init__(self, contract=None):
        """
        Set up the table; ``reset`` places what is on it.

        :param contract: Robot contract; its rate paces ``step`` (10 Hz without one).
        :raises ContractError: if the contract wants what this robot does not show or obey.
        """
        if contract is not None:
            _check_contract(contract)
        self.contract = contract
        self._period_s = DEFAULT_PERIOD_S if contract is None else 1.0 / contract.rate_hz
        self._env = PushTEnv(obs_type='state')
        self._place(APART_PX)
        goal_body = self._env.get_goal_pose_body(self._env.goal_pose)
        goal = [[goal_body.local_to_world(vertex) for vertex in shape.get_vertices()]
                for shape in self._env.block.shapes]
        self._goal = shapely.MultiPolygon([shapely.Polygon(corners) for corners in goal])
        self._camera = PushTCamera(goal)
        self._measured = (None, 0.0)
        self._target = tuple(self.state()[:2])
        self.max_coverage = 0.0

    def reset(self, seed=None, state=None):
        """
        Start an episode.

        :param seed: Whole number from 0: the start that gym-pusht draws from this seed. None
            goes on drawing from the last seed.
        :param state: ``(5,)`` finger x, y and block x, y in m and block angle in rad: start
            exactly there, at rest, instead of at a drawn start.
        :raises ConfigError: if the state is not five finite numbers.
        """
        if state is None:
            self._env.reset(seed=seed)
        else:
            self._place(_state_px(state))
        self._target = tuple(self.state()[:2])
        self.max_coverage = 0.0

    def advance(self, target_xy_m, duration_s):
        """
        Let the finger follow a target for a while.

        :param target_xy_m: ``(2,)`` x, y in m.
        :param duration_s: Simulated time in s, a whole number of 0.01 s steps.
        :raises ChunkError: if the target is not two finite numbers.
        :raises ConfigError: if the duration is not a positive multiple of 0.01 s.
        """
        target = np.asarray(target_xy_m, dtype=np.float64)
        if target.shape != (2,) or not np.isfinite(target).all():
            raise ChunkError(f'the target of the finger is {target_xy_m!r}; it must be two finite '
                             'numbers, x and y in m')
        target_x, target_y = (target * PIXELS_PER_METRE).tolist()
        for _ in range(_count_substeps(duration_s)):
            self._substep(target_x, target_y)
        self.max_coverage = max(self.max_coverage, self.coverage())

    def step(self, action):
        """
        Follow one action for one period of the contract.

        :param action: ``(2,)`` target x, y of the finger in m.
        :raises ChunkError: if the action is not two finite numbers.
        """
        self.advance(action, self._period_s)
        self._target = tuple(action)

    def wait(self):
        """Let one period pass without a command: the finger stays with its last target."""
        self.advance(self._target, self._period_s)

    def observation(self):
        """
        Return what the robot shows now.

        :return: Dict of the camera's picture, uint8 ``(96, 96, 3)`` RGB; the finger's x, y in m,
            float32 ``(2,)``; and the block's pose, float32 ``(9,)``: x, y, z in m and the first
            two columns of its rotation matrix.
        """
        finger_x, finger_y, block_x, block_y, angle = self.state()
        cos, sin = math.cos(angle), math.sin(angle)
        pose = (block_x, block_y, 0.0, cos, sin, 0.0, -sin, cos, 0.0)
        return {CAMERA_KEY: self.picture(PICTURE_SIZE),
                STATE_KEY: np.array((finger_x, finger_y), dtype=np.float32),
                ENVIRONMENT_KEY: np.array(pose, dtype=np.float32)}

    def state(self):
        """
        Return where finger and block are.

        :return: float64 ``(5,)``: finger x, y and block x, y in m, block angle in [0, 2 pi) rad.
        """
        finger, block = self._env.agent.position, self._env.block.position
        metres = np.array((*finger, *block)) * METRES_PER_PIXEL
        return np.append(metres, self._env.block.angle % (2.0 * math.pi))

    def picture(self, size=PICTURE_SIZE):
        """
        Take a picture of the table from straight above.

        :param size: Height and width in pixels; 512 is one pixel per millimetre.
        :return: uint8 ``(size, size, 3)``, RGB.
        """
        return self._camera.picture(self._env.space, size)

    def coverage(self):
        """Return the share of the goal that the block covers now, in [0, 1]."""
        block = self._env.block
        pose = (block.position, block.angle)
        if self._measured[0] != pose:
            area = self._goal.intersection(self._outline()).area
            self._measured = (pose, area / self._goal.area)
        return self._measured[1]

    def score(self):
        """Return the largest coverage so far divided by the 0.95 that succeeds, in [0, 1]."""
        return min(self.max_coverage / SUCCESS_COVERAGE, 1.0)

    @property
    def success(self):
        """Tell whether the block has covered at least 95 % of the goal since the reset."""
        return self.max_coverage >= SUCCESS_COVERAGE

    def _substep(self, target_x, target_y):
        """Move the finger's velocity by its spring and damper, then the world by 0.01 s."""
        finger = self._env.agent
        x, y = finger.position
        v_x, v_y = finger.velocity
        stiffness, damping = self._env.k_p, self._env.k_v
        finger.velocity = (
            v_x + (stiffness * (target_x - x) + damping * (0.0 - v_x)) * SUBSTEP_S,
            v_y + (stiffness * (target_y - y) + damping * (0.0 - v_y)) * SUBSTEP_S)
        self._env.space.step(SUBSTEP_S)

    def _place(self, state_px):
        """
        Put finger and block exactly where told, at rest.

        gym-pusht's own reset to a state sets the block's position before its angle. The block
        turns about its centre of gravity, which is not its origin, so that order moves the origin
        away from the given position. Here the angle comes first.
        """
        self._env.reset(options={'reset_to_state': APART_PX})
        finger_x, finger_y, block_x, block_y, angle = map(float, state_px)
        self._env.agent.position = (finger_x, finger_y)
        self._env.block.angle = angle
        self._env.block.position = (block_x, block_y)
        self._env.space.reindex_shapes_for_body(self._env.agent)
        self._env.space.reindex_shapes_for_body(self._env.block)

    def _outline(self):
        """Return the block as a shapely geometry in table pixels."""
        block = self._env.block
        return shapely.MultiPolygon([
            shapely.Polygon([block.local_to_world(v) for v in shape.get_vertices()])
            for shape in block.shapes])


def _state_px(state):
    """Check a start state in m and rad and return it in table pixels and rad."""
    values = np.asarray(state, dtype=np.float64)
    if values.shape != (5,) or not np.isfinite(values).all():
        raise ConfigError(f'the start state is {state!r}; it must be five finite numbers: finger '
                          'x, y and block x, y in m, block angle in rad')
    return np.append(values[:4] * PIXELS_PER_METRE, values[4])


def _count_substeps(duration_s):
    """Return how many steps of 0.01 s make up a duration."""
    count = round(duration_s / SUBSTEP_S)
    if count < 1 or abs(count * SUBSTEP_S - duration_s) > 1e-6:
        raise ConfigError(f'the duration is {duration_s!r} s; it must be a positive multiple of '
                          f'{SUBSTEP_S:g} s')
    return count


def _check_contract(contract):
    """Refuse a contract that wants another robot."""
    for key in contract.keys:
        wanted, offered = contract.shape_of(key), OBSERVATION_SHAPES.get(key)
        if wanted != offered:
            raise ContractError(
                f'contract of {contract.robot!r}: {key} has shape {wanted}, the Push-T simulation '
                f'shows {offered or "no such key"}; use config/robots/pusht.yaml')
    if len(contract.action_names) != 2:
        raise ContractError(f'contract of {contract.robot!r} commands {contract.action_names}, '
                            'the Push-T simulation obeys x and y; use config/robots/pusht.yaml')
    _count_substeps(1.0 / contract.rate_hz)
