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

"""Demos on one machine get domains of their own."""

import socket
import subprocess
import sys

from diffusion_policy_ros.cli import ros_domain
from diffusion_policy_ros.cli.ros_domain import hold_domain
from diffusion_policy_ros.errors import ConfigError
import pytest

HOLDER = """
from diffusion_policy_ros.cli.ros_domain import hold_domain
import time
with hold_domain(82) as domain_id:
    print(domain_id, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def domains_of_this_test(monkeypatch):
    """Choose among domains that no other test uses."""
    monkeypatch.setattr(ros_domain, 'DOMAIN_IDS', range(82, 84))


def test_demos_at_the_same_time_get_different_domains():
    with hold_domain() as first, hold_domain() as second:
        assert (first, second) == (82, 83)
        with pytest.raises(ConfigError, match='every ROS domain from 82 to 83 is in use'):
            with hold_domain():
                pass
    with hold_domain() as again:
        assert again == 82


def test_a_domain_where_a_node_of_this_machine_listens_is_passed_over():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.bind(('', 7400 + 250 * 82 + 12))  # where the domain's second participant listens
        with hold_domain() as domain_id:
            assert domain_id == 83


def test_a_domain_that_another_demo_holds_is_refused_until_that_one_is_gone():
    with subprocess.Popen([sys.executable, '-c', HOLDER], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b'82\n'
        with pytest.raises(ConfigError, match='another demo on this machine uses ROS domain 82'):
            with hold_domain(82):
                pass
        other.kill()
    with hold_domain(82) as domain_id:
        assert domain_id == 82


def test_a_domain_that_was_asked_for_by_number_is_refused_where_a_node_may_be_a_robot():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.bind(('', 7400 + 250 * 82 + 10))
        with pytest.raises(ConfigError, match='a ROS node on this machine uses ROS domain 82'):
            with hold_domain(82):
                pass
    with hold_domain(82) as domain_id:
        assert domain_id == 82
