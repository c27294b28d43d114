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
"""The nodes of a simulation that is played over ROS, for ``dpr eval`` and ``dpr demo``."""

import re
import subprocess
import time

from diffusion_policy_ros.cli.children import node_command
from diffusion_policy_ros.cli.node_events import check_children, node_events
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.evaluation.live_simulations import LIVE

# Where commands come from: the policy server's go to command_safety.
PREFIX = 'policy'
LOOK_S = 0.2
# A line of the recorder's log about what no further attempt of the expert will mend.
FAILURE = re.compile(r'\[ERROR\] \[[\d.]+\] \[recorder\]: (.*)')


def play_episodes(children, sim, contract, *, simulation, server, observer, has_safety):
    """
    Start a simulation, what commands it and what leads and measures them, and follow that.

    :param children: ``Children``, where they start.
    :param sim: A key of ``LIVE``.
    :param contract: File of the robot contract that is commanded.
    :param simulation: Parameters of the simulation's node, beside those that the contract wants.
    :param server: Parameters of the policy server, beside its prefix.
    :param observer: Parameters of the observer, beside simulation and contract.
    :param has_safety: Whether ``command_safety`` stands between policy and robot, as fast as the
        commands that the observer wants.
    :return: As ``node_events``.
    """
    live, name = LIVE[sim], 'demo_observer'
    clock = {'use_sim_time': True} if live.has_clock else {}
    nodes = {live.node: {**live.parameters(contract), **simulation},
             'policy_server': {**server, **clock}}
    if has_safety:
        name = 'eval_observer'
        nodes['policy_server']['command_prefix'] = PREFIX
        nodes['command_safety'] = {'contract': contract, 'input_prefix': PREFIX,
                                   'rate_hz': observer['command_rate_hz'], **clock}
    for node, parameters in nodes.items():
        children.start(node, node_command(node, parameters))
    process = children.start(name, node_command(
        name, {'sim': sim, 'contract': contract, **observer}), stdout=subprocess.PIPE)
    return node_events(process, name, children)


def record_demonstrations(children, sim, contract, bags, *, episodes, task) -> list:
    """
    Let a simulation's expert demonstrate, and the recorder write it down.

    :param children: ``Children``, where both start.
    :param sim: A key of ``LIVE`` whose node has an expert.
    :param contract: File of the robot contract that is commanded.
    :param bags: Folder for the bags; what is there stays.
    :param episodes: How many demonstrations.
    :param task: What they show, one sentence.
    :return: Paths of the new bags.
    :raises DiffusionPolicyError: if a disk has no room, or takes no more.
    """
    from diffusion_policy_ros.data.bags.episode_files import finished_bags
    from diffusion_policy_ros.data.recording.disk_room import lack_of_room

    for lack in lack_of_room(bags, elsewhere='choose an --out'):
        raise DiffusionPolicyError(lack)
    live, before = LIVE[sim], set(finished_bags(bags))
    children.start('recorder', node_command('recorder', {
        'contract': contract, 'output': bags.resolve(), 'task': task,
        'use_sim_time': live.has_clock}))
    children.start(live.node, node_command(live.node, {
        **live.parameters(contract), 'demonstrations': episodes, 'record': True}))
    while len(found := [bag for bag in finished_bags(bags) if bag not in before]) < episodes:
        check_children(children)
        if failure := FAILURE.search(children.tail('recorder')):
            raise DiffusionPolicyError(f'the recorder cannot follow the expert: {failure[1]}')
        time.sleep(LOOK_S)
    return found
