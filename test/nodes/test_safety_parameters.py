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
"""The parameters of the safety node: the file in config/ is complete."""

from dataclasses import replace
from pathlib import Path

from diffusion_policy_ros.contract import load_contract
import pytest
import yaml

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes.safety_parameters import (  # noqa: E402,I100
    choose_watchdog_ms, SPECS)

CONFIG = Path(__file__).parents[2] / 'config'


def test_the_shipped_file_has_every_parameter_with_its_default():
    document = yaml.safe_load((CONFIG / 'command_safety.yaml').read_text(encoding='utf-8'))
    shipped = document['/**/command_safety']['ros__parameters']
    assert shipped == {spec.name: spec.default for spec in SPECS}
    assert all(spec.refusal(spec.default) == '' for spec in SPECS)


@pytest.mark.parametrize('wanted_ms, rate_hz, chosen_ms', [
    (0.0, 10.0, 300.0), (0.0, 5.0, 600.0), (0.0, 15.0, 200.0), (0.0, 30.0, 200.0),
    (150.0, 10.0, 150.0)])
def test_a_single_lost_command_does_not_set_the_watchdog_off(wanted_ms, rate_hz, chosen_ms):
    contract = replace(load_contract(CONFIG / 'robots/pusht.yaml'), rate_hz=rate_hz)
    assert choose_watchdog_ms(wanted_ms, contract) == pytest.approx(chosen_ms)
