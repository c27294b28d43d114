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

"""Ask the recorder, by its services, to start, end or discard an episode."""

from functools import partial
import math
import time

from rclpy.clock import Clock, ClockType
from std_srvs.srv import Trigger

# A recorder that runs is found within this time after the start of who asks.
DISCOVERY_S = 2.0
LOOK_PERIOD_S = 0.05
# A recorder that writes a long pre-roll to a slow disk answers within this time.
ANSWER_S = 30.0

VERBS = ('start', 'stop', 'success', 'fail', 'discard', 'discard_last')


class RecorderClient:
    """Clients of the recorder's services, such as ``recorder/start``."""

    def __init__(self, node):
        """
        Create the clients.

        :param node: The node that asks.
        """
        self._node, self._since_s = node, time.monotonic()
        self._clients = {
            verb: node.create_client(Trigger, f'recorder/{verb}') for verb in VERBS}

    def is_ready(self) -> bool:
        """Tell whether a recorder answers."""
        return self._clients['start'].service_is_ready()

    def is_looking(self) -> bool:
        """Tell whether a recorder may run that was not found yet."""
        return not self.is_ready() and time.monotonic() - self._since_s < DISCOVERY_S

    def ask(self, verb, on_answer):
        """
        Ask without waiting.

        :param verb: One of ``VERBS``.
        :param on_answer: Called with (success, message) when the answer is there, or when no
            recorder was found.
        """
        if self.is_looking():
            self._ask_later(verb, on_answer)
            return
        client = self._clients[verb]
        if not client.service_is_ready():
            on_answer(False, f'no recorder answers on {client.srv_name}; start one in this '
                             'namespace')
            return
        client.call_async(Trigger.Request()).add_done_callback(
            lambda future: on_answer(future.result().success, future.result().message))

    def _ask_later(self, verb, on_answer):
        """Ask as soon as the recorder is found, or the time to find it is over."""
        def look():
            if not self.is_looking():
                timer.cancel()
                self._node.destroy_timer(timer)
                self.ask(verb, on_answer)

        timer = self._node.create_timer(LOOK_PERIOD_S, look,
                                        clock=Clock(clock_type=ClockType.STEADY_TIME))


class RecorderTurn:
    """One question at a time to a recorder that may not be wanted: then the answer is yes."""

    def __init__(self, node, record):
        """
        Ask nothing yet.

        :param node: The node that asks.
        :param record: Whether a recorder is wanted.
        """
        self._client = RecorderClient(node) if record else None
        self._asked, self._due_s, self._answer = '', math.inf, None

    def ask(self, verb):
        """
        Ask; the answer may come on another thread.

        :param verb: One of ``VERBS``.
        """
        self._asked, self._due_s = verb, time.monotonic() + ANSWER_S
        if self._client is None:
            self._keep(verb, True, '')
        else:
            self._client.ask(verb, partial(self._keep, verb))

    def take(self):
        """Return (success, message) once, when the answer is there or overdue; None otherwise."""
        answer, self._answer = self._answer, None
        if answer is None and self._asked and time.monotonic() >= self._due_s:
            self._due_s = math.inf
            return False, f'it has not answered for {ANSWER_S:g} s; see whether it still runs'
        return answer

    def _keep(self, verb, *answer):
        """Keep the first answer to what was asked last, until it is taken."""
        if verb == self._asked:  # one that is late counts until another verb is asked
            self._asked, self._answer = '', answer
