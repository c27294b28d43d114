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

"""The one rule that dates a sample."""

from types import SimpleNamespace as Fields

from diffusion_policy_ros.errors import DecodeError
from diffusion_policy_ros.message_types import JOINT_STATE
from diffusion_policy_ros.observation.stamps import sample_stamp_ns
from diffusion_policy_ros.streams import ObservationStream
import pytest


def stream(stamp):
    return ObservationStream(key='observation.state', topic='joint_states', type=JOINT_STATE,
                             max_age_ms=100.0, names=('a',), stamp=stamp)


def message(sec, nanosec):
    return Fields(header=Fields(stamp=Fields(sec=sec, nanosec=nanosec)))


def test_header_and_receive_date_a_sample():
    stamped = message(1_700_000_000, 123_456_789)
    receive_ns = 1_700_000_000_200_000_000
    assert sample_stamp_ns(stamped, stream('header'), receive_ns) == 1_700_000_000_123_456_789
    assert sample_stamp_ns(stamped, stream('receive'), receive_ns) == receive_ns
    assert sample_stamp_ns(Fields(data=[]), stream('receive'), 5) == 5


def test_header_never_stamped_is_refused_with_the_remedy():
    with pytest.raises(DecodeError, match='joint_states: the header has no time .*"stamp: rec'):
        sample_stamp_ns(message(0, 0), stream('header'), 10)


def test_stamp_from_the_future_is_refused_beyond_a_second():
    assert sample_stamp_ns(message(11, 0), stream('header'), 10_000_000_000) == 11_000_000_000
    with pytest.raises(DecodeError, match='stamped 1.500 s after the message arrived.*one clock'):
        sample_stamp_ns(message(11, 500_000_000), stream('header'), 10_000_000_000)


def test_message_without_header_is_refused():
    with pytest.raises(DecodeError, match='a SimpleNamespace message has no header'):
        sample_stamp_ns(Fields(data=[]), stream('header'), 10)
