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

"""The plan as markers: what a viewer gets, when, and how it goes away again."""

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('visualization_msgs')
from diffusion_policy_ros.contract import load_contract  # noqa: E402,I100
from diffusion_policy_ros.control.plan_path import choose_plan_path, PlanPath  # noqa: E402
from diffusion_policy_ros.nodes import qos  # noqa: E402
from diffusion_policy_ros.nodes.plan_markers import (  # noqa: E402
    due_markers, plan_markers, PlanMarkers)
from diffusion_policy_ros.policy.action_chunk import TimedChunk  # noqa: E402
from diffusion_policy_ros.share import share_path  # noqa: E402
from rclpy.lifecycle import LifecycleNode  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from visualization_msgs.msg import Marker, MarkerArray  # noqa: E402

DOMAIN_ID = 63
MS = 10**6
START_NS = 5 * 10**9
# Rows at 10 Hz: the first is due at START_NS, the last is over 400 ms later.
CHUNK = TimedChunk(np.array([[0.1, 0.2], [0.2, 0.2], [0.3, 0.1], [0.3, 0.0]]), START_NS, 10.0)
ARM = """<robot name="arm"><link name="base"/><link name="tool"/>
    <joint name="{}" type="prismatic"><parent link="base"/><child link="tool"/></joint></robot>"""
ELSEWHERE = PlanPath('odom', -20 * MS, 0.03, lambda rows: np.pad(rows, ((0, 0), (0, 1))))


def contract():
    return load_contract(share_path('config', 'robots', 'pusht.yaml'))


def drawn(now_ns=START_NS + 150 * MS, candidates=(), path=None, **options):
    """Return the markers by namespace and id, as they come out of the wire."""
    path = path or choose_plan_path(contract())[0]
    array = plan_markers(path, CHUNK, path.points(CHUNK.actions),
                         [path.points(np.asarray(rows)) for rows in candidates], now_ns, **options)
    array = deserialize_message(serialize_message(array), MarkerArray)
    markers = {(marker.ns, marker.id): marker for marker in array.markers}
    assert len(markers) == len(array.markers)
    return markers


def places(points):
    return [(p.x, p.y, p.z) for p in points]


def ns_of(time):
    return time.sec * 10**9 + time.nanosec


def test_the_plan_is_a_line_through_its_points_that_fades():
    plan = drawn()['plan', 0]
    assert (plan.type, plan.action) == (Marker.LINE_STRIP, Marker.ADD)
    assert places(plan.points) == [(*row, 0.0) for row in CHUNK.actions]
    alphas = [colour.a for colour in plan.colors]
    assert len(alphas) == 4 and alphas[0] == 1.0 and (np.diff(alphas) < 0).all() and alphas[-1] > 0
    assert plan.pose.orientation.w == 1.0 and plan.scale.x > 0


@pytest.mark.parametrize('late_ms, row', [(0, 0), (99, 0), (100, 1), (399, 3)])
def test_the_sphere_is_at_the_row_that_is_due(late_ms, row):
    sphere = drawn(START_NS + late_ms * MS)['due', 0]
    assert sphere.type == Marker.SPHERE
    assert places([sphere.pose.position]) == [(*CHUNK.actions[row], 0.0)]
    assert sphere.scale.x == sphere.scale.y == sphere.scale.z > drawn()['plan', 0].scale.x


@pytest.mark.parametrize('late_ms', [-1, 400])
def test_there_is_no_sphere_where_no_row_is_due(late_ms):
    assert ('due', 0) not in drawn(START_NS + late_ms * MS)


def test_candidates_are_thinner_and_fainter_than_the_plan():
    candidates = np.random.default_rng(0).normal(size=(3, 4, 2))
    markers = drawn(candidates=candidates)
    assert set(markers) == {('plan', 0), ('due', 0), *(('candidates', k) for k in range(3))}
    for number, rows in enumerate(candidates):
        marker = markers['candidates', number]
        assert places(marker.points) == [(*row, 0.0) for row in rows]
        assert marker.scale.x < markers['plan', 0].scale.x and 0 < marker.color.a < 0.5
        assert not marker.colors


def test_candidates_of_the_plan_before_that_are_too_many_are_deleted():
    markers = drawn(candidates=np.zeros((1, 4, 2)), shown_before=3)
    assert {key[1]: m.action for key, m in markers.items() if key[0] == 'candidates'} == {
        0: Marker.ADD, 1: Marker.DELETE, 2: Marker.DELETE}


def test_a_plan_that_nobody_follows_any_more_disappears_when_it_is_over():
    for marker in drawn(candidates=np.zeros((1, 4, 2))).values():
        expected_ns = 200 * MS if marker.ns == 'due' else 250 * MS
        assert ns_of(marker.lifetime) == expected_ns
    # RViz takes a lifetime of up to 0.1 ms for none at all.
    assert ns_of(drawn(START_NS + 10**10)['plan', 0].lifetime) > 100_000


def test_markers_carry_the_frame_and_the_time_of_the_first_row():
    for marker in drawn(path=ELSEWHERE, candidates=np.zeros((1, 4, 2))).values():
        assert marker.header.frame_id == 'odom'
        assert ns_of(marker.header.stamp) == START_NS - 20 * MS
    early_ns = START_NS - 50 * MS  # transforms of the future are not known
    assert ns_of(drawn(early_ns, path=ELSEWHERE)['plan', 0].header.stamp) == early_ns


