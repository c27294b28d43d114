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

"""When the messages of one stream were stamped and when they came: rate, ages, jitter, clock."""

from collections import deque
from dataclasses import dataclass

from diffusion_policy_ros.control.telemetry import spread
from diffusion_policy_ros.data.recorded import CLOCK_SKEW_NS
import numpy as np

KEPT = 100_000  # messages
# A stamp so far from the arrival was taken from another clock, it is not on its way for so long.
OTHER_CLOCK_NS = 60_000_000_000
# Clocks within this of each other are taken for one and the same when a stamp is explained.
SAME_CLOCK_NS = 10_000_000_000
# A computer that stamps with the time of day does not say a time before September 2001.
SIMULATED_BELOW_NS = 10**18
MIN_STANDING = 5  # messages, to say that their stamps stand still


@dataclass(frozen=True)
class Clocks:
    """
    The clocks of this machine at one moment.

    :ivar system_ns: Time of day since 1970, ns.
    :ivar boot_ns: Time since the machine was started, ns.
    :ivar is_simulated: Whether arrivals are dated by ``/clock``.
    """

    system_ns: int
    boot_ns: int
    is_simulated: bool = False

    @property
    def name(self) -> str:
        """Return by which clock arrivals are dated."""
        return '/clock' if self.is_simulated else "this machine's clock"


class StreamTimes:
    """
    Takes the arrivals and header stamps of one stream in.

    :ivar count: Messages.
    :ivar unstamped: Those with a header whose stamp is 0.
    :ivar backward: Those stamped before the message that came before them.
    :ivar worst_back_ns: By how much at most, ns.
    """

    def __init__(self):
        """Begin without messages."""
        self.count = self.unstamped = self.backward = self.worst_back_ns = 0
        self._arrivals, self._stamps, self._ages = (deque(maxlen=KEPT) for _ in range(3))

    def add(self, receive_ns, stamp_ns=None) -> None:
        """
        Take a message in.

        :param receive_ns: When it arrived, ns.
        :param stamp_ns: What its header says, ns; None where that does not date it.
        """
        self.count += 1
        self._arrivals.append(receive_ns)
        if stamp_ns is None:
            return
        if stamp_ns == 0:
            self.unstamped += 1
            return
        back_ns = self._stamps[-1] - stamp_ns if self._stamps else 0
        self.backward += back_ns > 0
        self.worst_back_ns = max(self.worst_back_ns, back_ns)
        self._stamps.append(stamp_ns)
        self._ages.append(receive_ns - stamp_ns)

    @property
    def rate_hz(self) -> float:
        """Return the messages per second between the first and the last one, 0 for unknown."""
        if len(self._arrivals) < 2 or self._arrivals[-1] <= self._arrivals[0]:
            return 0.0
        return (len(self._arrivals) - 1) / (self._arrivals[-1] - self._arrivals[0]) * 1e9

    def age_ms(self) -> dict:
        """Return ``spread`` of arrival minus stamp, ms; empty where no stamp dates a message."""
        return spread([age / 1e6 for age in self._ages])

    def least_age_ns(self) -> int:
        """Return the smallest arrival minus stamp, ns: clock offset and way, without waiting."""
        return min(self._ages, default=0)

    def jitter_ms(self) -> dict:
        """Return ``spread`` of how far steps between arrivals differ from their median, ms."""
        steps = np.diff(np.array(self._arrivals, dtype=np.int64)) / 1e6
        return spread(np.abs(steps - np.median(steps))) if len(steps) > 1 else {}

    @property
    def pace(self) -> float:
        """Return how fast the stamps go, 1 for real time; 0 where too few came to tell."""
        if len(self._stamps) < 2 or self._arrivals[-1] <= self._arrivals[0]:
            return 0.0
        return (self._stamps[-1] - self._stamps[0]) / (self._arrivals[-1] - self._arrivals[0])

    @property
    def stands_still(self) -> bool:
        """Tell whether all messages bear the same stamp."""
        return len(self._stamps) >= MIN_STANDING and min(self._stamps) == max(self._stamps)

    @property
    def is_of_another_clock(self) -> bool:
        """Tell whether most stamps cannot be of the clock that dates arrivals."""
        return bool(self._ages) and abs(self._median_age_ns()) >= OTHER_CLOCK_NS

    @property
    def is_ahead(self) -> bool:
        """Tell whether every message is stamped too long after its arrival."""
        return bool(self._ages) and max(self._ages) < -CLOCK_SKEW_NS

    def stamp_clock(self, clocks) -> tuple:
        """
        Tell which clock stamps the messages, where it is another one.

        :param clocks: ``Clocks`` at about the time of the newest message.
        :return: (what that clock is, what to do), two texts.
        """
        newest, offset_ns = self._stamps[-1], self._median_age_ns()
        if clocks.is_simulated and abs(newest - clocks.system_ns) < SAME_CLOCK_NS:
            return 'the time of day', 'start its node with use_sim_time:=true'
        if abs(newest - clocks.boot_ns) < SAME_CLOCK_NS:
            return ('the time since boot', 'let the driver stamp with the ROS time, or write '
                    '"stamp: receive" in the contract')
        if 0 <= newest < SIMULATED_BELOW_NS and not clocks.is_simulated:
            return ('a simulated time', 'let the simulator publish /clock, and start all nodes '
                    'with use_sim_time:=true')
        return (f'a clock {abs(offset_ns) / 1e9:.0f} s {"behind" if offset_ns > 0 else "ahead"}',
                'set the clocks of both machines by each other (chrony); for a bag that is '
                'played: ros2 bag play --clock, and use_sim_time:=true on all nodes')

    def text(self, max_age_ms) -> str:
        """
        Write the measures for people.

        :param max_age_ms: The limit of the age, ms.
        """
        words = [f'{self.rate_hz:.1f} Hz']
        age, jitter = self.age_ms(), self.jitter_ms()
        if age and not self.is_of_another_clock:
            words.append(f'age p50 {age["p50"]:.1f} p99 {age["p99"]:.1f} ms of {max_age_ms:g}')
        if jitter:
            words.append(f'jitter p99 {jitter["p99"]:.1f} ms')
        return ', '.join(words)

    def _median_age_ns(self):
        """Return the median of arrival minus stamp."""
        return sorted(self._ages)[len(self._ages) // 2]
