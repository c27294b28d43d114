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

"""Topics that may be meant are those that end alike, or read alike and carry the type."""

from diffusion_policy_ros.evaluation.live.near_names import MOST, near_topics, remedy_for
from hypothesis import given, strategies as st

IMAGE, JOINTS = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/JointState'
KNOWN = {
    '/left/joint_states': [JOINTS], '/joint_state': [JOINTS], '/camera/color/image_raw': [IMAGE],
    '/rosout': ['rcl_interfaces/msg/Log'], '/joint_states': [JOINTS]}


def test_the_same_name_in_a_namespace_comes_before_a_similar_one():
    near = near_topics('/joint_states', JOINTS, KNOWN)
    assert near == ['/left/joint_states', '/joint_state']
    remedy = remedy_for('joint_states', near)
    assert 'give everything the namespace left' in remedy and '/joint_state' in remedy


def test_a_camera_of_another_name_is_to_be_remapped():
    near = near_topics('/camera/image_raw', IMAGE, KNOWN)
    assert near[0] == '/camera/color/image_raw'
    assert 'remap camera/image_raw:=/camera/color/image_raw' in remedy_for('camera/image_raw',
                                                                           near)


def test_a_namespace_that_the_robot_does_not_have_is_to_be_left_away():
    near = near_topics('/right/joint_states', JOINTS, {'/joint_states': [JOINTS]})
    assert remedy_for('joint_states', near) == \
        'is it /joint_states? Then leave the namespace away'


def test_what_only_reads_alike_must_carry_the_type():
    assert near_topics('/joint_states', IMAGE, {'/joint_state': [JOINTS]}) == []
    assert remedy_for('joint_states', []) == ''


names = st.lists(st.sampled_from(['a', 'b', 'image_raw', 'image', 'joint_states']), min_size=1,
                 max_size=3).map(lambda parts: '/' + '/'.join(parts))


@given(names, st.dictionaries(names, st.lists(st.sampled_from([IMAGE, JOINTS]), max_size=2)))
def test_of_any_graph_few_other_topics_are_named(topic, known):
    near = near_topics(topic, IMAGE, known)
    assert len(near) <= MOST and set(near) <= set(known) - {topic}
    assert bool(remedy_for(topic[1:], near)) == bool(near)
