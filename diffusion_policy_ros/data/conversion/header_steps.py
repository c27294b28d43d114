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

"""Find where a clock that stamps headers was set back, while the recorder's went on."""

from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.recorded import recorded_entries
from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.observation.stamps import sample_stamp_ns

# Messages of one topic overtake each other by less; beyond this the clock was set back.
MAX_DISORDER_NS = 1_000_000_000


class _HeaderSetBack(SetBack):
    """A clock that stamps headers, and not that of the recorder, was set back."""

    @property
    def reason(self) -> str:
        """Return the sentence that tells it."""
        return (f'the headers on {self.topic} went back by '
                f'{(self.before_ns - self.after_ns) / 1e9:.3f} s: their clock was set back, or '
                'two publishers with different clocks send on it')


def with_steps_of_headers(messages, contract):
    """
    Add a ``SetBack`` wherever the clock that stamps a topic's headers was set back.

    :param messages: Iterable of ``(topic, message, receive_ns)`` in the order of arrival, and of
        the ``SetBack`` of the recorder's clock.
    :param contract: The ``RobotContract``.
    :return: Iterator of the same.
    """
    stamped = {e.topic: e for e in recorded_entries(contract) if e.stamp == 'header'}
    newest, behind = {}, set()
    for item in messages:
        step = None if isinstance(item, SetBack) or item[0] not in stamped else _step_of_header(
            newest, behind, stamped[item[0]], item)
        if step:
            yield step
        if step or isinstance(item, SetBack):
            newest, behind = {}, set()
        yield item


def _step_of_header(newest, behind, entry, item):
    """
    Return the ``SetBack`` that a message's header shows, None where it shows none.

    :param newest: ``{topic: newest stamp, ns}``, which is kept up to date.
    :param behind: Topics whose last message was stamped far behind. One such message is a slip
        of its driver, which no row samples; two in succession are a clock that was set back.
    """
    topic, message, receive_ns = item
    try:
        stamp_ns = sample_stamp_ns(message, entry, receive_ns)
    except DecodeError:
        return None  # refused with its reason when a row samples it
    before_ns = newest.setdefault(topic, stamp_ns)
    if stamp_ns >= before_ns - MAX_DISORDER_NS:
        newest[topic] = max(before_ns, stamp_ns)
        behind.discard(topic)
    elif topic in behind:
        return _HeaderSetBack(topic, before_ns, stamp_ns)
    else:
        behind.add(topic)
    return None
