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

"""Service events are decoded as ROS 2 wrote them."""

from pathlib import Path

from diffusion_policy_ros.data.bags.bag_reader import open_bag
from diffusion_policy_ros.data.bags.bag_types import BagTypes
from diffusion_policy_ros.data.bags.stored import Channel
from diffusion_policy_ros.data.conversion.service_events import (
    COMMON, event_types, understand_service_events)
import numpy as np
import pytest
from rosbags.typesys import get_typestore, Stores

TRIGGER = 'std_srvs/srv/Trigger_Event'
BAGS = Path(__file__).resolve().parents[4] / 'shared/data/bags/rosbag2_official'


@pytest.mark.parametrize('has_request', [True, False])
def test_what_rclpy_serializes_is_read(has_request):
    """Requests and responses, empty or not."""
    std_srvs = pytest.importorskip('std_srvs.srv')
    serialize = pytest.importorskip('rclpy.serialization').serialize_message
    event = std_srvs.Trigger.Event()
    event.info.event_type, event.info.sequence_number = 2, 5
    event.info.client_gid = np.arange(16, dtype=np.uint8)
    event.request = [std_srvs.Trigger.Request()] * has_request
    event.response = [std_srvs.Trigger.Response(success=True, message='done')]
    store = get_typestore(Stores.LATEST)
    store.register(event_types(TRIGGER, COMMON[TRIGGER]))
    found = store.deserialize_cdr(serialize(event), TRIGGER)
    assert (found.info.event_type, found.info.sequence_number) == (2, 5)
    assert found.info.client_gid.tolist() == list(range(16))
    assert len(found.request) == has_request
    assert [(r.success, r.message) for r in found.response] == [(True, 'done')]


@pytest.mark.parametrize('name', [
    'rosbag2_tests/resources/mcap/bag_with_topics_and_service_events',
    'rosbag2_cpp/test/rosbag2_cpp/bags/topics_and_services.mcap'])
def test_the_events_in_rosbag2s_own_bags_are_read(name):
    """By the definitions in the bag; every call begins with a request and ends with an answer."""
    if not (BAGS / name).exists():
        pytest.skip(f'{BAGS / name} is not there')
    with open_bag(BAGS / name) as bag:
        topics = {t: kind for t, (kind, n) in bag.topics.items()
                  if t.endswith('_service_event') and n}
        understand_service_events(bag, topics)
        for topic, kind in topics.items():
            events = [message for _, message, _ in bag.messages({topic: kind})]
            assert len(events) == bag.topics[topic][1]
            for event in events:
                is_request = event.info.event_type in (0, 1)
                assert (len(event.request), len(event.response)) == (is_request, not is_request)


def test_a_definition_that_is_not_understood_is_told_as_such():
    """And not that calls can be counted only, where they would cut the bag."""
    channel = Channel('/start/_service_event', TRIGGER, 'cdr', 'ros2msg', 'nonsense')
    types = BagTypes([channel])
    assert 'which can be counted only' in types.problem(channel)
    types.learn(channel, event_types)
    assert types.problem(channel) == (
        f'carries {TRIGGER}, whose definition in the bag cannot be understood ({TRIGGER} is not '
        'defined by a request, --- and a response)')


@pytest.mark.parametrize('kind, definition', [
    ('std_srvs/msg/Bool', '---'), (TRIGGER, 'bool data'), (TRIGGER, 'bool a\n---\nbool\n---\n')])
def test_what_defines_no_service_is_refused(kind, definition):
    with pytest.raises(ValueError, match='is not defined by a request'):
        event_types(kind, definition)
