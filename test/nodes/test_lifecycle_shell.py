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

"""A lifecycle node that has ended is gone."""

import pytest

rclpy = pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes.command_safety import CommandSafety  # noqa: E402,I100

DOMAIN_ID = 85


def test_an_ended_node_is_gone_for_others_while_somebody_still_holds_on_to_it(peer):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN_ID)
    node = CommandSafety(context=context)
    service = f'{node.get_fully_qualified_name()}/get_state'

    def is_there():
        return service in dict(peer.node.get_service_names_and_types())

    peer.until(is_there, service)
    node.destroy_node()
    rclpy.try_shutdown(context=context)
    peer.until(lambda: not is_there(), f'the end of {service}', 20.0)
    assert node.context is context  # the collector of garbage had nothing to do with it
