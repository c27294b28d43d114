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

"""Demonstrations made row by row, as in a simulation, in bags as the recorder writes them."""

from diffusion_policy_ros.contract import START_NS
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.topic_messages import build_topic, observed_parts
from rosbags.typesys import get_typestore, Stores


class RowBag:
    """
    A bag into which the rows of one episode are written, one message per topic and row.

    Row k is stamped, and arrives, at ``1 s + round(k * 1e9 / rate)``, its action too. Use it as a
    context manager; leaving the ``with`` block through an exception removes the bag.

    :ivar rows: Rows written so far.
    """

    def __init__(self, folder, contract, *, task, fields):
        """
        Create the bag.

        :param folder: Folder to create.
        :param contract: The ``RobotContract`` that the messages follow.
        :param task: What the demonstration shows, one sentence.
        :param fields: More entries for the metadata's ``custom_data``, ``{str: str}``.
        :raises BagError: if the folder exists already or cannot be created.
        """
        self.rows = 0
        self._contract, self._typestore = contract, get_typestore(Stores.LATEST)
        self._bag = EpisodeBag(folder, contract, task=task, fields=fields,
                               typestore=self._typestore)

    def __enter__(self):
        """Return the open bag."""
        return self

    def __exit__(self, *error):
        """Keep the episode, or drop it when an exception passes."""
        self._bag.__exit__(*error)

    def write(self, observation, action) -> None:
        """
        Append a row.

        :param observation: ``{dataset key: array}`` with every key of the contract.
        :param action: What is commanded at this row, ``(action_dim,)``.
        :raises DatasetError: if no message shows these values.
        :raises BagError: if the bag cannot take them.
        """
        stamp_ns = self._contract.tick_ns(START_NS, self.rows)
        for parts in observed_parts(self._contract, observation).values():
            self._send(parts, stamp_ns)
        begin = 0
        for output in self._contract.actions:
            end = begin + len(output.names)
            self._send([(output, action[begin:end])], stamp_ns)
            begin = end
        self.rows += 1

    def close(self, is_success) -> None:
        """
        Finish the episode.

        :param is_success: Whether the task was solved; ``dpr convert --only success`` asks.
        :raises BagError: if the bag cannot be written to its end.
        """
        self._bag.set_field('outcome', 'success' if is_success else 'failure')
        self._bag.close()

    def _send(self, parts, stamp_ns):
        """Write the message of one topic."""
        entry = parts[0][0]
        message = build_topic(parts, self._typestore.types, stamp_ns, self._contract.period_ns)
        self._bag.write(entry.topic, entry.type,
                        self._typestore.serialize_cdr(message, entry.type), stamp_ns)
