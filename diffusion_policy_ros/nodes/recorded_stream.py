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

"""One recorded topic: a raw subscription that suits its publishers, and how alive it is."""

import time

from diffusion_policy_ros.control.telemetry import RateMeter
from diffusion_policy_ros.data.recorded import recorded_entries
from diffusion_policy_ros.data.recording.stream_facts import StreamFacts
from diffusion_policy_ros.data.recording.stream_quality import StreamQuality
from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.message_types import HEADERLESS_TYPES, UNDATED_TYPES
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.arrival import dated
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.subscription_events import (
    SubscriptionEventCallbacks, UnsupportedEventTypeError)
from diffusion_policy_ros.nodes.topic_watch import publisher_names, shared, wrong_type
from diffusion_policy_ros.observation.decode import decode
from diffusion_policy_ros.observation.stamps import sample_stamp_ns
from diffusion_policy_ros.streams import ActionOutput
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

# A stream that said nothing for this long is silent, whatever age the contract allows.
SILENCE_S = 1.0


def recorded_streams(node, contract, on_message, stream_class=None) -> list:
    """
    Subscribe to every topic of a contract once.

    :param node: The node that records.
    :param contract: ``RobotContract``.
    :param on_message: As for ``RecordedStream``.
    :param stream_class: Subclass of ``RecordedStream`` to make; None for that class itself.
    :return: One ``RecordedStream`` per topic.
    """
    entries = {e.topic: e for e in contract.actions + contract.observations}
    read = recorded_entries(contract)
    make = stream_class or RecordedStream
    return [make(node, entry, [e for e in read if e.topic == topic], on_message, contract.rate_hz)
            for topic, entry in entries.items()]


def doubts(streams) -> list:
    """
    Say what is no obstacle, but seldom wanted: messages of several publishers.

    :param streams: Each ``RecordedStream``; those with the same publishers are told together.
    :return: One sentence for each set of publishers.
    """
    topics = {}
    for stream in streams:
        topics.setdefault(stream.publisher_names(), []).append(stream.full_name)
    return [f'{shared(found, names)}; their messages are recorded as one stream'
            for names, found in topics.items() if len(names) > 1]


