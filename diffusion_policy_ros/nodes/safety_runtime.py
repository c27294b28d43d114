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

"""A guard at work between a robot's topics: from configure to cleanup."""

import threading
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.control.safety.assembly import build_guard
from diffusion_policy_ros.control.safety.channel import (
    check_limitable, taken_for_grippers, unkept)
from diffusion_policy_ros.control.safety.command_reader import CommandRefused
from diffusion_policy_ros.control.safety.limits import assumed, limits_from_urdf, merged
from diffusion_policy_ros.control.safety.tracking import Tolerance
from diffusion_policy_ros.control.timetable import Beat
from diffusion_policy_ros.errors import ConfigError, DecodeError, SafetyError
from diffusion_policy_ros.message_types import TWIST, TWIST_STAMPED
from diffusion_policy_ros.nodes.clockwork import Clockwork
from diffusion_policy_ros.nodes.controller_check import ControllerCheck
from diffusion_policy_ros.nodes.ready_topic import ReadyTopic
from diffusion_policy_ros.nodes.safety_parameters import choose_watchdog_ms
from diffusion_policy_ros.nodes.safety_topics import SafetyTopics
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.observation.stamps import sample_stamp_ns
from diffusion_policy_ros.urdf import POSITION_UNITS, VELOCITY_UNITS

# How much longer than the slowest stop to wait for it: threads are late on a busy computer.
PATIENCE_S = 1.0
WAITING = 'waiting for the topic robot_description'


