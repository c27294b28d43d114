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

"""
The node ``eval_observer``: conducts and measures the episodes of ``dpr eval --through-ros``.

As ``demo_observer``, with ``command_safety`` between the policy server and the robot: configures
it first, has it active in each episode, and tells after that what it did, as the event ``guard``.
"""

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.evaluation.eval_live import COUNTED
from diffusion_policy_ros.nodes.conductor import ALL, ANSWER_S, conduct, tell
from diffusion_policy_ros.nodes.demo_observer import DemoObserver, START_UP_S
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import DurabilityPolicy, QoSProfile

# Latched as the status is, and deep: what a look finds holds more than the newest state.
EVERY_STATUS = QoSProfile(depth=ALL.depth, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class EvalObserver(DemoObserver):
    """Plays episodes under ``command_safety``."""

    is_guarded = True

    def __init__(self, **node_options):
        """
        Subscribe to robot, policy and safety node.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        """
        super().__init__(**node_options)
        self._facts, self._said = {}, []
        self._guard = self.create_client(ChangeState, 'command_safety/change_state')
        self.listen(DiagnosticStatus, 'command_safety/status', self._on_guard, EVERY_STATUS)

    def conduct(self):
        """
        Configure the safety node, then play all episodes.

        :raises DiffusionPolicyError: if a node does not do its part.
        """
        self.until(self._guard.service_is_ready, 'the start of command_safety', START_UP_S)
        self._change_guard('CONFIGURE')
        super().conduct()

    def _play(self, number):
        """
        Play an episode, and tell what the safety node said and counted meanwhile.

        Between two it is inactive: a robot that was put back is not to be held where it was. It
        says what it counted in all when it begins to end, and once it is inactive nothing more.
        """
        self._facts, self._said = {}, []
        self._change_guard('ACTIVATE')
        super()._play(number)
        said = self._said.copy()
        self._change_guard('DEACTIVATE')
        self.until(lambda: self._facts and self._said[-1].startswith('inactive'),
                   'what command_safety counted', ANSWER_S)
        tell('guard', episode=number, said=said, facts=self._facts)

    def _change_guard(self, name):
        """Take the safety node through a transition."""
        request = ChangeState.Request()
        request.transition.id = getattr(Transition, f'TRANSITION_{name}')
        if not self.ask(self._guard, request, f'{name.lower()} of command_safety').success:
            raise DiffusionPolicyError(f'command_safety refused to {name.lower()}; it says: '
                                       f'{self._said[-1:] or "nothing"}')

    def _on_guard(self, message, info):
        """Keep what the safety node counted last, and why it held the robot."""
        del info
        facts = {pair.key: pair.value for pair in message.values}
        if any(name.endswith(COUNTED) for name in facts):
            self._facts = facts
        self._said.append(message.message)


def main(args=None) -> int:
    """
    Conduct the evaluation.

    :param args: Command line arguments for ROS.
    :return: Exit code: 0 when all episodes were played, 1 when something was in the way.
    """
    return conduct(EvalObserver, args)
