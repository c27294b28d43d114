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

"""From a command message to where the robot shall be and when, or to a refusal with its cause."""

from dataclasses import dataclass
from typing import Optional

from diffusion_policy_ros import message_types as ros
from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import SafetyError
from diffusion_policy_ros.messages import nanoseconds
import numpy as np

# What is wrong with a command, as it is counted.
CAUSES = ('names', 'size', 'value', 'stamp', 'times')
# Beyond this no unit makes sense, and differences of such numbers stay far from overflow.
LARGEST = 1e12
MAX_POINTS = 1000
# Clocks of machines that were set together differ by milliseconds.
MAX_AHEAD_S = 1.0


class CommandRefused(SafetyError):
    """
    A command must not be followed.

    :ivar cause: One of ``CAUSES``.
    """

    def __init__(self, cause, text):
        """
        Name the cause.

        :param cause: One of ``CAUSES``.
        :param text: What was got, what was wanted, where, and the remedy.
        """
        super().__init__(text)
        self.cause = cause


@dataclass(frozen=True)
class Command:
    """
    Where one output shall be.

    :ivar points: float64 ``(K, n)`` in the contract's order and units.
    :ivar due_s: When each point is due, float64 ``(K,)`` increasing, s after the arrival; None for
        the one point of a message that says no time.
    """

    points: np.ndarray
    due_s: Optional[np.ndarray] = None


class CommandReader:
    """
    Reads the command messages of one output.

    Only fields are read, so that any class with the fields of the ROS type works.
    """

    def __init__(self, output, max_age_s):
        """
        Start without a message.

        :param output: ``ActionOutput`` of the contract.
        :param max_age_s: Oldest stamp that is accepted, s.
        """
        self._output = output
        self._max_age_s = max_age_s
        self._newest_ns = self._seen_ns = 0

    def read(self, message, stamp_ns, now_ns) -> Command:
        """
        Turn a message into a command.

        :param message: Message of the type ``output.type``.
        :param stamp_ns: When it was sent, by the contract's ``stamp`` rule, ns.
        :param now_ns: The time on the clock of the stamps, ns.
        :return: The command, in the contract's order.
        :raises CommandRefused: for joints that are missing, unknown or named twice, a wrong number
            of values, one that is not finite, a stamp too old or older than the last accepted
            one, and for times of a trajectory that do not increase or are all past.
        """
        if now_ns < self._seen_ns:  # the clock was set back, and the stamps with it
            self._newest_ns = 0
        self._seen_ns = now_ns
        self._check_stamp(stamp_ns, now_ns)
        command = READERS[self._output.type](message, self._output, now_ns)
        self._newest_ns = stamp_ns
        return command

    def _check_stamp(self, stamp_ns, now_ns):
        """Refuse a message that is stale or that a newer one has overtaken."""
        age_s = (now_ns - stamp_ns) / 1e9
        if age_s > self._max_age_s:
            raise CommandRefused('stamp', (
                f'topic {self._output.topic}: the command is stamped {age_s:.3f} s ago, limit '
                f'{self._max_age_s:.3f} s; its sender or the network is late, or two machines '
                'use two clocks, which chrony or use_sim_time on all nodes cures'))
        if stamp_ns < self._newest_ns:
            raise CommandRefused('stamp', (
                f'topic {self._output.topic}: the command is stamped '
                f'{(self._newest_ns - stamp_ns) / 1e9:.3f} s before one that came earlier; let '
                'one node command, with one clock'))


def _joint_state(message, output, now_ns):
    """Read the one field that the contract names."""
    values = _numbers(output, getattr(message, output.field), len(message.name))
    return Command(values[_places(output, message.name)][np.newaxis])


def _joint_trajectory(message, output, now_ns):
    """Read the points with their times, however many there are."""
    points = message.points
    if not 0 < len(points) <= MAX_POINTS:
        raise CommandRefused('size', f'topic {output.topic}: the trajectory has {len(points)} '
                             f'points; it must have from 1 to {MAX_POINTS}')
    places = _places(output, message.joint_names)
    field = ros.TRAJECTORY_FIELDS[output.field]
    rows = [_numbers(output, getattr(point, field), len(places)) for point in points]
    due_s = np.array([nanoseconds(point.time_from_start) for point in points]) / 1e9
    return Command(np.array(rows)[:, places], _due(output, message.header.stamp, due_s, now_ns))


def _due(output, start, due_s, now_ns):
    """Return when the points of a trajectory are due, s from now."""
    if due_s[0] < 0 or not (np.diff(due_s) > 0).all():
        raise CommandRefused('times', f'topic {output.topic}: time_from_start must increase from '
                             f'0 s on, got {shown(due_s.tolist())}')
    start_ns = nanoseconds(start)
    delay_s = (start_ns - now_ns) / 1e9 if start_ns else 0.0  # 0: it starts on arrival
    if delay_s + due_s[-1] < 0:
        raise CommandRefused('times', f'topic {output.topic}: the trajectory ended '
                             f'{-delay_s - due_s[-1]:.3f} s ago; stamp it with its start, or 0 '
                             'to start on arrival')
    if delay_s > MAX_AHEAD_S:
        raise CommandRefused('times', f'topic {output.topic}: the trajectory starts only in '
                             f'{delay_s:.3f} s; let both machines use one clock (use_sim_time on '
                             'all nodes or none), or stamp it 0 to start on arrival')
    return delay_s + due_s


def _multi_array(message, output, now_ns):
    """Read the bare numbers, which only the contract names."""
    return Command(_numbers(output, message.data, len(output.names))[np.newaxis])


def _twist(message, output, now_ns):
    """Read the components that the contract names."""
    values = [getattr(getattr(message, part), axis)
              for part, axis in (name.split('.') for name in output.names)]
    return Command(_numbers(output, values, len(output.names))[np.newaxis])


def _twist_stamped(message, output, now_ns):
    """Read the twist in it."""
    return _twist(message.twist, output, now_ns)


def _places(output, names):
    """Return at which place of the message each entry of the output is; all must be there."""
    names = list(names)
    if len(names) != len(output.names) or set(names) != set(output.names):
        raise CommandRefused('names', f'topic {output.topic}: the command names {shown(names)}; '
                             f'it must name each once of: {", ".join(output.names)}')
    return [names.index(name) for name in output.names]


def _numbers(output, values, count):
    """Return as many finite numbers as are wanted, float64 ``(count,)``."""
    if len(values) != count:
        raise CommandRefused('size', f'topic {output.topic}: the command holds {len(values)} '
                             f'numbers, wanted {count}')
    numbers = np.array(values, dtype=np.float64)
    usable = np.abs(numbers) <= LARGEST  # false for NaN
    if not usable.all():
        raise CommandRefused('value', f'topic {output.topic}: the command holds '
                             f'{numbers[~usable][0]}; only finite numbers up to {LARGEST:g} are '
                             'followed')
    return numbers


READERS = {
    ros.JOINT_STATE: _joint_state,
    ros.JOINT_TRAJECTORY: _joint_trajectory,
    ros.FLOAT64_ARRAY: _multi_array,
    ros.TWIST: _twist,
    ros.TWIST_STAMPED: _twist_stamped}
