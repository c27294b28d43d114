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

"""What a bag must hold for a contract: the topics that dataset rows are made from."""

from collections import Counter

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.errors import ContractError

# Headers further ahead of the arrival than this show two clocks that differ, ns.
CLOCK_SKEW_NS = 50_000_000
# What plays a recording stamps it this far ahead at most, so that no message comes late, ns.
MOST_LEAD_NS = CLOCK_SKEW_NS * 4 // 5


def recorded_entries(contract) -> tuple:
    """
    List the contract's entries that have messages in a bag.

    :param contract: The ``RobotContract``.
    :return: All observation streams, then the outputs whose recorded commands are the action
        label; ``next_state`` outputs need no recorded command.
    """
    return contract.observations + tuple(a for a in contract.actions if a.label == 'command')


def recorded_topics(contract) -> dict:
    """Return ``{topic: message type}`` of those entries, in order, each topic once."""
    return {entry.topic: entry.type for entry in recorded_entries(contract)}


def age_limits(contract) -> tuple:
    """
    Tell how old the samples of a row may be.

    :param contract: The ``RobotContract``.
    :return: ``(held, limits)``: the topics whose samples may be held, and ``{topic: max_age_ms}``
        of the others.
    """
    limits, held = Counter(), set()
    for entry in recorded_entries(contract):
        limits[entry.topic] = max(limits[entry.topic], entry.max_age_ms)
        if getattr(entry, 'on_stale', 'stop') == 'hold':
            held.add(entry.topic)
    return held, {topic: limit for topic, limit in limits.items() if topic not in held}


def is_named_in(text, topic) -> bool:
    """
    Tell whether a bag's own contract has a topic recorded.

    :param text: The contract, YAML; None without one. One that is invalid names no topic.
    :param topic: The topic, as a contract names it.
    """
    try:
        return text is not None and topic in recorded_topics(parse_contract(text))
    except ContractError:
        return False
