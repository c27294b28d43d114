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

"""By whose time a live robot goes, and whether all of it goes by the same."""

from diffusion_policy_ros.finding import Finding

CLOCK = '/clock'
OURS = ('policy_server', 'command_safety')


def clock_findings(publishers, times, using) -> list:
    """
    Return what is wrong with the clocks; one line that says OK where nothing is.

    :param publishers: Full names of the nodes that publish ``/clock``.
    :param times: ``StreamTimes`` of its messages: when each came, and the time it says.
    :param using: Node name to whether it goes by ``/clock`` (``use_sim_time``).
    """
    by_clock = sorted(name for name, uses in using.items() if uses)
    by_system = sorted(name for name, uses in using.items() if not uses)
    if not publishers:
        return _without_clock(by_clock, by_system)
    found = _clock_faults(publishers, times)
    ours = [name for name in by_system if name.rpartition('/')[2] in OURS]
    if ours:
        found.append(Finding('ERROR', CLOCK, f'is not used by {", ".join(ours)}',
                             'start them with use_sim_time:=true'))
    others = [name for name in by_system if name not in [*ours, *publishers]]
    if others:
        found.append(Finding('WARN', CLOCK, f'is not used by {", ".join(others)}',
                             'start them with use_sim_time:=true, unless they stamp nothing'))
    return found or [Finding('OK', CLOCK, f'{times.rate_hz:.0f} Hz, {times.pace:.2f} x real time; '
                             f'used by {", ".join(by_clock) or "nobody who answered"}')]


def _without_clock(by_clock, by_system):
    """Return the line where nobody publishes ``/clock``."""
    if by_clock:
        return [Finding('ERROR', CLOCK, f'nobody publishes it, and {", ".join(by_clock)} '
                        f'wait{"s" if len(by_clock) == 1 else ""} for it (use_sim_time)',
                        'start the simulation, or start them with use_sim_time:=false')]
    return [Finding('OK', CLOCK, 'not published; all nodes asked go by the time of day'
                    if by_system else 'not published')]


def _clock_faults(publishers, times):
    """Return what is wrong with ``/clock`` itself."""
    found = []
    if len(publishers) > 1:
        found.append(Finding('ERROR', CLOCK, f'has {len(publishers)} publishers: '
                             f'{", ".join(publishers)}; time jumps between theirs',
                             'end all of them but one'))
    if not times.count:
        found.append(Finding('ERROR', CLOCK, 'has a publisher but nothing arrives: time stands '
                             'still', 'let the simulation run (it may be paused)'))
    elif times.stands_still or times.unstamped == times.count:
        found.append(Finding('ERROR', CLOCK, 'does not move', 'let the simulation run (it may be '
                             'paused)'))
    if times.backward:
        found.append(Finding('WARN', CLOCK, f'was set back {times.backward} times, by up to '
                             f'{times.worst_back_ns / 1e9:.2f} s', 'let nobody reset the '
                             'simulation meanwhile; ros2 bag play --loop does'))
    return found
