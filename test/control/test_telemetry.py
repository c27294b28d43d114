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
"""Telemetry: rates, spreads and the parts of the latency."""

from diffusion_policy_ros.control.telemetry import Latency, RateMeter, spread, Telemetry
import numpy as np
import pytest


def test_a_rate_is_that_of_the_last_seconds_and_falls_to_zero():
    meter = RateMeter()
    assert meter.rate_hz(0.0) == 0.0
    for k in range(100):
        meter.add(k / 20)
    assert meter.rate_hz(4.95) == pytest.approx(20)
    assert meter.rate_hz(60.0) == 0.0
    assert meter.count == 100


def test_a_spread_is_that_of_the_percentiles():
    values = np.random.default_rng(0).random(1000)
    for name in ('p50', 'p95', 'p99'):
        assert spread(values)[name] == pytest.approx(np.quantile(values, int(name[1:]) / 100))
    assert spread([]) == {}


def test_the_total_latency_is_the_sum_of_its_parts():
    assert Latency(1.0, 2.0, 4.0, 8.0, 16.0, 32.0).named() == {
        'capture_ms': 1.0, 'receive_ms': 2.0, 'decode_ms': 4.0, 'encode_ms': 8.0,
        'sample_ms': 16.0, 'publish_ms': 32.0, 'total_ms': 63.0}


def test_facts_name_their_units():
    telemetry = Telemetry(['camera'])
    for k in range(11):
        telemetry.inputs['camera'].add(k / 10)
        telemetry.commands.add(k / 10)
    telemetry.saw_ages({'camera': 12_500_000})
    telemetry.answered(Latency(10.0, 10.0, 0.0, 20.0, 40.0, 10.0), 1.0)
    telemetry.planned(7, False, True, 0.25)
    assert telemetry.input_facts(1.0) == {
        'camera rate (Hz)': '10.0', 'camera age at the tick (ms)': '12.5'}
    assert telemetry.command_facts(1.0)['interval p99 (ms)'] == '100.00'
    facts = telemetry.plan_facts(1.0)
    assert facts['total p50 (ms)'] == '90.0' and facts['sample p95 (ms)'] == '40.0'
    assert facts['plans cut short by the deadline'] == facts['plans after the deadline'] == '1'
    assert facts['evaluations of the last plan'] == '7'
    assert facts['spread of the candidates p95'] == '0.250'


@pytest.mark.parametrize('rate_hz', [2, 30, 500])
def test_a_stream_that_stops_has_no_rate_after_a_few_of_its_intervals(rate_hz):
    meter = RateMeter()
    for k in range(100):
        meter.add(k / rate_hz)
    last_s = 99 / rate_hz
    assert meter.rate_hz(last_s + 3 / rate_hz) == pytest.approx(rate_hz)
    assert meter.rate_hz(last_s + 6 / rate_hz) == 0.0
    assert meter.age_s(last_s + 2.0) == pytest.approx(2.0)


def test_without_time_between_events_there_is_no_rate():
    meter = RateMeter()
    assert meter.age_s(1.0) is None
    meter.add(1.0)
    meter.add(1.0)
    assert meter.rate_hz(1.0) == 0.0
