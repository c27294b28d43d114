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

"""What is wrong with one stream of a live robot, and what to do about it."""

from dataclasses import dataclass, field

from diffusion_policy_ros.evaluation.live.near_names import remedy_for
from diffusion_policy_ros.evaluation.live.stream_times import StreamTimes
from diffusion_policy_ros.finding import Finding

# What to do about an alarm of the recorder; see docs/recording.md.
REMEDIES = {
    'rate': 'raise the rate of its driver, or lower rate_hz of the contract',
    'age': 'look at the load of the machine and the network, or raise max_age_ms of the contract',
    'gap': 'look at the load of the machine, the network and the driver, or raise max_age_ms',
    'frozen': 'see that the driver sends new content; a scene of a simulator at rest is no fault',
    'clock_skew': 'set the clocks of both machines by each other (chrony, PTP)',
    'dropped': 'look at the load of the machine and the network; pictures: send them compressed '
               'from machine to machine',
}


@dataclass(frozen=True)
class StreamSeen:
    """
    What was seen of one topic.

    :ivar topic: Full name.
    :ivar named: Topic as the contract names it.
    :ivar max_age_ms: The contract's limit, ms.
    :ivar is_needed: Whether the policy cannot run without it.
    :ivar problem: What ``RecordedStream.problem`` said, with the remedy after a semicolon.
    :ivar publishers: Sentence about several publishers, empty for one.
    :ivar times: Its ``StreamTimes``.
    :ivar refused: How many messages were refused when they were decoded.
    :ivar refusal: Why, for the last one of them; empty where none was.
    :ivar alarms: Sentences of ``StreamQuality``.
    :ivar transport: What ``transport_warning`` said.
    :ivar near: Topics that may be meant, where nobody publishes it.
    :ivar facts: What else is good to know, one sentence each.
    """

    topic: str
    named: str
    max_age_ms: float
    is_needed: bool = True
    problem: str = ''
    publishers: str = ''
    times: StreamTimes = field(default_factory=StreamTimes)
    refused: int = 0
    refusal: str = ''
    alarms: tuple = ()
    transport: str = ''
    near: tuple = ()
    facts: tuple = ()


def stream_findings(seen, clocks) -> list:
    """
    Return what is wrong with a stream; one line that says OK where nothing is.

    :param seen: ``StreamSeen``.
    :param clocks: ``Clocks`` at the end.
    """
    worst = 'ERROR' if seen.is_needed else 'WARN'
    found = [(worst, *_told_problem(seen))] if seen.problem else []
    if seen.publishers:
        found.append(('WARN', seen.publishers, 'end all of them but one, or remap their topics'))
    if seen.refused:
        found.append((worst, f'{seen.refused} of the messages looked at cannot be used: '
                             f'{seen.refusal}', ''))
    found += _time_findings(seen, clocks, worst)
    found += [('WARN', *_told_alarm(sentence)) for sentence in _alarms_left(seen)]
    if seen.transport:
        value, _, remedy = seen.transport.partition('. ')
        found.append(('WARN', value, remedy))
    measures = '; '.join([seen.times.text(seen.max_age_ms), *seen.facts]) if seen.times.count \
        else ''
    if not found:
        return [Finding('OK', seen.topic, measures)]
    level, value, remedy = found[0]
    found[0] = level, f'{value} ({measures})' if measures else value, remedy
    return [Finding(level, seen.topic, value, remedy) for level, value, remedy in found]


def _told_problem(seen):
    """Return what is wrong and what to do, of a sentence that holds both."""
    value, _, remedy = seen.problem.removeprefix(f'{seen.topic} ').partition('; ')
    return value, remedy_for(seen.named, seen.near) or remedy


def _told_alarm(sentence):
    """Return what an alarm says without the topic, and what to do about it."""
    place, _, text = sentence.partition(': ')
    alarm = place.split()[0]
    return f'{alarm}: {text}', REMEDIES.get(alarm, '')


def _alarms_left(seen):
    """Return the alarms that no other finding tells already."""
    told = set()
    if _is_mostly_late(seen) or seen.times.is_of_another_clock:
        told.add('age')
    if seen.times.unstamped or seen.times.is_of_another_clock or seen.times.is_ahead:
        told.add('clock_skew')
    return [sentence for sentence in seen.alarms if sentence.split()[0] not in told]


def _is_mostly_late(seen):
    """Tell whether most messages are too old when they arrive."""
    age = seen.times.age_ms()
    return bool(age) and age['p50'] > seen.max_age_ms


def _time_findings(seen, clocks, worst):
    """Return what the stamps tell: (level, what is wrong, what to do)."""
    times, found = seen.times, []
    if times.is_of_another_clock:
        whose, remedy = times.stamp_clock(clocks)
        found.append((worst, f'stamped by {whose}, arrivals are dated by {clocks.name}', remedy))
    elif times.is_ahead:
        found.append((worst, "the sender's clock is ahead of this machine's, by about "
                      f'{-times.least_age_ns() / 1e6:.0f} ms', REMEDIES['clock_skew']))
    elif _is_mostly_late(seen):
        least_ms = times.least_age_ns() / 1e6
        found.append((worst, f'most messages are older than {seen.max_age_ms:g} ms on arrival, '
                      f'the freshest {least_ms:.0f} ms: they take so long, or the clock of their '
                      'sender is behind', f'{REMEDIES["age"]}; {REMEDIES["clock_skew"]}'))
    if times.stands_still:
        found.append((worst, 'all messages bear the same stamp', 'see that its driver stamps each '
                      'message; under use_sim_time, that /clock moves'))
    elif times.backward:
        found.append(('WARN', f'{times.backward} of {times.count} messages are stamped before '
                      f'the one ahead of them, by up to {times.worst_back_ns / 1e6:.0f} ms',
                      'end the second sender; over a network, look for messages that overtake'))
    return found
