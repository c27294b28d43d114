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

"""What the policy sees and plans, as a picture: the topic ``~/overlay/compressed``."""

from array import array

from diffusion_policy_ros.messages import header
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.observation.overlay import draw_overlay, encode_jpeg
from diffusion_policy_ros.streams import IMAGE_KEY_PREFIX
from sensor_msgs.msg import CompressedImage


class PlanOverlay:
    """Publishes ``~/overlay/compressed``; without a subscriber it does nothing."""

    def __init__(self, node, contract):
        """
        Create the publisher.

        :param node: The lifecycle node.
        :param contract: ``RobotContract``.
        """
        self._node, self._contract = node, contract
        self._seen = ({}, 0)  # newest pictures by camera, and their tick
        self._publisher = node.create_lifecycle_publisher(
            CompressedImage, '~/overlay/compressed', qos.EVENTS)

    @property
    def is_wanted(self) -> bool:
        """Tell whether somebody looks."""
        return self._publisher.get_subscription_count() > 0

    def saw(self, window, tick_ns):
        """
        Keep what the policy sees; it is shown until something newer is seen.

        :param window: Dataset key to array ``(n_obs_steps, ...)``, oldest row first.
        :param tick_ns: Tick of the newest row, ns.
        """
        if self.is_wanted:
            self._seen = ({key[len(IMAGE_KEY_PREFIX):]: rows[-1] for key, rows in window.items()
                           if key.startswith(IMAGE_KEY_PREFIX)}, tick_ns)

    def show(self, now_ns, *, ages_ns, chunk, latency_ms, reason):
        """
        Publish the state of things as a JPEG.

        :param now_ns: The time, ns.
        :param ages_ns: Topic to the age of its newest sample at the last tick, ns; may be empty.
        :param chunk: ``TimedChunk`` that is followed, None for none.
        :param latency_ms: What the newest plan took, from its oldest sample on, ms; None before
            the first.
        :param reason: Why nothing is commanded, empty while something is.
        """
        if not self.is_wanted:
            return
        pictures, tick_ns = self._seen
        since_s = max(now_ns - tick_ns, 0) / 1e9
        lines = [(f'not commanding: {reason}' if reason else 'commanding', bool(reason)),
                 (_plan_line(chunk, latency_ms, now_ns), False)]
        if ages_ns:
            lines.append((', '.join(f'{topic} {age / 1e6:.0f} ms old'
                                    for topic, age in ages_ns.items()), False))
        row = None if chunk is None else chunk.row_due(now_ns)
        picture = draw_overlay(
            lines, {f'{name}, {since_s:.1f} s ago': seen for name, seen in pictures.items()},
            {} if chunk is None else self._curves(chunk, row), row)
        self._publisher.publish(CompressedImage(
            header=header(MESSAGE_CLASSES, now_ns), format='jpeg',
            data=array('B', encode_jpeg(picture))))

    def destroy(self):
        """Destroy the publisher."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def _curves(self, chunk, row):
        """Return the planned entries by name, and by the value that is due."""
        values = chunk.actions[row or 0]
        return {f'{name} {value:.4g}': entries for name, value, entries in zip(
            self._contract.action_names, values, chunk.actions.T)}


def _plan_line(chunk, latency_ms, now_ns):
    """Say how old the plan is and how long it took."""
    if chunk is None:
        return 'no plan'
    line = (f'plan of {chunk.rows} rows, from what was seen '
            f'{(now_ns - chunk.obs_ns) / 1e6:.0f} ms ago')
    return line if latency_ms is None else f'{line}; it took {latency_ms:.0f} ms'
