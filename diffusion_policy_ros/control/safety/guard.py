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

"""Decides whether a robot may follow its commands, and stops it when it may not."""

from collections import Counter

from diffusion_policy_ros.control.safety.measured import REST_S
from diffusion_policy_ros.control.safety.reason import ANEW, BLOCKS, Reason
from diffusion_policy_ros.errors import SafetyError
import numpy as np

# HOLDING: at rest. RAMPING: moving, not yet at full speed. STOPPING: braking. ESTOP: braking, then
# at rest and silent, until somebody re-arms.
STATES = ('HOLDING', 'RAMPING', 'FOLLOWING', 'STOPPING', 'ESTOP')


class Guard:
    """
    The state machine between commands and controllers; the time is passed in.

    The clock must never step. A late tick slows the motion down: each one moves the robot by one
    period, however long ago the last one was.

    :ivar channels: The ``Channel`` of each output, in the order of the contract.
    :ivar speed_scale: Share of the velocity limits that may be used, in [0, 1]; 0 stops.
    :ivar obeyed: Whether the robot gets what is sent; it does not in a dry run.
    :ivar engaged: Whether the outputs hold a position that was measured. Without that nothing
        is to be sent.
    :ivar moving: Whether the robot follows its commands.
    :ivar stops: How often each source stopped a motion.
    """

    def __init__(self, channels, measured, emergency, trust, *, ramp_in_s):
        """
        Start at rest, and not engaged.

        :param channels: ``Channel`` of each output.
        :param measured: ``MeasuredJoints`` with the joints of all channels that command positions.
        :param emergency: ``EmergencyStop``.
        :param trust: ``Trust``.
        :param ramp_in_s: From rest, and when the speed scale is raised, the speed grows by the
            velocity limits in this time, s.
        """
        self.channels, self._measured = channels, measured
        self._emergency, self._trust = emergency, trust
        self._tracked = [channel for channel in channels if channel.tracking]
        self._ramp_in_s = ramp_in_s
        # Which entries of each output of positions a stream measures.
        self._fresh = {stream: [np.isin(channel.output.names, names) for channel in self._tracked]
                       for stream, names in measured.names_by_stream().items()}
        self.speed_scale = 1.0
        self.engaged, self.obeyed = False, True
        self.stops = Counter()
        self._seen_trips, self._seen_rearms = emergency.trips, emergency.rearms
        self._ticked_s, self._since_tick_s = None, 0.0
        self._looks_anew = None  # the ``Reason`` to come to rest and measure the robot anew
        self._blocks = {}
        self._reason = Reason('measured', 'has not looked at the robot yet')
        self.moving, self._scale = False, 0.0  # the scale is above 0 only while moving

    @property
    def state(self) -> str:
        """Return one of ``STATES``."""
        if self._emergency.reason:
            return 'ESTOP'
        if self.moving:
            return 'FOLLOWING' if self._scale >= self.speed_scale else 'RAMPING'
        return 'HOLDING' if self.at_rest else 'STOPPING'

    @property
    def reason(self):
        """Return the ``Reason`` not to follow, None while the robot follows."""
        return self._interruption() or self._reason

    @property
    def scale(self) -> float:
        """Return the speed scale in force now, in [0, 1]."""
        return self._scale

    @property
    def at_rest(self) -> bool:
        """Tell whether nothing that was sent moves any more."""
        return not self.engaged or (
            not self.moving and all(channel.at_rest for channel in self.channels))

    @property
    def stopping_s(self) -> float:
        """Return how long it takes at most to come to rest, s."""
        return max(channel.stopping_s for channel in self.channels)

    def block(self, source, text):
        """
        Stop the robot and hold it, or take that back; it may be elsewhere once it is not ready.

        :param source: One of ``BLOCKS``.
        :param text: What is wrong, for people; empty when it no longer is.
        """
        if source == 'ready' and text and self._blocks.get(source) == '':  # it was ready before
            self._trust.withdraw(text)
            self._looks_anew = Reason(source, text)
        self._blocks[source] = text

    def disengage(self):
        """Forget the held position, and the commands: what comes next counts. Only at rest."""
        assert self.at_rest
        self._note_rest(is_settled=False)
        self._forget_commands()
        self.engaged, self._looks_anew = False, None
        self._measured.look_anew()

    def _forget_commands(self):
        """Move for commands to come only."""
        for channel in self.channels:
            channel.forget()

    def _note_rest(self, *, is_settled):
        """Note where each output was last measured, now that what it is sent is at rest."""
        if self.engaged and self.obeyed:
            for channel in self._tracked:
                channel.tracking.rest(self._position(channel), is_settled=is_settled)

    def measure(self, stream, values, now_s):
        """
        Take over a measurement.

        :param stream: One of the streams of ``MeasuredJoints``.
        :param values: Finite numbers, one per entry of the stream.
        :param now_s: When it arrived, s.
        """
        has_changed = self._measured.update(stream, values, now_s)
        for channel, fresh in zip(self._tracked, self._fresh[stream]):
            channel.tracking.compare(fresh, has_changed)

    def tick(self, now_s):
        """
        Go on by one period.

        :param now_s: The time, s.
        :return: What to send to each channel, float64 ``(n,)`` each, or None for nothing.
        """
        self._notice(now_s)
        obstacle = self._interruption() or self._hindrance(now_s)
        if obstacle is None:
            self._begin()
        else:
            self._stop(obstacle)
        if self._looks_anew and self.at_rest:
            self.disengage()
        if not self.engaged:
            return None
        obeyed = self.obeyed and not self._blocks.get('ready')
        return [channel.step(now_s, self._scale or None, obeyed=obeyed)
                for channel in self.channels]

    def _notice(self, now_s):
        """Find out whether the robot may be elsewhere, or without power, once it is at rest."""
        self._since_tick_s = 0.0 if self._ticked_s is None else now_s - self._ticked_s
        if self.engaged and self._since_tick_s > REST_S:
            self._looks_anew = ANEW
            for channel in self.channels:  # by now the robot stands where it was sent, or fell
                channel.stand()
        if self._emergency.trips != self._seen_trips or self._silencer():
            self._looks_anew = ANEW
        if self._emergency.rearms != self._seen_rearms:
            self._trust.restore()
            if not self.moving:
                self._forget_commands()  # re-arming alone moves nothing
        self._seen_trips, self._seen_rearms = self._emergency.trips, self._emergency.rearms
        self._ticked_s = now_s

    def _interruption(self):
        """Return why the robot is to come to rest and be measured anew, None when it is not."""
        if self._emergency.reason:
            return Reason('e_stop', f'emergency stop by {self._emergency.reason}; call ~/rearm '
                          'when it is safe to move')
        return self._silencer() or self._looks_anew

    def _silencer(self):
        """Return why nothing at all is to be sent; velocities of zero do no harm beside a twin."""
        for source in ('controller', 'asking', *(['twin'] if self._tracked else [])):
            if self._blocks.get(source):
                return Reason(source, self._blocks[source])
        return None

    def _keep_engaged(self, now_s):
        """
        At rest, hold the robot where it is seen; return why that cannot be done.

        A robot that is not seen, or not where it is held, may have lost its power and sagged: the
        held position is given up, lest the robot snaps back to it.
        """
        if self.moving or not self.at_rest:
            return None
        stale = self._measured.staleness(now_s)
        if not stale:
            self._note_rest(is_settled=self._measured.at_rest)
        if self.engaged and not stale and not any(
                channel.tracking.is_astray(self._position(channel)) for channel in self._tracked):
            return None
        if self.engaged:
            self.disengage()
        if stale:
            return Reason('measured', stale)
        if not self._measured.at_rest:
            return Reason('rest', 'waiting until the robot stands still')
        frozen = self._complaint(lambda channel, at: channel.tracking.unanswered())
        if frozen:
            return Reason('measured', frozen)
        try:
            for channel in self.channels:
                channel.engage(self._position(channel))
        except SafetyError as error:
            return Reason('limits', str(error))
        self.engaged = True
        return None

    def _hindrance(self, now_s):
        """Hold the robot where it rests; return why it must not follow now, None when it may."""
        unheld = self._keep_engaged(now_s)
        for source in BLOCKS:  # before what may come of them, such as measurements of a wrong type
            if self._blocks.get(source):
                return Reason(source, self._blocks[source])
        if not unheld and self._trust.refusal:
            return Reason('rearm', self._trust.refusal)
        return unheld or self._obstacle(now_s)

    def _obstacle(self, now_s):
        """Return what is wrong with measurements or commands, None when nothing is."""
        unseen = self._measured.staleness(now_s)
        if unseen:
            return Reason('measured', unseen)
        if self.moving and self.obeyed:
            lag = self._complaint(lambda channel, at: channel.tracking.lag(at))
            if lag:
                self._trust.doubt(lag)
                self._looks_anew = Reason('tracking', lag)
                return self._looks_anew
        if not self.speed_scale > 0:
            return Reason('speed_scale', 'speed_scale is 0; raise it to move')
        for channel in self.channels:
            silence = channel.silence(now_s)
            if silence:
                return Reason('command', silence)
        jump = '' if self.moving else self._complaint(
            lambda channel, at: channel.jump(at, now_s))
        return Reason('jump', jump) if jump else None

    def _complaint(self, say):
        """Return what the first output of positions has to say, empty where none has anything."""
        return next(filter(None, (say(channel, self._position(channel))
                                  for channel in self._tracked)), '')

    def _begin(self):
        """Follow, faster and faster up to the speed scale, also after that was raised."""
        if self.moving:
            if self._trust.is_cautious and any(
                    channel.tracking.has_answered() for channel in self._tracked):
                self._trust.gain()
            growth = self._since_tick_s / self._ramp_in_s if self._ramp_in_s > 0 else 1.0
            self._scale = min(self._scale + growth, self._trust.allowed(self.speed_scale))
        elif self.at_rest:
            self.moving, self._reason = True, None

    def _stop(self, obstacle):
        """Brake, or go on braking or holding."""
        if self.moving:
            self.stops[obstacle.source] += 1
            self._reason = obstacle
        elif self.at_rest:
            self._reason = obstacle
        self.moving, self._scale = False, 0.0

    def _position(self, channel):
        """Return the measured positions of a channel's joints; velocities need none."""
        return self._measured.positions(channel.output.names) if channel.tracking else None
