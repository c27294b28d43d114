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
"""Why a policy commands or does not: in the log, on a latched topic and in /diagnostics."""

import threading
import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.nodes.status_topics import LOG_PERIOD_S, StatusTopics

# The first of these that is set is the one that people are told.
SOURCES = ('refusal', 'lifecycle', 'swap', 'clock', 'controller', 'observation', 'inference',
           'confidence', 'command', 'start', 'plan')
# Those that say in which state the node is, and why where that is a fault.
STATES = ('refusal', 'lifecycle')
# Those that end by themselves, or that a person asked for.
PASSING = ('swap', 'start')


class StatusReporter:
    """
    Keeps the reasons not to command, and tells people when they change.

    Methods may be called from several threads.
    """

    def __init__(self, node):
        """
        Create the publishers; they work in every lifecycle state.

        :param node: The node that reports.
        """
        self._topics = StatusTopics(node)
        self._lock = threading.Lock()
        self._reasons, self._about = {}, {}
        self._told = None

    @property
    def reason(self) -> str:
        """Return the most important reason not to command, empty when there is none."""
        with self._lock:
            return self._worst()[1]

    def blocked_by(self, *sources) -> bool:
        """Tell whether one of the sources gives a reason."""
        with self._lock:
            return any(source in self._reasons for source in sources)

    def block(self, source, reason):
        """
        State a reason not to command.

        :param source: One of ``SOURCES``.
        :param reason: What is wrong and what to do about it.
        """
        with self._lock:
            self._reasons[source] = reason
            if source not in STATES and self._worst()[0] == source:
                level = DiagnosticStatus.OK if source in PASSING else DiagnosticStatus.WARN
                self._topics.log(source, level, f'not commanding: {reason}')
            self._tell()

    def clear(self, source):
        """
        Take a reason back.

        :param source: One of ``SOURCES``.
        """
        if source not in self._reasons:
            return
        with self._lock:
            self._reasons.pop(source, None)
            if not self._reasons:
                self._topics.log('', DiagnosticStatus.OK, 'commanding')
            self._tell()

    def start_over(self, state):
        """
        Forget all reasons but that the node is in a state in which it does not command.

        :param state: The state, and why where that is not plain.
        """
        with self._lock:
            self._reasons = {'lifecycle': state}
            self._told = None
            self._tell()

    def refuse(self, text):
        """
        Tell why the node is unconfigured, where that is a fault.

        :param text: One sentence.
        """
        self._topics.log(text, DiagnosticStatus.ERROR, text)
        self.block('refusal', text)

    def about(self, facts):
        """
        Tell what is served.

        :param facts: Name to text.
        """
        with self._lock:
            self._about, self._told = facts, None
            self._tell()

    def publish_diagnostics(self, sections):
        """
        Publish on /diagnostics.

        :param sections: Section name to facts (name to text).
        """
        with self._lock:
            level, text = self._summary()
        self._topics.diagnose([(name, level, text, facts) for name, facts in sections.items()])

    def _worst(self):
        """Return source and text of the most important reason."""
        for source in SOURCES:
            if source in self._reasons:
                return source, self._reasons[source]
        return '', ''

    def _summary(self):
        """Return the level and the sentence that describe the present state."""
        source, reason = self._worst()
        if not source:
            return DiagnosticStatus.OK, 'commanding'
        if source == 'lifecycle':
            return DiagnosticStatus.OK, reason
        # A late plan is worth a look; everything else is a fault.
        is_fault = source not in ('plan', *PASSING)
        return DiagnosticStatus.ERROR if is_fault else DiagnosticStatus.WARN, reason

    def _tell(self):
        """
        Publish the status: at once when its source changed, else now and then.

        A lifecycle state always goes out: nobody repeats it.
        """
        source, now_s = self._worst()[0], time.monotonic()
        is_repeated = self._told and self._told[0] == source and source not in STATES
        if is_repeated and now_s - self._told[1] < LOG_PERIOD_S / 4:
            return
        self._told = (source, now_s)
        self._topics.tell(*self._summary(), {'source': source, **self._about})
