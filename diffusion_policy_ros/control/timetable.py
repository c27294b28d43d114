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
"""When a command goes out and when the robot is looked at: two drift-free series on one grid."""

import math

ANCHOR_MARGIN = 0.1
# A beat that is later than this share of a period moves the ones after it.
LATE_SHARE = 0.1


class Series:
    """
    Equally spaced slots that are taken one by one; slots that nobody took in time are skipped.

    Slot i is nominally at ``origin + round(i * 1e9 / rate)`` and is taken ``delay`` later.

    :ivar skipped: Slots that passed without being taken, in total.
    """

    def __init__(self, origin_ns, rate_hz, *, delay_ns=0, now_ns):
        """
        Start with the first slot that is still to come.

        :param origin_ns: Time of slot 0, ns.
        :param rate_hz: Slots per second.
        :param delay_ns: How long after its nominal time a slot is taken, ns.
        :param now_ns: The time, ns.
        """
        self.skipped = 0
        self._origin_ns = origin_ns
        self._rate_hz = rate_hz
        self._delay_ns = delay_ns
        self._next = self._newest(now_ns) + 1

    @property
    def next_ns(self) -> int:
        """Return when the next slot is to be taken, ns."""
        return self._nominal_ns(self._next) + self._delay_ns

    def take(self, now_ns):
        """
        Take the newest slot that has come.

        :param now_ns: The time, ns.
        :return: Nominal time of the slot in ns, or None when the next one is still to come.
        """
        if now_ns < self.next_ns:
            return None
        newest = self._newest(now_ns)
        self.skipped += newest - self._next
        self._next = newest + 1
        return self._nominal_ns(newest)

    def _nominal_ns(self, index):
        """Return the nominal time of a slot."""
        return self._origin_ns + round(index * 1e9 / self._rate_hz)

    def _newest(self, now_ns):
        """Return the index of the newest slot that may be taken by now."""
        since_ns = now_ns - self._delay_ns - self._origin_ns
        index = round(since_ns * self._rate_hz / 1e9)
        return index if self._nominal_ns(index) <= now_ns - self._delay_ns else index - 1


class Beat:
    """
    Beats a period apart, never much closer: a late one moves all after it, and none is made up.

    For steps of a motion, which must not follow each other faster than they are long.

    :ivar next_ns: When the next one is due, ns.
    """

    def __init__(self, rate_hz, now_ns):
        """
        Let the first one be due a period from now.

        :param rate_hz: Beats per second.
        :param now_ns: The time, ns.
        """
        self._period_ns = 1e9 / rate_hz
        self.next_ns = now_ns + self._period_ns

    def take(self, now_ns) -> bool:
        """
        Take the beat that is due.

        :param now_ns: The time, ns.
        :return: Whether one was due.
        """
        late_ns = now_ns - self.next_ns
        if late_ns < 0:
            return False
        is_late = late_ns > LATE_SHARE * self._period_ns
        self.next_ns = (now_ns if is_late else self.next_ns) + self._period_ns
        return True


class Timetable:
    """The slots of commands and of observation ticks; every tick is also a command slot."""

    def __init__(self, contract, command_rate_hz, *, origin_ns, now_ns):
        """
        Lay both series on one grid.

        :param contract: ``RobotContract``: its rate is that of the ticks, and its settling time
            passes before a tick is looked at.
        :param command_rate_hz: Commands per second, a whole multiple of the contract's rate.
        :param origin_ns: Time of one tick, ns.
        :param now_ns: The time, ns.
        """
        self.commands = Series(origin_ns, command_rate_hz, now_ns=now_ns)
        self.ticks = Series(origin_ns, contract.rate_hz, delay_ns=contract.settle_ns,
                            now_ns=now_ns)

    @property
    def next_ns(self) -> int:
        """Return when something is to be done next, ns."""
        return min(self.commands.next_ns, self.ticks.next_ns)


class CommandGrid:
    """
    Where the slots of ticks and commands lie: anywhere at first, then where the streams are fresh.

    :ivar rate_hz: Commands per second at present, Hz.
    """

    def __init__(self, contract):
        """
        Start without a grid.

        :param contract: ``RobotContract``.
        """
        self._contract, self.rate_hz = contract, contract.rate_hz
        self.forget()

    def forget(self):
        """Look for a better grid the next time that the streams are seen."""
        self._origin_ns = None

    def first(self, rate_hz, now_ns) -> Timetable:
        """
        Lay a grid before anything is known of the streams.

        :param rate_hz: Commands per second, Hz.
        :param now_ns: The time, ns.
        """
        self.rate_hz = rate_hz
        return Timetable(self._contract, rate_hz, origin_ns=now_ns, now_ns=now_ns)

    def adapt(self, rate_hz, tick_ns, ages_ns, now_ns):
        """
        Move the ticks once, to right after the slowest stream's samples, and take another rate.

        :param rate_hz: Commands per second from now on, Hz; another one keeps the ticks.
        :param tick_ns: A tick at which all streams were fresh, ns.
        :param ages_ns: Age of each stream's sample at that tick by topic, ns.
        :param now_ns: The time, ns.
        :return: Whether the ticks have moved, and the new ``Timetable``, None where nothing has.
        """
        origin_ns = self._origin_ns  # another thread may forget it
        moves = origin_ns is None
        if moves:
            self._origin_ns = origin_ns = anchored_origin(self._contract, tick_ns, ages_ns)
        if not moves and rate_hz == self.rate_hz:
            return False, None
        self.rate_hz = rate_hz
        return moves, Timetable(self._contract, rate_hz, origin_ns=origin_ns, now_ns=now_ns)

    def named(self) -> dict:
        """Return what tells where the slots lie, as plan records keep it."""
        return {'origin_ns': self._origin_ns, 'rate_hz': self.rate_hz}


def is_multiple(command_rate_hz, rate_hz) -> bool:
    """
    Tell whether commands can be laid on the grid of the rows.

    :param command_rate_hz: Commands per second, any number.
    :param rate_hz: Rows per second, above 0.
    """
    factor = command_rate_hz / rate_hz
    return (math.isfinite(factor) and factor >= 0.999
            and abs(factor - round(factor)) < 1e-6)


def anchored_origin(contract, tick_ns, ages_ns) -> int:
    """
    Return a tick time that comes right after the slowest stream's sample.

    A robot's streams and the policy start at unrelated moments; without this the newest picture
    could be almost a period old at every tick. A tenth of a period is left for jitter. Cameras
    come first, because they are the slow ones; streams that may be held have no say.

    :param contract: ``RobotContract`` of the robot.
    :param tick_ns: A tick at which all streams were fresh, ns.
    :param ages_ns: Age of each stream's sample at that tick by topic, ns.
    :return: Time of one tick of the better grid, ns.
    """
    prompt = [s for s in contract.policy_observations if s.on_stale == 'stop']
    slow = [s for s in prompt if s.is_image] or prompt
    ages = [ages_ns[s.topic] for s in slow if s.topic in ages_ns]
    if not ages:
        return tick_ns
    return tick_ns - max(ages) + round(ANCHOR_MARGIN * contract.period_ns)