class SafetyRuntime:
    """
    Everything that exists while ``command_safety`` is configured.

    Two threads meet at one lock: the executor's hands over messages, the clockwork's ticks and
    publishes. Ticks and watchdogs follow the steady clock, only stamps the ROS clock.

    :ivar refusal: Why there is no guard yet.
    """

    def __init__(self, node, parameters, emergency, tell):
        """
        Load and check contract and limits, and connect the topics.

        :param node: The lifecycle node.
        :param parameters: Its ``Parameters``.
        :param emergency: Its ``EmergencyStop``.
        :param tell: Called after each tick, in the clockwork's thread, without arguments.
        :raises DiffusionPolicyError: if contract, limits or parameters cannot be used.
        """
        self._node, self._parameters, self._emergency = node, parameters, emergency
        self._tell = tell
        self._lock = threading.Lock()
        self._rested = threading.Event()
        self._guard = self._measured = self._loop = self._limits = None
        self.refusal, self._is_dry = WAITING, False
        self._period_s = 1 / parameters['rate_hz']
        self._load()
        topic = parameters['ready_topic']
        self._ready = ReadyTopic(node, topic, self._on_ready) if topic else None
        self._topics = SafetyTopics(node, self._contract, parameters['input_prefix'],
                                    on_command=self._on_command, on_joints=self._on_joints)
        self._controllers = ControllerCheck(node, self._contract)
        if parameters['use_robot_description']:
            self._topics.wait_for_description(self._on_description)

    def _load(self):
        """Read the contract; find out now what would be refused at activation."""
        path = self._parameters['contract']
        if not path:
            raise ConfigError('contract is empty; set it to the YAML file of the robot contract')
        if not self._parameters['input_prefix']:
            raise ConfigError('input_prefix is empty, commands would come from the topics that '
                              'they go to; give it a word, such as policy')
        self._contract = load_contract(path)
        for output in self._contract.actions:
            check_limitable(output)
            if (self._parameters['use_robot_description']
                    and output.unit not in POSITION_UNITS + VELOCITY_UNITS
                    and output.type not in (TWIST, TWIST_STAMPED)):
                raise ConfigError(f'action (topic {output.topic!r}) is in {output.unit}, a robot '
                                  'description in rad and m; set use_robot_description to false '
                                  'and write the limits into the contract')
        lost = unkept(self._contract, self._contract.limits)
        if lost:
            raise SafetyError('; '.join(lost))
        if not self._parameters['use_robot_description']:
            self._take_limits(self._contract.limits, path)

    def _take_limits(self, limits, source):
        """Keep limits that are enough to move by, and name those that nobody gave."""
        self._limits, self._source = limits, source
        try:
            self._build()
        except SafetyError:
            self._limits = None
            raise
        for sentence in (*assumed(limits, self._contract.actions),
                         *unkept(self._contract, limits), *taken_for_grippers(self._contract)):
            self._node.get_logger().warning(sentence)

    def _build(self):
        """Make a guard that knows nothing yet."""
        wanted = self._parameters
        return build_guard(
            self._contract, self._limits, self._emergency, period_s=self._period_s,
            watchdog_s=choose_watchdog_ms(wanted['watchdog_ms'], self._contract) / 1e3,
            tolerance=Tolerance(*(wanted[name] for name in Tolerance._fields)),
            ramp_in_s=wanted['ramp_in_s'], source=self._source)

    def start(self):
        """Begin to hold, and to follow when that is safe."""
        self._ending = False
        self._is_dry = self._parameters['dry_run']
        if self._limits is not None:
            self._begin_guard()
        self._beat = Beat(1 / self._period_s, time.monotonic_ns())
        self._loop = Clockwork(self._on_wake, self._failed, name='safety')
        self._loop.start()

    def _begin_guard(self):
        """Put a guard that knows nothing yet in charge, but who is around."""
        guard, measured = self._build()
        self._look_around(guard)
        with self._lock:
            self._guard, self._measured = guard, measured

    def stop(self):
        """Bring the robot to rest, and then be silent."""
        if self._loop is None:
            return
        with self._lock:
            self._ending = True
            self._rested.clear()
            patience_s = PATIENCE_S + (self._guard.stopping_s if self._guard else 0.0)
        if not self._rested.wait(patience_s):
            self._node.get_logger().error(f'not at rest after {patience_s:.1f} s; silent now')
        self._loop.stop()
        self._loop = self._guard = None

    def close(self):
        """Bring the robot to rest and let go of the topics."""
        self.stop()
        self._controllers.destroy()
        if self._ready:
            self._ready.destroy()
        self._topics.destroy()

    @property
    def is_dry(self) -> bool:
        """Tell whether nothing is published, or would be once active."""
        return self._is_dry if self._loop is not None else self._parameters['dry_run']

    def watch(self) -> str:
        """
        Look who is on the topics; stop the robot while commands could mix or be taken wrongly.

        :return: Who commands the controllers past this node, empty where nobody does.
        """
        self._look_around(self._guard)
        return self._topics.bypass()

    def controllers(self) -> dict:
        """Return what is known of each controller: name to sentence."""
        return self._controllers.facts()

    @property
    def unready(self) -> str:
        """Return why the robot is not ready, empty where it is, or where nobody would say so."""
        return self._ready.objection if self._ready else ''

    def _look_around(self, guard):
        """Tell a guard who else is on the topics of the commands, and who takes them."""
        objection, unsuited = self._topics.objection(), self._controllers.look()
        only_waits = self._controllers.only_waits
        twin, unready = self._topics.twin(), self._ready.look() if self._ready else ''
        if guard is not None:
            with self._lock:
                guard.block('twin', twin)
                guard.block('publishers', objection)
                guard.block('controller', '' if only_waits else unsuited)
                guard.block('asking', unsuited if only_waits else '')
                guard.block('ready', unready)

    def _on_ready(self):
        """Tell the guard at once what the robot says of itself."""
        self.with_guard(lambda guard: guard.block('ready', self.unready))

    def with_guard(self, look):
        """
        Return what a function says of the guard, None while there is none.

        :param look: Called with the ``Guard`` while nothing else changes it.
        """
        with self._lock:
            return look(self._guard) if self._guard is not None else None

    def _on_command(self, number, message):
        """Hand a command over, or count why it is none."""
        if self.with_guard(lambda guard: not guard.moving):
            self._look_around(self._guard)  # before it moves, and not up to half a second later
        now_s, now_ns = time.monotonic(), self._node.get_clock().now().nanoseconds
        with self._lock:
            if self._guard is None:
                return
            channel = self._guard.channels[number]
            try:
                stamp_ns = sample_stamp_ns(message, channel.output, now_ns)
                command = channel.reader.read(message, stamp_ns, now_ns)
            except CommandRefused as error:
                channel.refuse(error.cause, str(error))
            except DecodeError as error:
                channel.refuse('stamp', str(error))
            else:
                channel.accept(command, now_s, moving=self._guard.moving)

    def _on_joints(self, topic, message):
        """Hand over the positions of every stream of a topic."""
        now_s = time.monotonic()
        with self._lock:
            for stream in self._measured.streams(topic) if self._guard is not None else ():
                try:
                    self._guard.measure(stream, decode(message, stream), now_s)
                except DecodeError as error:
                    self._measured.refuse(stream, str(error))

    def _on_description(self, text):
        """Add the limits of the robot's description, once."""
        if self._limits is not None:
            self._node.get_logger().warning('another robot_description came; configure again to '
                                            'use it')
            return
        joints = [name for output in self._contract.actions
                  if output.type not in (TWIST, TWIST_STAMPED) for name in output.names]
        try:
            self._take_limits(merged(self._contract.limits, limits_from_urdf(text, joints)),
                              'robot_description and contract')
        except SafetyError as error:
            self.refusal = f'{WAITING} that fits: {error}'
            return
        if self._loop is not None:
            self._begin_guard()

    def _on_wake(self):
        """Tick when it is time, whatever became of the last one; return the pause, s."""
        if self._beat.take(time.monotonic_ns()):
            try:
                self._tick(time.monotonic())
            except Exception as error:
                self._failed(error)
        return max(self._beat.next_ns - time.monotonic_ns(), 0) / 1e9

    def _tick(self, now_s):
        """Go on by one period, publish it and tell about it."""
        with self._lock:
            rows = self._advance(self._guard, now_s) if self._guard is not None else None
            if self._ending and (self._guard is None or self._guard.at_rest):
                self._rested.set()
        if rows is not None and not self._is_dry:
            self._topics.publish(rows, self._node.get_clock().now().nanoseconds,
                                 round(self._period_s * 1e9))
        self._tell()

    def _advance(self, guard, now_s):
        """Let the guard go on under the present parameters."""
        guard.speed_scale = self._parameters['speed_scale']
        guard.block('end', 'deactivating' if self._ending else '')
        self._switch_dry_run(guard)
        return guard.tick(now_s)

    def _switch_dry_run(self, guard):
        """Let the outputs begin and end at rest, and begin where the robot is."""
        is_new = self._parameters['dry_run'] != self._is_dry
        guard.block('dry_run', 'dry_run changes' if is_new else '')
        if is_new and guard.at_rest:
            guard.disengage()
            self._is_dry = not self._is_dry
        guard.obeyed = not self._is_dry

    def _failed(self, error):
        """Brake because of an error in the clockwork's thread, and tell it."""
        self._node.get_logger().fatal(f'error between commands: {error!r}',
                                      throttle_duration_sec=1.0)
        with self._lock:
            if self._guard is not None:
                self._guard.block('failure', f'{error!r}; deactivate and activate to go on')