def test_the_offset_of_the_output_moves_the_due_row():
    points = ELSEWHERE.points(CHUNK.actions)
    sphere, = due_markers(ELSEWHERE, CHUNK, points, START_NS + 85 * MS)
    assert places([sphere.pose.position]) == [tuple(points[1])]


class Wire:
    """A node and its publisher that keep what they are given."""

    def __init__(self):
        self.sent, self.logged, self.viewers = [], [], 1

    def create_lifecycle_publisher(self, message_type, topic, profile):
        self.topic = topic
        return self

    def create_subscription(self, message_type, topic, callback, profile):
        assert (topic, profile) == ('robot_description', qos.STATUS)
        self.describe = callback

    def get_subscription_count(self):
        return self.viewers

    def publish(self, message):
        self.sent.append([(m.ns, m.id, m.action) for m in message.markers])

    def get_logger(self):
        return self

    def info(self, text):
        self.logged.append(text)

    warning = info


def test_without_a_viewer_nothing_is_computed_or_sent():
    wire = Wire()
    shower = PlanMarkers(wire, contract())
    wire.viewers = 0
    shower._path = PlanPath('table', 0, 0.1, points=None)  # would raise if it were called
    shower.show(CHUNK, [], START_NS)
    shower.follow(START_NS)
    shower.clear()
    assert (wire.topic, wire.sent, wire.logged) == ('~/markers', [], [])


def test_the_sphere_follows_until_the_plan_is_taken_off_the_screen():
    wire = Wire()
    shower = PlanMarkers(wire, contract())
    shower.show(CHUNK, np.zeros((2, 4, 2)), START_NS)
    shower.follow(START_NS + 100 * MS)
    assert wire.sent.pop() == [('due', 0, Marker.ADD)]
    shower.clear()
    assert wire.sent.pop() == [('', 0, Marker.DELETEALL)]
    shower.clear()
    shower.follow(START_NS + 200 * MS)
    assert len(wire.sent) == 1
    shower.show(CHUNK, np.zeros((1, 4, 2)), START_NS)
    assert ('candidates', 1, Marker.DELETE) not in wire.sent[-1]


def test_fewer_candidates_than_before_are_told():
    wire = Wire()
    shower = PlanMarkers(wire, contract())
    for count in (3, 1):
        shower.show(CHUNK, np.zeros((count, 4, 2)), START_NS)
    assert wire.sent[-1][2:4] == [('candidates', 1, Marker.DELETE),
                                  ('candidates', 2, Marker.DELETE)]


def test_why_nothing_is_seen_is_logged_once_and_ends_with_a_description():
    wire = Wire()
    shower = PlanMarkers(wire, load_contract(share_path('config', 'robots', 'arm6.yaml')),
                         tip_link='tool')
    chunk = TimedChunk(np.full((3, 7), 0.2), START_NS, 15.0)
    shower.show(chunk, [], START_NS)
    assert not wire.sent and len(wire.logged) == 1
    assert 'stays empty: no robot_description has come yet' in wire.logged[0]
    wire.describe(String(data='<robot'))
    assert 'not valid XML' in wire.logged[1]
    wire.describe(String(data=ARM.format('unknown')))
    assert 'joint unknown' in wire.logged[2]
    wire.describe(String(data=ARM.format('elbow')))
    shower.show(chunk, [], START_NS)
    assert len(wire.logged) == 3 and wire.sent[0][0] == ('plan', 0, Marker.ADD)


def test_no_description_kills_the_markers():
    rng, wire = np.random.default_rng(0), Wire()
    markers = PlanMarkers(wire, contract(), tip_link='tool')
    urdf, found = ARM.format('finger_x'), set()
    for _ in range(10_000):
        text = urdf
        for _ in range(rng.integers(4)):
            start, reach = rng.integers(len(text) + 1), rng.integers(12)
            new = rng.choice(['', '"', '<', '>', '/', '&x;', 'nan', 'base', 'tool', urdf])
            text = text[:start] + str(new) + text[start + reach:]
        wire.describe(String(data=text))
        found.add(markers._path is None)
    assert found == {False, True}
    wire.describe(String(data=urdf))
    markers.show(CHUNK, [], START_NS)
    assert wire.sent


class Shower(LifecycleNode):
    """A lifecycle node that shows markers and nothing else."""

    def __init__(self, **options):
        super().__init__('policy_server', **options)
        self.markers = PlanMarkers(self, contract(), tip_link='tool')


def test_a_viewer_that_comes_late_sees_the_next_plan(peer):
    latched = peer.node.create_publisher(String, 'robot_description', qos.STATUS)
    latched.publish(String(data=ARM.format('finger_x')))
    node = peer.start(Shower)
    node.trigger_configure()
    node.trigger_activate()
    peer.until(lambda: node.markers._path is not None, 'the description')
    heard = peer.hear(MarkerArray, 'policy_server/markers', qos.EVENTS)

    def show():
        node.markers.show(CHUNK, [], START_NS)
        return heard
    peer.until(show, 'markers')
    assert heard[0].markers[0].header.frame_id == 'base'
    assert places(heard[0].markers[0].points) == [(x, 0.0, 0.0) for x in CHUNK.actions[:, 0]]
    node.markers.destroy()
