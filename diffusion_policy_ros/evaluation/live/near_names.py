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

"""Which topics of a live robot may be meant by one that is not there."""

import difflib

MOST = 3
SIMILAR = 0.6


def near_topics(topic, wanted_type, known) -> list:
    """
    Return the topics that may be meant, the most likely one first.

    :param topic: Full name of the topic that is missing.
    :param wanted_type: Its message type.
    :param known: Full name to the list of its message types, of all topics with somebody there.
    :return: At most ``MOST`` names of topics that end alike, or read alike and carry the type.
    """
    ranks = {name: _rank(topic, wanted_type, name, types) for name, types in known.items()
             if name != topic}
    likely = [name for name, (tail, is_of_type, ratio) in ranks.items()
              if tail or (is_of_type and ratio >= SIMILAR)]
    return sorted(likely, key=lambda name: (*(-part for part in ranks[name]), name))[:MOST]


def remedy_for(topic, near) -> str:
    """
    Say how the contract's topic becomes one that is there.

    :param topic: Topic as the contract names it, relative.
    :param near: What ``near_topics`` returned.
    :return: One sentence; empty where nothing is near.
    """
    if not near:
        return ''
    name = near[0]
    if name == f'/{topic}':
        how = 'leave the namespace away'
    elif name.endswith(f'/{topic}'):
        space = name[1:-len(topic) - 1]
        how = f'give everything the namespace {space} (launch: namespace:=, here: --namespace)'
    else:
        how = (f'remap {topic}:={name} (here: the same after --remap), or rename it in the '
               'contract')
    others = f'; also there: {", ".join(near[1:])}' if near[1:] else ''
    return f'is it {name}? Then {how}{others}'


def _rank(topic, wanted_type, name, types):
    """Return (equal parts at the end, whether it carries the type, likeness)."""
    ours, theirs = topic.split('/')[::-1], name.split('/')[::-1]
    tail = 0
    for one, other in zip(ours, theirs):
        if one != other or not one:
            break
        tail += 1
    return tail, wanted_type in types, difflib.SequenceMatcher(None, topic, name).ratio()
