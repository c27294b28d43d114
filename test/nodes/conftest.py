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

"""A second node on a domain of the test file's own, to talk to the node under test."""

import os
import time

import pytest

rclpy = pytest.importorskip('rclpy')
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

DEADLINE_S = 60.0


class Peer:
    """
    A test's own node, and the nodes under test, in one executor but talking over DDS.

    :ivar node: The test's node.
    :ivar context: The context on the test's domain.
    """

    def __init__(self, context):
        self.context = context
        self.executor = SingleThreadedExecutor(context=context)
        self.node = rclpy.create_node('peer', context=context)
        self.executor.add_node(self.node)
        self._started = []

    def start(self, node_class, **parameters):
        """Start a node under test with parameter overrides."""
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = node_class(context=self.context, parameter_overrides=overrides)
        self.executor.add_node(node)
        self._started.append(node)
        return node

    def stop(self, node):
        """End a node under test as a signal would."""
        self._started.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def until(self, condition, what, deadline_s=DEADLINE_S):
        """Spin until the condition holds; fail, naming what was awaited, when it never does."""
        end_s = time.monotonic() + deadline_s
        while not condition():
            assert time.monotonic() < end_s, f'{what} did not happen within {deadline_s:g} s'
            self.executor.spin_once(timeout_sec=0.05)

    def hear(self, message_type, topic, profile):
        """Subscribe; the returned list grows with every message."""
        heard = []
        self.node.create_subscription(message_type, topic, heard.append, profile)
        return heard

    def ask(self, service, deadline_s=DEADLINE_S):
        """Call a Trigger service; return (success, message)."""
        from std_srvs.srv import Trigger
        client = self.node.create_client(Trigger, service)
        self.until(client.service_is_ready, f'service {service}', deadline_s)
        future = client.call_async(Trigger.Request())
        self.until(future.done, f'answer of {service}', deadline_s)
        return future.result().success, future.result().message

    def close(self):
        """End everything."""
        for node in list(self._started):
            self.stop(node)
        self.node.destroy_node()
        self.executor.shutdown()


@pytest.fixture
def peer(request, monkeypatch):
    """Open a peer on the ``DOMAIN_ID`` that the test file names."""
    monkeypatch.setitem(os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=request.module.DOMAIN_ID)
    peer = Peer(context)
    yield peer
    peer.close()
    rclpy.try_shutdown(context=context)
