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

"""When the middleware received a message, where rclpy and the middleware tell."""

from rclpy.subscription import Subscription

# ROS 2 Humble's rclpy does not hand on when the middleware received a message.
TELLS_ARRIVAL = hasattr(Subscription, 'CallbackType')


def dated(handle):
    """
    Return a callback for a subscription that hands messages on with their time of arrival.

    :param handle: Called with the message and when the middleware received it by the system
        clock, ns; 0 where nobody tells, as under ROS 2 Humble or Cyclone DDS.
    """
    if TELLS_ARRIVAL:
        return lambda message, info: handle(message, info['received_timestamp'])
    return lambda message: handle(message, 0)
