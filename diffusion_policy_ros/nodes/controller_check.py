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

"""Ask the controllers that a contract commands whether they take its joints as it names them."""

from collections import deque
import time

from diffusion_policy_ros.control.controller_joints import (
    controller_of, disagreement, PARAMETERS)
from rcl_interfaces.srv import GetParameters

# How often a controller is asked, s: it may be loaded again with other joints, and a first answer
# may be lost while two nodes discover each other.
ASK_PERIOD_S = 0.5
# How long a controller may take to be found, and to answer, s.
PATIENCE_S = 2.0
MAX_QUESTIONS = 4
AGREES = "takes the contract's joints"


class ControllerCheck:
    """
    Keeps asking the controllers behind a contract's outputs for their joints, without waiting.

    Until a controller has answered there is an objection to commanding, but not for longer than
    ``PATIENCE_S``: what cannot be asked is let pass, with a warning. Made for a single-threaded
    executor; ``objection`` may be read by any thread.
    """

    def __init__(self, node, contract):
        """
        Prepare; ``look`` asks.

        :param node: The node that publishes the contract's outputs.
        :param contract: ``RobotContract``.
        """
        named = [(output, controller_of(output, node.resolve_topic_name(output.topic)))
                 for output in contract.actions]
        self._controllers = [_Controller(node, output, name) for output, name in named if name]

    @property
    def objection(self) -> str:
        """Return why nothing may be commanded; an empty text when nothing speaks against it."""
        return '; '.join(filter(None, [one.objection for one in self._controllers]))

    @property
    def only_waits(self) -> bool:
        """Tell whether all that speaks against it is that somebody has not answered yet."""
        return all(one.is_waiting for one in self._controllers if one.objection)

    def look(self) -> str:
        """
        Ask where it is time to ask; call it at every tick.

        :return: The objection.
        """
        for controller in self._controllers:
            controller.look()
        return self.objection

    def facts(self) -> dict:
        """Return what is known of each controller, for the diagnostics: name to sentence."""
        return {one.name: one.objection or one.remark for one in self._controllers}

    def destroy(self):
        """Destroy the clients."""
        for controller in self._controllers:
            controller.destroy()


class _Controller:
    """
    One controller, and what it answered last.

    :ivar is_waiting: Whether it has not answered yet, and may.
    """

    def __init__(self, node, output, name):
        """Create the client of the service that every node has for its parameters."""
        self._node, self._output, self.name = node, output, name
        self._client = node.create_client(GetParameters, f'{name}/get_parameters')
        self._is_there, self._has_warned = False, False
        self._questions = deque()  # those without an answer, oldest first
        self._start_over(time.monotonic())

    def destroy(self):
        """Destroy the client."""
        self._drop_questions(0)
        self._node.destroy_client(self._client)

    def look(self):
        """Ask anew when it is time, and give up waiting for a first answer."""
        now_s = time.monotonic()
        is_there = self._client.service_is_ready()
        if is_there != self._is_there:
            self._is_there = is_there
            self._start_over(now_s)
        if self.is_waiting and now_s - self._since_s > PATIENCE_S:
            self._let_pass('does not answer' if is_there else 'is not there')
        if is_there and now_s - self._asked_s > ASK_PERIOD_S:
            self._ask(now_s)

    def _start_over(self, now_s):
        """Wait for the first answer; for the controller itself where it is not there."""
        self._drop_questions(0)
        self._asked_s, self._since_s, self.is_waiting = float('-inf'), now_s, True
        self.remark = ''
        self.objection = f'waiting for {self.name} to tell which joints it takes'

    def _ask(self, now_s):
        """Put the question once more; of those without an answer the oldest are given up."""
        self._drop_questions(MAX_QUESTIONS - 1)
        self._asked_s = now_s
        question = self._client.call_async(
            GetParameters.Request(names=PARAMETERS[self._output.type]))
        self._questions.append(question)
        question.add_done_callback(self._take_answer)

    def _drop_questions(self, kept):
        """Forget the oldest questions but for a number of them."""
        while len(self._questions) > kept:
            self._client.remove_pending_request(self._questions.popleft())

    def _take_answer(self, question):
        """Compare the answer with the contract."""
        if question not in self._questions:
            return
        self._questions.remove(question)
        values = question.result().values
        # A node that lacks one of the parameters answers with none.
        if len(values) != 2 or not values[0].string_array_value:
            names = ' and '.join(PARAMETERS[self._output.type])
            self._let_pass(f'does not have the parameters {names}')
            return
        self.is_waiting = False
        self.remark = AGREES
        self.objection = disagreement(
            self._output, self.name, list(values[0].string_array_value),
            interface_name=values[1].string_value, allows_partial=values[1].bool_value)

    def _let_pass(self, reason):
        """Object no longer, for nothing will be known; say so once."""
        self.is_waiting, self.objection = False, ''
        self.remark = (f'the controller {self.name} {reason}: its joints were not compared with '
                       f'those sent to {self._output.topic}, {", ".join(self._output.names)}; see '
                       'that they are the same, in this order')
        if not self._has_warned:
            self._has_warned = True
            self._node.get_logger().warning(self.remark)
