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

"""When a sample was taken: the one rule that both bags and live topics use."""

from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.messages import nanoseconds

# Clocks of machines that were set together differ by milliseconds; beyond this one is wrong.
MAX_AHEAD_NS = 1_000_000_000


def sample_stamp_ns(message, stream, receive_ns) -> int:
    """
    Return when a message's content was true, by the contract's ``stamp`` rule.

    :param message: The message; its header is read only for ``stamp: header``.
    :param stream: ObservationStream or ActionOutput.
    :param receive_ns: When the message arrived, ns.
    :return: Time of the sample, ns.
    :raises DecodeError: where the header that should date it is missing, was never stamped, or
        is stamped more than ``MAX_AHEAD_NS`` after the arrival.
    """
    if stream.stamp == 'receive':
        return receive_ns
    try:
        stamp = message.header.stamp
    except AttributeError as error:
        raise DecodeError(f'topic {stream.topic}: a {type(message).__name__} message has no '
                          f'header, the contract expects {stream.type}') from error
    stamp_ns = nanoseconds(stamp)
    if stamp_ns == 0:
        raise DecodeError(f'topic {stream.topic}: the header has no time (stamp 0); let the '
                          'driver stamp its messages, or write "stamp: receive" in the contract')
    if stamp_ns > receive_ns + MAX_AHEAD_NS:
        raise DecodeError(f'topic {stream.topic}: the header is stamped '
                          f'{(stamp_ns - receive_ns) / 1e9:.3f} s after the message arrived; '
                          'let both machines use one clock (use_sim_time on all nodes or none), '
                          'or write "stamp: receive" in the contract')
    return stamp_ns
