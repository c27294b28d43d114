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

"""Understand recorded service events, whose definitions a bag holds as those of their service."""

from rosbags.interfaces import Nodetype
from rosbags.typesys import get_types_from_msg

INFO = 'service_msgs/msg/ServiceEventInfo'
EVENT = '_Event'
BETWEEN = '---'
# What ROS 2 writes into an empty request or response.
EMPTY = 'uint8 structure_needs_at_least_one_member'
# sqlite3 bags hold no definitions: the services that start and stop something.
COMMON = {'std_srvs/srv/Trigger_Event': '---\nbool success\nstring message',
          'std_srvs/srv/SetBool_Event': 'bool data\n---\nbool success\nstring message',
          'std_srvs/srv/Empty_Event': '---'}


def event_types(kind, definition) -> dict:
    """
    Define the events of a service (``ros2 doc``: service introspection).

    :param kind: Type of the events, such as ``std_srvs/srv/Trigger_Event``.
    :param definition: The service's definition: request, ``---``, response; then, each under a
        line of ``=``, the types that it uses.
    :return: ``{type: fields}`` as rosbags registers them.
    :raises ValueError: if it is no such definition.
    """
    package, _, name = kind.partition('/srv/')
    service = name.removesuffix(EVENT)
    head, *used = definition.split('=' * 80)
    parts = head.split(BETWEEN)
    if not service or len(parts) != 2:
        raise ValueError(f'{kind} is not defined by a request, {BETWEEN} and a response')
    types, names = {}, []
    for part, role in zip(parts, ('Request', 'Response')):
        plain = f'{package}/msg/{service}_{role}'
        names.append(f'{package}/srv/{service}_{role}')
        text = ('=' * 80).join([part + '\n', *used])
        found = get_types_from_msg(text, plain)
        if not found[plain][1]:
            found = get_types_from_msg(EMPTY, plain)
        types.update({names[-1] if n == plain else n: fields for n, fields in found.items()})
    sequences = [(role, (Nodetype.SEQUENCE, ((Nodetype.NAME, name), 1)))
                 for role, name in zip(('request', 'response'), names)]
    return {**types, kind: ([], [('info', (Nodetype.NAME, INFO)), *sequences])}


def understand_service_events(bag, topics) -> None:
    """
    Let a bag decode the events of services.

    :param bag: An open ``Bag``.
    :param topics: Topics of such events. One whose definition cannot be found stays unknown.
    """
    bag.learn(topics, lambda kind, text: event_types(kind, text or COMMON.get(kind, '')))
