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


"""The header read from raw bytes is the one that rosbags' own serializer wrote."""

from diffusion_policy_ros.data.recording.cdr_header import read_header
from hypothesis import given, strategies as st
import numpy as np
import pytest
from rosbags.typesys import get_typestore, Stores

STORE = get_typestore(Stores.LATEST)
TYPES = STORE.types
FRAMES = st.text(st.characters(min_codepoint=32, max_codepoint=300), max_size=20)


def _serialized(stamp_ns, frame, content, is_little):
    """Serialize a compressed picture."""
    time = TYPES['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
    message = TYPES['sensor_msgs/msg/CompressedImage'](
        TYPES['std_msgs/msg/Header'](time, frame), 'jpeg',
        np.frombuffer(content, np.uint8))
    return bytes(STORE.serialize_cdr(message, 'sensor_msgs/msg/CompressedImage',
                                     little_endian=is_little))


@given(st.integers(0, 2**31 * 10**9 - 1), FRAMES, st.binary(max_size=50), st.booleans())
def test_the_stamp_is_read_and_the_rest_does_not_depend_on_it(stamp_ns, frame, content, little):
    data = _serialized(stamp_ns, frame, content, little)
    found, offset = read_header(data)
    assert found == stamp_ns
    other = _serialized(5, '', content, little)
    assert data[offset:] == other[read_header(other)[1]:]
    assert content in data[offset:]


@pytest.mark.parametrize('data', [
    b'', b'\0\1\0\0', b'\0\1\0\0' + bytes(8) + b'\xff\xff\xff\xff', b'\0\7' + bytes(40)])
def test_what_cannot_begin_with_a_header_is_none(data):
    assert read_header(data) is None
