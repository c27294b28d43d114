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
"""Sections of a file of ROS parameters, compared with what a node takes from it."""

from diffusion_policy_ros.ros_parameters import parameter_sections
import pytest
import yaml

DOMAIN_ID = 38
FORMS = {
    'one key': '/**/arm: {ros__parameters: {a: 1}}',
    'keys in keys': '/**: {arm: {ros__parameters: {a: 1}}}',
    'a namespace and a key': 'left: {arm: {ros__parameters: {a: 1}}}',
    'both': '/left: {ros__parameters: {a: 2}, arm: {ros__parameters: {a: 1}}}'}


def test_names_are_joined_and_only_parameters_are_taken():
    text = """
    /**: {ros__parameters: {a: 1}, left: {arm: {ros__parameters: {b: {ros__parameters: 2}}}}}
    /right/arm/: {ros__parameters: {c: [3]}}
    note: ros__parameters
    empty: {ros__parameters: }
    """
    assert parameter_sections(yaml.safe_load(text)) == [
        ('/**', {'a': 1}), ('/**/left/arm', {'b': {'ros__parameters': 2}}),
        ('/right/arm', {'c': [3]})]


@pytest.mark.parametrize('form', FORMS)
def test_a_node_takes_what_the_sections_say(form, tmp_path):
    rclpy = pytest.importorskip('rclpy')
    path, context = tmp_path / 'params.yaml', rclpy.Context()
    path.write_text(FORMS[form])
    rclpy.init(args=['--ros-args', '--params-file', str(path)], context=context,
               domain_id=DOMAIN_ID)
    try:
        node = rclpy.create_node('arm', namespace='left', context=context,
                                 automatically_declare_parameters_from_overrides=True)
        taken = node.get_parameter('a').value
        node.destroy_node()
    finally:
        context.shutdown()
    names = {'/**/arm', '/left/arm'}
    assert [values['a'] for name, values in parameter_sections(yaml.safe_load(FORMS[form]))
            if name in names] == [taken]
