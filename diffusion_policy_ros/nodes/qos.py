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

"""The quality-of-service profiles of every node, by what a topic carries."""

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy


def _profile(depth, reliability, durability=DurabilityPolicy.VOLATILE):
    """Make a keep-last profile."""
    return QoSProfile(depth=depth, history=HistoryPolicy.KEEP_LAST, reliability=reliability,
                      durability=durability)


# Best effort matches reliable and best-effort publishers alike; a reliable subscription would
# silently get nothing from a best-effort camera.
# Frames that came while an executor was late must not push out the one before its tick.
IMAGES = _profile(5, ReliabilityPolicy.BEST_EFFORT)
VECTORS = _profile(10, ReliabilityPolicy.BEST_EFFORT)
# A recorder may fall behind for a moment while it writes, and must not lose frames for that.
RECORDED = _profile(50, ReliabilityPolicy.BEST_EFFORT)
# What a simulated robot publishes: reliable, so that every kind of subscriber hears it.
ROBOT_STATE = _profile(10, ReliabilityPolicy.RELIABLE)
COMMANDS = _profile(1, ReliabilityPolicy.RELIABLE)
# Latched: who comes later still gets the last one.
STATUS = _profile(1, ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
EVENTS = _profile(10, ReliabilityPolicy.RELIABLE)


def for_stream(stream) -> QoSProfile:
    """
    Return the profile with which to subscribe to a stream of the robot contract.

    :param stream: ``ObservationStream`` or ``ActionOutput``.
    """
    return IMAGES if getattr(stream, 'is_image', False) else VECTORS
