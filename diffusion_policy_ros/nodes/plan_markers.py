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

"""The plan in space, for RViz and Foxglove: the topic ``~/markers``."""

import threading

from diffusion_policy_ros.control.plan_path import choose_plan_path
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.messages import header
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.urdf import parse_urdf
from geometry_msgs.msg import Point, Vector3
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, String
from visualization_msgs.msg import Marker, MarkerArray

PLAN, DUE, CANDIDATES = 'plan', 'due', 'candidates'
PLAN_COLOUR = (1.0, 0.45, 0.0)
DUE_COLOUR = (1.0, 0.9, 0.1)
CANDIDATE_COLOUR = (0.4, 0.7, 1.0)
CANDIDATE_ALPHA = 0.25
# How much of the plan's last row is still seen.
END_ALPHA = 0.2
# A row's sphere outlives its row a little, so that it does not flicker when the next one is late.
DUE_PERIODS = 2
# 0 would mean for ever, and RViz takes everything up to 0.1 ms for that.
LEAST_LIFETIME_NS = 1_000_000
# As multiples of the plan's line.
SPHERE_WIDTHS, CANDIDATE_WIDTHS = 4.0, 0.4


class PlanMarkers:
    """
    Publishes ``~/markers``; without a subscriber it does nothing.

    Methods may be called from several threads.
    """

    def __init__(self, node, contract, *, tip_link=''):
        """
        Create the publisher; with a tip link, listen to ``robot_description``.

        :param node: The lifecycle node.
        :param contract: ``RobotContract``.
        :param tip_link: Link of the robot description whose way is shown, empty for none.
        """
        self._node, self._contract, self._tip_link = node, contract, tip_link
        self._lock = threading.Lock()
        self._path = self._chunk = self._points = None
        self._shown = 0
        self._publisher = node.create_lifecycle_publisher(MarkerArray, '~/markers', qos.EVENTS)
        self._description = node.create_subscription(
            String, 'robot_description', self._on_description, qos.STATUS) if tip_link else None
        self._choose(None)

    def show(self, chunk, candidates, now_ns):
        """
        Show a plan that is followed from now on.

        :param chunk: ``TimedChunk`` over all action entries.
        :param candidates: All plans that it was chosen from, float64 ``(K, rows, action_dim)``
            in robot units, their rows due as the chunk's; K may be 0.
        :param now_ns: The time, ns.
        """
        with self._lock:
            self._chunk = self._points = None
            if self._path is None or not self._publisher.get_subscription_count():
                return
            self._chunk, self._points = chunk, self._path.points(chunk.actions)
            others = [self._path.points(rows) for rows in candidates]
            self._publisher.publish(plan_markers(
                self._path, chunk, self._points, others, now_ns, shown_before=self._shown))
            self._shown = len(others)

    def follow(self, now_ns):
        """
        Move the sphere to the row that is due.

        :param now_ns: The time, ns.
        """
        with self._lock:
            if self._chunk is not None:
                self._publisher.publish(MarkerArray(markers=due_markers(
                    self._path, self._chunk, self._points, now_ns)))

    def clear(self):
        """Take everything off the screen: no plan is followed any more."""
        with self._lock:
            if self._chunk is not None:
                self._publisher.publish(MarkerArray(markers=[Marker(action=Marker.DELETEALL)]))
            self._chunk = self._points = None
            self._shown = 0

    def destroy(self):
        """Destroy publisher and subscription."""
        self._node.destroy_lifecycle_publisher(self._publisher)
        if self._description is not None:
            self._node.destroy_subscription(self._description)

    def _on_description(self, message):
        """Find the way of the tip link through a robot description."""
        try:
            self._choose(parse_urdf(message.data))
        except ConfigError as error:
            self._node.get_logger().warning(f'~/markers: {error}')

    def _choose(self, urdf):
        """Decide how plans are seen, and say so where they cannot be."""
        path, reason = choose_plan_path(self._contract, urdf=urdf, tip_link=self._tip_link)
        with self._lock:
            self._path, self._chunk = path, None
        if path is None:
            self._node.get_logger().info(f'~/markers stays empty: {reason}')


