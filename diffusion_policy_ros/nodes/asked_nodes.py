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

"""Questions to the nodes of a live robot: their lifecycle states, and whose time they go by."""

import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.finding import Finding
from diffusion_policy_ros.nodes import qos
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters

ASK_PERIOD_S = 0.5  # an answer may be lost while two nodes discover each other
# How each of our nodes is brought to work.
NEXT = {'unconfigured': 'configure', 'inactive': 'activate'}
ABSENT = {'policy_server': ('is not running: no policy commands the robot', 'policy.launch.py'),
          'command_safety': ('is not running: nothing limits the commands', 'safety.launch.py')}
LEVELS = {DiagnosticStatus.OK: 'OK', DiagnosticStatus.WARN: 'WARN'}


class Question:
    """
    Puts one question to one service until there is an answer.

    :ivar answer: The response, None before.
    """

    def __init__(self, node, service_type, name, request):
        """
        Prepare; ``look`` asks.

        :param node: The node that asks.
        :param service_type: Class of the service.
        :param name: Name of the service.
        :param request: The request.
        """
        self._request, self._asked_s = request, float('-inf')
        self._client = node.create_client(service_type, name)
        self.answer = None

    def look(self):
        """Ask where it is time to; call it again and again."""
        now_s = time.monotonic()
        if (self.answer is None and now_s - self._asked_s > ASK_PERIOD_S
                and self._client.service_is_ready()):
            self._asked_s = now_s
            self._client.call_async(self._request).add_done_callback(self._take)

    def _take(self, future):
        """Keep an answer."""
        self.answer = future.result()


class LifecycleCheck:
    """Whether one of the package's own nodes is there, in which state, and what it says."""

    def __init__(self, node, name):
        """
        Listen to the node.

        :param node: The node that looks.
        :param name: Name of the node to look for, relative to the namespace.
        """
        self._node, self._name = node, name
        self._full = node.resolve_service_name(name)
        self._state = Question(node, GetState, f'{name}/get_state', GetState.Request())
        self._status = None
        node.create_subscription(DiagnosticStatus, f'{name}/status', self._take, qos.STATUS)

    def look(self):
        """Ask; call it again and again."""
        self._state.look()

    def finding(self) -> Finding:
        """Return what is known now."""
        answer, status = self._state.answer, self._status
        if answer is None and not self._is_there():
            value, launch = ABSENT[self._name]
            return Finding('WARN', self._full, value, f'ros2 launch diffusion_policy_ros {launch}')
        if answer is None:
            return Finding('ERROR', self._full, 'does not answer', 'end it and start it again')
        state = answer.current_state.label
        said = f'; it says: {status.message}' if status and status.message != state else ''
        level = LEVELS.get(status.level, 'ERROR') if status else 'OK'
        if state == 'active':
            return Finding(level, self._full, f'active{said}', 'see docs/faults.md')
        return Finding('WARN', self._full, f'{state}{said}',
                       f'ros2 lifecycle set {self._full} {NEXT.get(state, "shutdown")}')

    def _is_there(self):
        """Tell whether a node of that name is on the graph."""
        space, _, name = self._full.rpartition('/')
        return (name, space or '/') in self._node.get_node_names_and_namespaces()

    def _take(self, message):
        """Keep what the node says."""
        self._status = message


class SimTimeCheck:
    """Which nodes of a robot go by ``/clock``."""

    def __init__(self, node):
        """
        Prepare.

        :param node: The node that looks.
        """
        self._node, self._questions = node, {}

    def look(self, names):
        """
        Ask nodes; call it again and again.

        :param names: Full names of nodes; those of the first calls need not be all.
        """
        for name in names:
            if name not in self._questions:
                self._questions[name] = Question(
                    self._node, GetParameters, f'{name}/get_parameters',
                    GetParameters.Request(names=['use_sim_time']))
        for question in self._questions.values():
            question.look()

    def using(self) -> dict:
        """Return node name to whether it goes by ``/clock``, of those that answered."""
        answers = {name: question.answer for name, question in self._questions.items()}
        return {name: answer.values[0].bool_value for name, answer in answers.items()
                if answer is not None and len(answer.values) == 1}
