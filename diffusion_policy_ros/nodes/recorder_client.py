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

"""Ask the recorder, by its services, to start, stop or discard an episode."""

from std_srvs.srv import Trigger

VERBS = ('start', 'stop', 'discard')


class RecorderClient:
    """Clients of the services ``recorder/start``, ``recorder/stop`` and ``recorder/discard``."""

    def __init__(self, node):
        """
        Create the clients.

        :param node: The node that asks.
        """
        self._clients = {
            verb: node.create_client(Trigger, f'recorder/{verb}') for verb in VERBS}

    def ask(self, verb, on_answer):
        """
        Ask without waiting.

        :param verb: ``start``, ``stop`` or ``discard``.
        :param on_answer: Called with (success, message) when the answer is there; at once where
            no recorder runs.
        """
        client = self._clients[verb]
        if not client.service_is_ready():
            on_answer(False, f'no recorder answers on {client.srv_name}; start one in this '
                             'namespace')
            return
        client.call_async(Trigger.Request()).add_done_callback(
            lambda future: on_answer(future.result().success, future.result().message))
