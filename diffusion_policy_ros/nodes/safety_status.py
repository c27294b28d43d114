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

"""What ``command_safety`` tells people: on a latched topic, in /diagnostics and in the log."""

import threading

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.control.safety.reason import BLOCKS
from diffusion_policy_ros.nodes.status_topics import StatusTopics

# What holds a robot that is in order: it moves by hand, it or its controller is not ready yet,
# nobody commands it, somebody wants it to wait.
HARMLESS = ('rest', 'end', 'dry_run', 'asking', 'ready', 'speed_scale', 'command')


class SafetyStatus:
    """
    Tells the present state and its reason, at once when they change.

    Methods may be called from several threads.
    """

    def __init__(self, node, emergency, facts):
        """
        Create the publishers; they work in every lifecycle state.

        :param node: The node that reports.
        :param emergency: Its ``EmergencyStop``.
        :param facts: Called without arguments; returns a dict of names and texts.
        """
        self._topics, self._emergency, self._facts = StatusTopics(node), emergency, facts
        self._standby = None  # level and text of a state in which no guard tells more
        self._lock = threading.Lock()
        self._key, self._level, self._text = None, DiagnosticStatus.OK, ''

    def update(self, key, level, text):
        """
        State what is.

        :param key: Changes exactly when people shall be told at once.
        :param level: Level of ``DiagnosticStatus``.
        :param text: One sentence; it may vary with every call.
        """
        with self._lock:
            self._standby = None
            is_news, self._key = key != self._key, key
            self._level, self._text = level, text
            if is_news:
                self._topics.log(key, level, text)
                self._topics.tell(level, text, self._facts())

    def start_over(self, state):
        """
        Tell a state in which nothing is published.

        :param state: Its name.
        """
        self._stand_by(DiagnosticStatus.OK, state)

    def refuse(self, text):
        """
        Tell why the node is unconfigured, where that is a fault.

        :param text: One sentence.
        """
        self._stand_by(DiagnosticStatus.ERROR, text)

    def show_emergency(self):
        """Tell at once of a trip or a re-arming where no guard does."""
        if self._standby:
            self._stand_by(*self._standby)

    def _stand_by(self, level, text):
        """Tell a state in which no guard tells more, and with it an emergency stop."""
        self.update(*with_emergency((text,), level, text, self._emergency))
        self._standby = level, text

    def publish(self):
        """Repeat the status with its present text and facts, and publish on /diagnostics."""
        with self._lock:
            level, text, facts = self._level, self._text, self._facts()
        self._topics.tell(level, text, facts)
        self._topics.diagnose([('', level, text, facts)])


def with_emergency(key, level, text, emergency) -> tuple:
    """
    Add an emergency stop to what no guard tells.

    :param key: As for ``SafetyStatus.update``.
    :param level: Level of ``DiagnosticStatus``.
    :param text: One sentence.
    :param emergency: ``EmergencyStop``.
    :return: Key, level and text.
    """
    reason = emergency.reason
    if not reason:
        return key, level, text
    return (*key, reason), DiagnosticStatus.ERROR, f'{text}; with an emergency stop by {reason}'


def activity(guard) -> tuple:
    """
    Say what a guard does, as ``SafetyStatus.update`` wants to know it.

    :param guard: ``Guard``.
    :return: Key, level and text.
    """
    state, reason = guard.state, guard.reason
    if reason is None:
        return (state,), DiagnosticStatus.OK, state
    level = DiagnosticStatus.WARN if reason.source in HARMLESS else DiagnosticStatus.ERROR
    # What blocks changes with its text, which says what to do; other texts count the seconds.
    cause = reason.text if reason.source in BLOCKS else reason.source
    return (state, cause), level, f'{state}: {reason.text}'


def guard_facts(guard, now_s) -> dict:
    """
    Return what a guard has counted, as names and texts.

    :param guard: ``Guard``.
    :param now_s: The time on the guard's clock, s.
    """
    reason = guard.reason
    facts = {'state': guard.state, 'reason': reason.text if reason else '',
             'source of the reason': reason.source if reason else '',
             'speed scale now': f'{guard.scale:.3f}',
             'watchdog trips': str(guard.stops['command'])}
    facts.update({f'stopped by {source}': str(count) for source, count in guard.stops.items()})
    for channel in guard.channels:
        facts.update(_channel_facts(channel, now_s))
    return facts


def _channel_facts(channel, now_s):
    """Return what was counted at one output."""
    topic, age_s = channel.output.topic, channel.age_s(now_s)
    facts = {f'{topic} age of the last command (s)': 'none yet' if age_s is None else
             f'{age_s:.3f}', f'{topic} refused': str(channel.refused.total()),
             f'{topic} clamped steps': f'{channel.any_intervention} of {channel.steps}'}
    facts.update({f'{topic} refused for {cause}': str(count)
                  for cause, count in channel.refused.items()})
    for name, count in zip(channel.output.names, channel.interventions):
        facts[f'{name} clamped (%)'] = f'{100 * count / max(channel.steps, 1):.1f}'
    return facts
