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

"""Parameters of the policy server that a bench passes on."""

from diffusion_policy_ros.cli.server_arguments import server_parameters
from diffusion_policy_ros.errors import UsageError
import pytest


def test_values_come_in_the_type_of_the_parameter_and_the_last_of_a_name_counts():
    found = server_parameters(
        ['num_threads:=1', 'cpus:=3', 'deadline_ms:=1e3', 'backend:=onnx', 'num_threads:=2',
         'contract:='], ('model',))
    assert found == {'num_threads': 2, 'cpus': '3', 'deadline_ms': 1000.0, 'backend': 'onnx',
                     'contract': ''}
    assert [type(value) for value in found.values()] == [int, str, float, str, str]


@pytest.mark.parametrize('text, message', [
    ('backend', "'backend'; it must be NAME:=VALUE"),
    ('bakend:=onnx', "'bakend', which policy_server does not have; did you mean \"backend\"?"),
    ('model:=there', 'model, which this command sets itself'),
    ('backend:=cuda', "backend is 'cuda'; choose one of"),
    ('num_threads:=1.5', "num_threads is '1.5'; it must be a whole number"),
    ('num_threads:=', "num_threads is ''; it must be a whole number"),
    ('num_threads:=true', "num_threads is 'true'; it must be a whole number"),
    ('num_threads:=2000-13-45', "num_threads is '2000-13-45'; it must be a whole number"),
    ('num_threads:=' + '9' * 400, '9; it must be from 0 to 256'),
    ('seed:=2147483648', 'seed is 2147483648; it must be from -1 to 2147483647'),
    ('deadline_ms:=nan', 'deadline_ms is nan; it must be finite'),
    ('deadline_ms:=1:30', "deadline_ms is '1:30'; it must be a number"),
    ('deadline_ms:=[1]', "deadline_ms is '[1]'; it must be a number")])
def test_what_the_server_would_refuse_is_refused_before_it_starts(text, message):
    with pytest.raises(UsageError) as refused:
        server_parameters([text], ('model',))
    assert message in str(refused.value)
