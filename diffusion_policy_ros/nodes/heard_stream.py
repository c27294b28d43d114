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

"""One topic of a contract as a policy hears it: what came, when, and what of it is of use."""

from diffusion_policy_ros.data.recording.cdr_header import read_header
from diffusion_policy_ros.dds_profile import transport_warning
from diffusion_policy_ros.evaluation.live.near_names import near_topics
from diffusion_policy_ros.evaluation.live.stream_report import StreamSeen
from diffusion_policy_ros.evaluation.live.stream_times import StreamTimes
from diffusion_policy_ros.message_types import HEADERLESS_TYPES, JOINT_STATE
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.recorded_stream import RecordedStream
from diffusion_policy_ros.nodes.topic_watch import several
from rclpy.serialization import deserialize_message
from rclpy.utilities import get_rmw_implementation_identifier

# Pictures take time to decode: one in so many nanoseconds is looked at.
PICTURE_EVERY_NS = 200_000_000


class HeardStream(RecordedStream):
    """
    The messages of one topic, which are looked at and not kept.

    It is subscribed to as ``policy_server`` does, best effort, so that what the middleware loses
    for a policy is lost here too.
    """

    def __init__(self, node, entry, readings, on_message, rate_hz):
        """
        Subscribe.

        :param node: The node that looks.
        :param entry: ``ObservationStream`` or ``ActionOutput`` of the contract.
        :param readings: The entries that are read from this topic.
        :param on_message: Not used.
        :param rate_hz: Rows per second of the contract, Hz.
        """
        del on_message
        self._entry, self._times = entry, StreamTimes()
        self._is_image = getattr(entry, 'is_image', False)
        self._is_dated = entry.type not in HEADERLESS_TYPES and any(
            reading.stamp == 'header' for reading in readings)
        self._refused, self._refusal, self._largest = 0, '', 0
        self._looked_ns = 0
        super().__init__(node, entry, readings, self._take, rate_hz)

    @property
    def is_command(self) -> bool:
        """Tell whether it carries commands."""
        return self._is_command

    @property
    def is_awaited(self) -> bool:
        """Tell whether somebody publishes it, and nothing has come yet; commands may be silent."""
        return not (self._is_command or self._times.count) and bool(self._publishers())

    @property
    def is_told(self) -> bool:
        """Tell whether there is something to say; of commands that nobody sends not."""
        return bool(not self._is_command or self._times.count
                    or (self._publishers() and self.problem()))

    def seen(self) -> StreamSeen:
        """Return what was seen; call it once, at the end."""
        publishers, name = self._publishers(), self.full_name
        is_shared = len(publishers) > 1 and not self._is_command  # of commands told elsewhere
        warning = transport_warning(self._largest, get_rmw_implementation_identifier())
        return StreamSeen(
            name, self.topic,
            min((r.max_age_ms for r in self._readings), default=self._entry.max_age_ms),
            is_needed=any(getattr(r, 'role', 'policy') == 'policy' for r in self._readings),
            problem=self.problem(), times=self._times, refused=self._refused,
            refusal=self._refusal,
            publishers=several(name, publishers).removeprefix(f'{name} ') if is_shared else '',
            alarms=tuple(self.quality.sentences()), transport=warning if self._is_image else '',
            near=() if publishers else tuple(near_topics(name, self.type, self._published())),
            facts=self._facts())

    def _offered(self):
        """Ask nobody for more than every publisher gives."""
        return set()

    def _take(self, stream, data, receive_ns):
        """Look at a message."""
        del stream
        if not receive_ns:
            return
        if not self._times.count:
            self.quality.begin(receive_ns)
        header = read_header(data) if self._is_dated else None
        self._times.add(receive_ns, header[0] if header else None)
        self._largest = max(self._largest, len(data))
        if self._is_image and 0 <= receive_ns - self._looked_ns < PICTURE_EVERY_NS:
            return
        self._looked_ns = receive_ns
        misfit = self.misfit()
        self._refused += bool(misfit)
        self._refusal = misfit or self._refusal

    def _published(self):
        """Return the topics that somebody publishes, with their types."""
        return {name: types for name, types in self._node.get_topic_names_and_types()
                if self._node.count_publishers(name)}

    def newest(self):
        """Return the newest message, None where there is none that can be read."""
        data, _ = self._newest
        try:
            return deserialize_message(data, MESSAGE_CLASSES[self.type]) if data else None
        except RuntimeError:  # told by misfit
            return None

    def _facts(self):
        """Return what is good to know of the newest message."""
        message = self.newest() if self.type == JOINT_STATE else None
        if message is None:
            return ()
        ours = [name for name in message.name if name in self._entry.names]
        if ours == list(self._entry.names) or set(ours) != set(self._entry.names):
            return ()
        return (f'joints come as {", ".join(ours)}, and are read by name',)
