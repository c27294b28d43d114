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
"""What people see of plans: the topics beside the commands."""

from array import array

from diffusion_policy_ros.messages import joint_trajectory
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.plan_markers import PlanMarkers
from diffusion_policy_ros.nodes.plan_overlay import PlanOverlay
from std_msgs.msg import Float64MultiArray, MultiArrayDimension, MultiArrayLayout, String
from trajectory_msgs.msg import JointTrajectory


class PlanViews:
    """
    Publishes what is in plans, for people and for replay.

    ``~/chunk``, ``~/latency``, ``~/confidence``, ``~/plan_record``, ``~/markers``, ``~/overlay``.

    :ivar about: ``weights``, ``device``, ``precision``, ``backend`` and ``topics`` of the records
        of plans.
    """

    def __init__(self, node, contract, *, tip_link):
        """
        Create the publishers, inactive until the lifecycle node is.

        :param node: The lifecycle node.
        :param contract: ``RobotContract``.
        :param tip_link: Link of ``robot_description`` whose way is drawn, empty for none.
        """
        self._node, self._contract, self.about = node, contract, {}
        self._record = node.create_lifecycle_publisher(String, '~/plan_record', qos.EVENTS)
        self._chunk = node.create_lifecycle_publisher(JointTrajectory, '~/chunk', qos.EVENTS)
        self._latency = node.create_lifecycle_publisher(
            Float64MultiArray, '~/latency', qos.EVENTS)
        self._confidence = node.create_lifecycle_publisher(
            Float64MultiArray, '~/confidence', qos.EVENTS)
        self._markers = PlanMarkers(node, contract, tip_link=tip_link)
        self._overlay = PlanOverlay(node, contract)
        self._ages_ns = {}

    def saw(self, window, ages_ns, tick_ns):
        """
        Keep what the policy sees, and move what moves with the time.

        :param window: Dataset key to array ``(n_obs_steps, ...)``.
        :param ages_ns: Topic to the age of its newest sample, ns.
        :param tick_ns: Tick of the newest row, ns.
        """
        self._ages_ns = ages_ns
        self._draw(self._overlay.saw, window, tick_ns)
        self._draw(self._markers.follow, self._now_ns())

    def judge(self, plan):
        """
        Show how sure the policy is of a plan, also of one that will not be followed.

        :param plan: ``FinishedPlan``.
        """
        named = {'spread': plan.spread, 'num_candidates': float(len(plan.candidates))}
        if plan.log_likelihood is not None:
            named['log_likelihood'] = plan.log_likelihood
        self._confidence.publish(_named_message(named))

    def show(self, following, latency, reason):
        """
        Show a plan that is followed from now on.

        :param following: ``Following``, whose first command was sent.
        :param latency: ``Latency`` of the plan.
        :param reason: Why nothing is commanded, empty while something is.
        """
        now_ns, plan, chunk = self._now_ns(), following.plan, following.chunk
        self._chunk.publish(_plan_message(chunk, self._contract.action_names))
        self._latency.publish(_named_message(latency.named()))
        self._record.publish(String(data=following.record(self.about).to_json()))
        others = plan.candidates if len(plan.candidates) > 1 else ()
        self._draw(self._markers.show, chunk, others, now_ns)
        self._draw(self._overlay.show, now_ns, ages_ns=self._ages_ns, chunk=chunk,
                   latency_ms=latency.total_ms, reason=reason)

    def clear(self, reason):
        """
        Take the plan off the screen: none is followed any more.

        :param reason: Why.
        """
        self._draw(self._markers.clear)
        self._draw(self._overlay.show, self._now_ns(), ages_ns={}, chunk=None, latency_ms=None,
                   reason=reason)

    def destroy(self):
        """Destroy the publishers."""
        for publisher in (self._chunk, self._latency, self._confidence, self._record):
            self._node.destroy_lifecycle_publisher(publisher)
        self._markers.destroy()
        self._overlay.destroy()

    def _draw(self, draw, *arguments, **named):
        """Draw; a picture that fails must not end the thread that commands."""
        try:
            draw(*arguments, **named)
        except Exception as error:
            self._node.get_logger().error(f'cannot draw: {error!r}', throttle_duration_sec=5.0)

    def _now_ns(self):
        """Return the ROS time, ns."""
        return self._node.get_clock().now().nanoseconds


def _plan_message(chunk, names):
    """Write a plan as a trajectory: the stamp is when row 0 is due."""
    start_ns = chunk.due_ns(0)
    due_ns = [chunk.due_ns(row) - start_ns for row in range(chunk.rows)]
    return joint_trajectory(MESSAGE_CLASSES, names, chunk.actions, due_ns, start_ns)


def _named_message(named):
    """Write numbers in order; the label of the one dimension names them."""
    layout = MultiArrayLayout(dim=[MultiArrayDimension(
        label=','.join(named), size=len(named), stride=len(named))])
    return Float64MultiArray(layout=layout, data=array('d', named.values()))
