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

"""Windows and rows: which ticks they hold, in which order, and what they cannot depend on."""

from types import SimpleNamespace as Fields

from diffusion_policy_ros.contract import parse_contract
from diffusion_policy_ros.errors import AlignmentError, ConfigError, DecodeError
from diffusion_policy_ros.observation.window import WindowBuilder
from hypothesis import given, settings, strategies as st
import numpy as np
import pytest

START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
CONTRACT = parse_contract("""
robot: test
rate_hz: 30
settle_ms: 10
observations:
  - {key: observation.images.camera, topic: camera, type: sensor_msgs/msg/Image,
     image: {height: 1, width: 2, encoding: mono8}, max_age_ms: 500}
  - {key: observation.state, topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a, b],
     stamp: receive, max_age_ms: 500}
  - {key: observation.state, topic: gripper, type: std_msgs/msg/Float32MultiArray, names: [g],
     stamp: receive, max_age_ms: 500}
  - {key: observation.environment_state, topic: truth, type: std_msgs/msg/Float64MultiArray,
     names: [x], role: auxiliary, stamp: receive, max_age_ms: 500}
actions:
  - {topic: command, type: std_msgs/msg/Float64MultiArray, names: [a], stamp: receive}
""")


def picture(value, stamp_ns):
    stamp = Fields(sec=stamp_ns // 10 ** 9, nanosec=stamp_ns % 10 ** 9)
    return Fields(header=Fields(stamp=stamp), height=1, width=2, step=2, encoding='mono8',
                  is_bigendian=0, data=bytes([value, value]))


def fill(builder, start_ns, count, truth=True):
    """Push message k of every stream at ``start + k * 10 ms``; its numbers say k."""
    for k in range(count):
        now_ns = start_ns + k * 10 * MS
        builder.push('camera', picture(k % 256, now_ns), now_ns)
        builder.push('arm', Fields(data=[k, -k]), now_ns)
        builder.push('gripper', Fields(data=[k + 0.5]), now_ns)
        if truth:
            builder.push('truth', Fields(data=[k]), now_ns)


def rows_of(window):
    """Return the number of the message that each row shows."""
    return window['observation.state'][:, 0].tolist()


def test_window_holds_the_policys_keys_with_the_oldest_row_first():
    builder = WindowBuilder(CONTRACT, n_obs_steps=3)
    fill(builder, START_NS, 20)
    builder.window(START_NS + 10 * MS)
    window, ages = builder.window(START_NS + 100 * MS)
    assert list(window) == ['observation.images.camera', 'observation.state']
    # Ticks at 100, 66.7 and 33.3 ms show messages 10, 6 and 3.
    np.testing.assert_array_equal(
        window['observation.state'], [[3, -3, 3.5], [6, -6, 6.5], [10, -10, 10.5]])
    assert window['observation.state'].dtype == np.float32
    assert window['observation.images.camera'].shape == (3, 1, 2, 1)
    assert window['observation.images.camera'][:, 0, 0, 0].tolist() == [3, 6, 10]
    assert ages == {'camera': 0, 'arm': 0, 'gripper': 0}
    assert window['observation.state'].flags.writeable


def test_row_holds_auxiliary_streams_too():
    builder = WindowBuilder(CONTRACT, n_obs_steps=1)
    fill(builder, START_NS, 20)
    values, ages = builder.row(START_NS + 104 * MS)
    assert values['observation.environment_state'].tolist() == [10]
    assert ages == dict.fromkeys(['camera', 'arm', 'gripper', 'truth'], 4 * MS)
    for key, value in values.items():
        assert value.shape == CONTRACT.shape_of(key)


def test_policy_needs_no_auxiliary_stream():
    builder = WindowBuilder(CONTRACT, n_obs_steps=2)
    fill(builder, START_NS, 20, truth=False)
    builder.window(START_NS + 100 * MS)
    with pytest.raises(AlignmentError, match='observation.environment_state.*no message yet'):
        builder.row(START_NS + 100 * MS)


def test_first_rows_repeat_the_first_tick_as_training_does():
    builder = WindowBuilder(CONTRACT, n_obs_steps=4)
    fill(builder, START_NS, 40)
    first_ns = START_NS + 50 * MS
    got = [rows_of(builder.window(CONTRACT.tick_ns(first_ns, k))[0]) for k in range(5)]
    single = [rows_of({key: value[None] for key, value in
                       builder.row(CONTRACT.tick_ns(first_ns, k))[0].items()})[0]
              for k in range(5)]
    assert got == [[single[max(0, k - back)] for back in (3, 2, 1, 0)] for k in range(5)]


def test_failed_first_tick_does_not_count_as_the_first():
    builder = WindowBuilder(CONTRACT, n_obs_steps=2)
    with pytest.raises(AlignmentError):
        builder.window(START_NS)
    fill(builder, START_NS + 50 * MS, 10)
    window, _ = builder.window(START_NS + 60 * MS)
    assert rows_of(window) == [1, 1]


def test_late_message_counts_for_its_own_row_only():
    builder = WindowBuilder(CONTRACT, n_obs_steps=2)
    fill(builder, START_NS, 1)
    builder.window(START_NS)
    tick_ns = CONTRACT.tick_ns(START_NS, 1)
    builder.push('camera', picture(7, tick_ns), tick_ns + 11 * MS)  # settle_ms is 10
    builder.push('camera', picture(8, tick_ns + MS), tick_ns + 12 * MS)
    window, _ = builder.window(CONTRACT.tick_ns(START_NS, 2))
    assert window['observation.images.camera'][:, 0, 0, 0].tolist() == [0, 8]


@given(delays=st.lists(st.integers(0, 80), min_size=12, max_size=40),
       n_obs_steps=st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_window_asked_for_later_is_the_same(delays, n_obs_steps):
    arrivals = sorted((k * 10 + delay, k) for k, delay in enumerate(delays))
    live, late = (WindowBuilder(CONTRACT, n_obs_steps) for _ in range(2))
    for builder in (live, late):
        fill(builder, START_NS, 1)
    ticks = [CONTRACT.tick_ns(START_NS, k) for k in range(10)]
    pending, seen = list(ticks), []
    for arrival_ms, k in arrivals:
        receive_ns = START_NS + arrival_ms * MS
        while pending and receive_ns > pending[0] + CONTRACT.settle_ns:
            seen.append(live.window(pending.pop(0)))
        for builder in (live, late):
            builder.push('camera', picture(k, START_NS + k * 10 * MS), receive_ns)
    for tick_ns, (window, ages) in zip(ticks, seen):
        again, ages_again = late.window(tick_ns)
        assert ages == ages_again
        assert {key: value.tobytes() for key, value in window.items()} == \
            {key: value.tobytes() for key, value in again.items()}


def test_stale_stream_stops_windows_until_it_returns():
    builder = WindowBuilder(CONTRACT, n_obs_steps=2)
    fill(builder, START_NS, 10)
    builder.window(START_NS + 90 * MS)
    with pytest.raises(AlignmentError, match='0.600 s old, limit 0.500 s'):
        builder.window(START_NS + 690 * MS)
    fill(builder, START_NS + 700 * MS, 20)
    window, _ = builder.window(START_NS + 800 * MS)
    assert rows_of(window) == [6, 10]


def test_malformed_image_stops_windows_until_good_ones_return():
    builder = WindowBuilder(CONTRACT, n_obs_steps=1)
    fill(builder, START_NS, 10)
    broken = picture(1, START_NS + 100 * MS)
    broken.data = b'\0'
    builder.push('camera', broken, START_NS + 100 * MS)
    with pytest.raises(DecodeError, match='topic camera: the image holds 1 bytes'):
        builder.window(START_NS + 100 * MS)
    builder.push('camera', picture(42, START_NS + 110 * MS), START_NS + 110 * MS)
    window, _ = builder.window(START_NS + 110 * MS)
    assert window['observation.images.camera'].max() == 42


@pytest.mark.parametrize('jump_ms', [-5000, 5000])
def test_clear_starts_again_after_the_clock_jumped(jump_ms):
    builder = WindowBuilder(CONTRACT, n_obs_steps=3)
    fill(builder, START_NS, 20)
    builder.window(START_NS + 190 * MS)
    builder.clear()
    fill(builder, START_NS + jump_ms * MS, 20)
    window, _ = builder.window(START_NS + (jump_ms + 50) * MS)
    assert rows_of(window) == [5, 5, 5]


def test_backward_jump_without_clear_never_shows_the_future():
    builder = WindowBuilder(CONTRACT, n_obs_steps=2)
    fill(builder, START_NS, 20)
    builder.window(START_NS + 190 * MS)
    window, _ = builder.window(START_NS + 20 * MS)
    assert rows_of(window) == [2, 2]


def test_window_without_rows_is_refused():
    with pytest.raises(ConfigError, match='n_obs_steps is 0; a window needs at least one row'):
        WindowBuilder(CONTRACT, 0)


@pytest.mark.parametrize('lateness_ns, kept_ms', [(None, 520), (2_000_000_000, 2020)])
def test_messages_are_kept_only_as_long_as_a_tick_may_be_late(lateness_ns, kept_ms):
    options = {} if lateness_ns is None else {'lateness_ns': lateness_ns}
    builder = WindowBuilder(CONTRACT, n_obs_steps=1, **options)
    fill(builder, START_NS, 1000)
    camera = CONTRACT.observations[0]
    held = len(builder.aligner._buffers[camera]._items)
    assert held <= (kept_ms + camera.max_age_ms) / 10 + 1  # a message every 10 ms
    late_ns = START_NS + 9990 * MS - (kept_ms - 20) * MS
    assert rows_of(builder.window(late_ns)[0]) == [999 - (kept_ms - 20) / 10]
