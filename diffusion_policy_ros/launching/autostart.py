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

"""Take a launched lifecycle node to activity, whatever of the talk with it gets lost."""

from threading import Event
import time

from launch.actions import OpaqueFunction
from launch.event_handlers import OnShutdown
from launch.logging import get_logger
from launch_ros.ros_adapters import get_ros_node
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

# What brings a node on from each state in which it waits for somebody.
NEXT = {State.PRIMARY_STATE_UNCONFIGURED: Transition.TRANSITION_CONFIGURE,
        State.PRIMARY_STATE_INACTIVE: Transition.TRANSITION_ACTIVATE}
ENDS = (State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_FINALIZED)
# How long to wait for an answer, s, before its state is asked again: a node that loads a model
# answers nothing meanwhile, and questions and answers get lost while DDS makes two nodes known to
# each other.
PATIENCE_S = 2.0
LOOK_S = 0.1


def autostart(node) -> OpaqueFunction:
    """
    Return the action that configures a node and then activates it; it comes after the node.

    launch_ros goes by the transitions that a node publishes, and never hears of one that happened
    before it was connected; this asks for the state. What the node refuses is not tried again.

    :param node: ``LifecycleNode``.
    """
    def begin(context):
        client = _Lifecycle(get_ros_node(context), node.node_name)
        # The newest handler comes first: before that of launch_ros, which destroys the clients.
        context.register_event_handler(OnShutdown(
            on_shutdown=lambda event, context: client.is_over.set()))
        context.add_completion_future(
            context.asyncio_loop.run_in_executor(None, client.run))

    return OpaqueFunction(function=begin)


class _Lifecycle:
    """
    The services of one lifecycle node; used in a thread of its own.

    :ivar is_over: ``Event`` to be set at the end of the launch.
    """

    def __init__(self, ros_node, name):
        """Create the clients."""
        self.is_over, self._name = Event(), name
        self._state = ros_node.create_client(GetState, f'{name}/get_state')
        self._change = ros_node.create_client(ChangeState, f'{name}/change_state')

    def run(self):
        """Bring the node up, unless the launch ends meanwhile."""
        try:
            self._bring_up()
        except Exception:  # clients that are gone with the launch raise what has no public type
            if not self.is_over.is_set():
                raise

    def _bring_up(self):
        """Go from state to state until the node is active, or refuses."""
        refused = None
        while not self.is_over.is_set():
            state = self._ask_state()
            if state in ENDS:
                return
            if state is not None and state == refused:
                get_logger('autostart').error(f'{self._name} is not active; its log says why')
                return
            if state in NEXT:
                refused = state if self._is_refused(NEXT[state]) else None
            time.sleep(LOOK_S)

    def _ask_state(self):
        """Return the number of the node's state, None where it does not answer now."""
        answer = self._answer(self._send(self._state, GetState.Request()))
        return answer and answer.current_state.id

    def _is_refused(self, transition):
        """Ask for a transition; tell whether it was answered with a refusal."""
        asked = self._send(self._change, ChangeState.Request(transition=Transition(id=transition)))
        answer = self._answer(asked)
        # While it is busy with that, it does not say its state either; else something got lost.
        while answer is None and not self.is_over.is_set():
            is_free = self._ask_state() is not None
            answer = self._answer(asked)
            if is_free:
                break
        return answer is not None and not answer.success

    def _send(self, client, request):
        """Send a request, None where nobody is there to answer it."""
        return client.call_async(request) if client.wait_for_service(LOOK_S) else None

    def _answer(self, asked):
        """Return the answer to a request, None where there is none in time."""
        end_s = time.monotonic() + PATIENCE_S
        while asked is not None and not asked.done():
            if self.is_over.is_set() or time.monotonic() > end_s:
                return None
            time.sleep(LOOK_S / 10)
        return asked and asked.result()
