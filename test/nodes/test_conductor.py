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

"""What measures nodes refuses to measure where nobody says when a message arrived."""

from diffusion_policy_ros.errors import ConfigError
import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes.conductor import Conductor  # noqa: E402,I100


class Deaf(Conductor):
    """A conductor without ROS, whose callbacks are called by hand."""

    def __init__(self):
        self._heard, self.callbacks = 0, []

    def create_subscription(self, message_type, topic, callback, profile):
        self.callbacks.append(callback)


def test_a_message_that_the_middleware_does_not_date_ends_the_work_with_the_remedy():
    conductor, heard = Deaf(), []
    conductor.listen(None, 'topic', lambda message, info: heard.append(message))
    conductor.callbacks[0]('dated', {'received_timestamp': 5})
    with pytest.raises(ConfigError, match='RMW_IMPLEMENTATION=rmw_fastrtps_cpp'):
        conductor.callbacks[0]('undated', {'received_timestamp': 0})
    assert heard == ['dated']


def test_a_distribution_whose_rclpy_tells_no_arrival_is_refused(monkeypatch):
    monkeypatch.setattr('diffusion_policy_ros.nodes.conductor.TELLS_ARRIVAL', False)
    with pytest.raises(ConfigError, match='use Jazzy or a later one'):
        Conductor('conductor')
