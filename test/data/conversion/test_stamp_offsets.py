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

"""Header minus receive time, and drift, are those that the messages were made with."""

import json

from diffusion_policy_ros.data.conversion.stamp_offsets import OffsetWatch, StampOffsets
import numpy as np
import pytest

START_NS = 1_700_000_000_000_000_000


def offsets_of(seconds, drift_ppm=0.0, base_ms=-8.0, jitter_ms=0.5, seed=0, into=None):
    """Let 100 messages a second arrive, stamped by a clock that drifts."""
    found, rng = into or StampOffsets(), np.random.default_rng(seed)
    for k in range(round(seconds * 100)):
        offset_ms = base_ms + drift_ppm * k / 100 * 1e-3 + rng.normal(0, jitter_ms)
        receive_ns = START_NS + k * 10_000_000
        found.add(receive_ns + round(offset_ms * 1e6), receive_ns)
    return found


@pytest.mark.parametrize('drift_ppm', [0, 40, -120])
def test_drift_is_found_within_its_error(drift_ppm):
    """Twice the standard error, at a seed that is fixed."""
    drift, error = offsets_of(60, drift_ppm).drift_ppm()
    assert 0 < error < 1.5
    assert abs(drift - drift_ppm) < 2 * error


def test_percentiles_are_those_of_the_jitter():
    figures = offsets_of(60).figures()
    assert figures['median_ms'] == pytest.approx(-8, abs=0.05)
    assert figures['p5_ms'] == pytest.approx(-8 - 1.645 * 0.5, abs=0.1)
    assert figures['p95_ms'] == pytest.approx(-8 + 1.645 * 0.5, abs=0.1)
    assert figures['count'] == 6000 and figures['min_ms'] < figures['p5_ms']
    many = [-8_000_000 + k * 1000 for k in np.random.default_rng(1).permutation(2500)]
    found = StampOffsets()
    for k, offset_ns in enumerate(many):
        found.add(START_NS + k + offset_ns, START_NS + k)
    figures = found.figures()
    assert (figures['count'], figures['min_ms'], figures['max_ms']) == (2500, -8, -5.501)
    assert figures['p95_ms'] == pytest.approx(np.quantile(many, 0.95) / 1e6, abs=0.002)


def test_bags_with_clocks_of_their_own_are_pooled():
    """A step from bag to bag is no drift, nor is one inside a bag, told or not."""
    first = offsets_of(20, 50, base_ms=-5)
    second = StampOffsets.from_dict(json.loads(json.dumps(
        offsets_of(20, 50, base_ms=300, seed=1).to_dict())))
    first.merge(second)
    drift, error = first.drift_ppm()
    assert abs(drift - 50) < 3 * error and error < 3
    stepped = offsets_of(20, 50)
    stepped.begin()
    offsets_of(20, 50, base_ms=-900, seed=2, into=stepped)
    assert stepped.drift_ppm()[0] == pytest.approx(50, abs=5)
    untold = offsets_of(20, 50)
    offsets_of(20, 50, base_ms=-5000, seed=2, into=untold)
    assert untold.drift_ppm()[0] == pytest.approx(50, abs=5)


def test_what_is_too_short_or_unstamped_is_said_so():
    assert 'drift unknown (too short)' in offsets_of(2).sentence()
    unset = StampOffsets()
    unset.add(0, START_NS)
    assert unset.sentence() == 'no header has a time (1 messages)'
    assert StampOffsets().sentence() == 'no message'
    assert unset.figures() == {'count': 0, 'unstamped': 1}


def test_only_topics_whose_stamp_dates_the_message_are_watched(demonstration):
    """A trajectory's stamp says when to start."""
    watch = OffsetWatch({'joint_states': 'sensor_msgs/msg/JointState',
                         'commands': 'trajectory_msgs/msg/JointTrajectory',
                         'array': 'std_msgs/msg/Float64MultiArray'})
    watch.see('joint_states', demonstration.message('joint_states', 0, START_NS), START_NS + 7)
    watch.see('commands', None, START_NS)
    assert list(watch.topics) == ['joint_states']
    assert watch.topics['joint_states'].figures()['max_ms'] == -7e-6


def test_a_stamp_that_no_clock_tells_is_counted():
    """The latest arrival that a bag can hold, and the earliest stamp."""
    found = StampOffsets()
    found.add(-2**31 * 10**9, 2**63 - 1)
    assert found.figures()['min_ms'] == found.figures()['median_ms'] == -(2**63 - 1) / 1e6