class RecordedStream:
    """
    The serialized messages of one topic.

    :ivar topic: Topic as the contract names it.
    :ivar type: Message type as the contract names it.
    :ivar is_optional: Whether no row of a dataset needs it.
    :ivar quality: Its ``StreamQuality``.
    """

    def __init__(self, node, entry, readings, on_message, rate_hz):
        """
        Subscribe.

        :param node: The node that records.
        :param entry: ``ObservationStream`` or ``ActionOutput`` of the contract.
        :param readings: The entries that a dataset's rows are made from, of this topic.
        :param on_message: Called with (this stream, serialized message, ROS time of arrival in
            ns) on every arrival.
        :param rate_hz: Rows per second of the contract, Hz.
        """
        self.topic = entry.topic
        self.type = entry.type
        self._node = node
        self._readings = readings
        self._on_message = on_message
        self._newest = b'', 0
        self.is_optional = getattr(entry, 'label', 'command') == 'next_state'
        facts = _facts(node, entry, readings or [entry], rate_hz)
        self._is_command, self._is_held = facts.is_command, facts.is_held
        self.quality = StreamQuality(facts)
        self._silence_s = max(SILENCE_S, entry.max_age_ms / 1e3)
        self._arrivals = RateMeter()
        self._reliability = self._durability = None
        self._subscription = None
        self.adapt()

    def adapt(self):
        """
        Subscribe anew where the publishers found now call for another quality of service.

        :return: Whether that was so.
        """
        offers = self._offered()
        reliable = offers and all(offer[0] == ReliabilityPolicy.RELIABLE for offer in offers)
        latched = offers and all(offer[1] == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        wanted = (ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
                  DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)
        if wanted == (self._reliability, self._durability):
            return False
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        self._reliability, self._durability = wanted
        self._subscription = self._subscribe()
        return True

    def is_deaf(self):
        """Tell whether a publisher offers less than the subscription asks, and is not heard."""
        offers = self._offered()
        return (self._reliability == ReliabilityPolicy.RELIABLE
                and any(offer[0] != ReliabilityPolicy.RELIABLE for offer in offers)
                or self._durability == DurabilityPolicy.TRANSIENT_LOCAL
                and any(offer[1] != DurabilityPolicy.TRANSIENT_LOCAL for offer in offers))

    def problem(self):
        """
        Say why recording cannot start, or what it misses.

        A command stream may be silent until the demonstration begins, a stream whose last message
        is held whenever it likes; other observations may not.

        :return: One sentence, or an empty string when all is well.
        """
        name, publishers = self.full_name, self._publishers()
        if self.is_optional and not publishers:
            return ''
        if not publishers:
            return f'{name} has no publisher; start its driver, or remap {self.topic}'
        wrong = wrong_type(name, publishers, self.type)
        if wrong:
            return wrong
        if self._is_command:
            return ''
        age_s = self.age_s()
        if age_s is None:
            return f'{name} has a publisher but nothing has arrived yet'
        if age_s > self._silence_s and not self._is_held:
            return f'{name} has been silent for {age_s:.1f} s, limit {self._silence_s:g} s'
        return ''

    @property
    def full_name(self) -> str:
        """Return the topic as this node resolves it."""
        return self._node.resolve_topic_name(self.topic)

    def publisher_names(self) -> tuple:
        """Return the full names of the nodes that publish it, one for each publisher."""
        return publisher_names(self._publishers())

    def misfit(self):
        """
        Say why the newest message cannot become data, as the converter would.

        :return: One sentence, or an empty string when it can or nothing has arrived.
        """
        data, receive_ns = self._newest
        # Without a time nothing has arrived, or there was no /clock to date it.
        if not receive_ns or not self._readings:
            return ''
        try:
            message = deserialize_message(data, MESSAGE_CLASSES[self.type])
            for entry in self._readings:
                sample_stamp_ns(message, entry, receive_ns)
                decode(message, entry)
        except DecodeError as error:
            return f'{error}{self._when_long_ago()}'
        except RuntimeError as error:  # rclpy has no public type for what the middleware refuses
            return (f'topic {self.topic}: a message is no {self.type} of this machine, build its '
                    f'publisher with the same definition: {error}')
        return ''

    def age_s(self):
        """Return the seconds since the last arrival, None where there was none."""
        return self._arrivals.age_s(time.monotonic())

    def rate_hz(self):
        """Return the arrivals per second lately, 0 when nothing comes any more."""
        return self._arrivals.rate_hz(time.monotonic())

    def _when_long_ago(self):
        """Say when the newest message came, if that may have been before its fault was mended."""
        age_s = self.age_s()
        return '' if age_s <= self._silence_s else f' (heard {age_s:.0f} s ago; send another)'

    def _subscribe(self):
        """Subscribe as was decided; not every middleware says what it lost."""
        profile = QoSProfile(depth=qos.RECORDED.depth, reliability=self._reliability,
                             durability=self._durability)

        def subscribe(**events):
            return self._node.create_subscription(
                MESSAGE_CLASSES[self.type], self.topic, dated(self._on_arrival), profile, raw=True,
                event_callbacks=SubscriptionEventCallbacks(**events))

        try:
            return subscribe(message_lost=self._on_lost)
        except UnsupportedEventTypeError:
            return subscribe()

    def _offered(self):
        """Return (reliability, durability) of the publishers."""
        return {(publisher.qos_profile.reliability, publisher.qos_profile.durability)
                for publisher in self._publishers()}

    def _publishers(self):
        """Return what is known about the topic's publishers."""
        return self._node.get_publishers_info_by_topic(self.full_name)

    def _on_lost(self, event):
        """Note what the middleware lost."""
        self.quality.lost(self._node.get_clock().now().nanoseconds, event.total_count_change)

    def _on_arrival(self, data, received_ns):
        """Date a message and hand its bytes on."""
        clock = self._node.get_clock()
        receive_ns = clock.now().nanoseconds
        # The middleware knows the system time only, and not every one tells it.
        if received_ns > 0 and not clock.ros_time_is_active:
            receive_ns = min(receive_ns, received_ns)
        self._arrivals.add(time.monotonic())
        self._newest = data, receive_ns
        self.quality.add(receive_ns, data)
        self._on_message(self, data, receive_ns)


def _facts(node, entry, readings, rate_hz):
    """Return what the contract says about a topic; where it is read twice, the strictest."""
    is_image = getattr(entry, 'is_image', False)
    return StreamFacts(
        topic=node.resolve_topic_name(entry.topic), rate_hz=rate_hz,
        is_needed_each_row=is_image and all(r.on_stale == 'stop' for r in readings),
        max_age_ms=min(reading.max_age_ms for reading in readings),
        is_dated=entry.type not in UNDATED_TYPES and any(r.stamp == 'header' for r in readings),
        has_header=entry.type not in HEADERLESS_TYPES,
        is_image=is_image, is_command=isinstance(entry, ActionOutput),
        is_held=all(getattr(r, 'on_stale', 'stop') == 'hold' for r in readings),
        frozen_after=min(filter(None, (getattr(r, 'frozen_after', 0) for r in readings)),
                         default=0))