def plan_markers(path, chunk, points, candidates, now_ns, *, shown_before=0) -> MarkerArray:
    """
    Draw a plan, fading along time, a sphere at the row that is due, and the candidates.

    Each marker lives until the plan's last row is over, so that a plan that nobody follows any
    more disappears.

    :param path: ``PlanPath`` that the points come from.
    :param chunk: ``TimedChunk`` that is followed.
    :param points: Where its rows lead, float64 ``(rows, 3)``, m.
    :param candidates: The same for each candidate, thin and transparent; may be empty.
    :param now_ns: The time, ns.
    :param shown_before: Candidates of the message before; what is too many is deleted.
    """
    lifetime_ns = chunk.end_ns + path.offset_ns - now_ns
    plan = _line(path, chunk, PLAN, 0, points, now_ns, lifetime_ns)
    plan.scale.x = path.width_m
    plan.colors = [_colour(PLAN_COLOUR, 1 - (1 - END_ALPHA) * row / max(chunk.rows - 1, 1))
                   for row in range(chunk.rows)]
    markers = [plan]
    for number, way in enumerate(candidates):
        candidate = _line(path, chunk, CANDIDATES, number, way, now_ns, lifetime_ns)
        candidate.scale.x = CANDIDATE_WIDTHS * path.width_m
        candidate.color = _colour(CANDIDATE_COLOUR, CANDIDATE_ALPHA)
        markers.append(candidate)
    markers += [Marker(ns=CANDIDATES, id=number, action=Marker.DELETE)
                for number in range(len(candidates), shown_before)]
    return MarkerArray(markers=markers + due_markers(path, chunk, points, now_ns))


def due_markers(path, chunk, points, now_ns) -> list:
    """
    Draw the sphere at the row that is due.

    :param path: ``PlanPath`` that the points come from.
    :param chunk: ``TimedChunk`` that is followed.
    :param points: Where its rows lead, float64 ``(rows, 3)``, m.
    :param now_ns: The time, ns.
    :return: One Marker; none where no row is due.
    """
    row = chunk.row_due(now_ns - path.offset_ns)
    if row is None:
        return []
    sphere = _marker(path, chunk, DUE, 0, now_ns, round(DUE_PERIODS * 1e9 / chunk.rate_hz))
    sphere.type, sphere.color = Marker.SPHERE, _colour(DUE_COLOUR, 1.0)
    sphere.scale = Vector3(**dict.fromkeys('xyz', SPHERE_WIDTHS * path.width_m))
    sphere.pose.position = _points(points[row:row + 1])[0]
    return [sphere]


def _line(path, chunk, namespace, number, points, now_ns, lifetime_ns):
    """Begin a line through points."""
    line = _marker(path, chunk, namespace, number, now_ns, lifetime_ns)
    line.type, line.points = Marker.LINE_STRIP, _points(points)
    return line


def _marker(path, chunk, namespace, number, now_ns, lifetime_ns):
    """Begin a marker, stamped with the plan's first row; a transform for later is not there."""
    start_ns = min(chunk.due_ns(0) + path.offset_ns, now_ns)
    marker = Marker(header=header(MESSAGE_CLASSES, start_ns, path.frame_id), ns=namespace,
                    id=number, action=Marker.ADD)
    marker.lifetime = Duration(nanoseconds=max(lifetime_ns, LEAST_LIFETIME_NS)).to_msg()
    marker.pose.orientation.w = 1.0
    return marker


def _points(points):
    """Turn rows of coordinates into messages."""
    return [Point(x=x, y=y, z=z) for x, y, z in points.tolist()]


def _colour(colour, alpha):
    """Return a colour of some opacity."""
    return ColorRGBA(**dict(zip('rgb', colour)), a=alpha)
