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

"""
The node behind `dpr play`: an episode of a dataset on the contract's topics, as if live.

Every message arrives a little before its stamp, so that it is there when its tick comes. Commands
go below ``command_prefix``, where they move nothing, unless that is empty. Standard output says
how far it is.
"""

import os
import signal
import time

from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.playback.playback import Playback
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.clockwork import Clockwork
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.spinning import run
from diffusion_policy_ros.parameter_spec import ParameterSpec
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

# How long other nodes get to be discovered, and to hear the last message.
DISCOVERY_S, FAREWELL_S = 1.0, 0.5
# On a busy machine they may be discovered later, so that the first seconds are looked at as well;
# not what comes after, or the next player to begin would end the one that plays.
COMPANY_S = 2.0
CLOCK_PERIOD_S = 0.01
LATE_S = 0.05
PROGRESS_S = 1.0
PARAMETERS = (
    ParameterSpec('dataset', '', 'Path of the dataset', read_only=True),
    ParameterSpec('episode', 0, 'Number of the episode', 0, 10**9, read_only=True),
    ParameterSpec('contract', '', 'Robot contract (YAML); empty for the one in the dataset',
                  read_only=True),
    ParameterSpec('speed', 1.0, 'Times as fast as recorded', 0.01, 100.0, read_only=True),
    ParameterSpec('start_s', 0.0, 'Leave out the rows before this time, s', 0.0, 1e6,
                  read_only=True),
    ParameterSpec('wait_s', 0.0, 'Show the first row, without commands, for so long before, s',
                  0.0, 3600.0, read_only=True),
    ParameterSpec('loop', False, 'Begin again after the last row', read_only=True),
    ParameterSpec('original_stamps', False, 'Stamp messages as recorded, and publish /clock',
                  read_only=True),
    ParameterSpec('command_prefix', 'played', 'Below which topic commands are published; empty '
                  'for their own topics, which moves a robot', read_only=True),
)


class DatasetPlayer(Node):
    """
    Publishes one episode.

    :ivar is_done: Whether everything was published.
    :ivar failure: What ended it too early; None when nothing did.
    :ivar published: Messages published of the episode's rows.
    """

    def __init__(self, *, on_end=None, **node_options):
        """
        Open the episode and announce its topics.

        :param on_end: Called without arguments, from another thread, when ``is_done``.
        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ConfigError: if parameters contradict each other.
        :raises DatasetError: if there is no such episode, or the contract does not fit.
        """
        self._clockwork = None
        super().__init__('dataset_player', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        self.is_done, self.failure, self.published = False, None, 0
        self._on_end = on_end or (lambda: None)
        self._playback = self._open()
        self._speed = self._settings['speed']
        self._is_original = self._settings['original_stamps']
        self._senders = self._announce()
        self._clock_topic = self.create_publisher(Clock, '/clock', 10) if self._is_original \
            else None
        self._lead_ns = self._playback.lead_ns if self._is_original or self._speed >= 1.0 \
            else round(self._playback.lead_ns * self._speed)
        self._begin_s = time.monotonic() + DISCOVERY_S
        self._is_begun = False
        self._next = self._end_s = None
        self._tell_s, self._is_waiting = 0.0, False
        self._clockwork = Clockwork(self._on_wake, self._fail, name='dataset_player')
        self._clockwork.start()

    def destroy_node(self):
        """End the thread, then the node."""
        if self._clockwork:
            self._clockwork.stop()
        super().destroy_node()

    def _open(self):
        """Open the episode that the parameters name."""
        settings = self._settings
        if not settings['dataset']:
            raise ConfigError('the parameter "dataset" is empty; give the path of a dataset')
        if settings['original_stamps'] and settings['loop']:
            raise ConfigError('a loop with original stamps would set /clock back again and again, '
                              'which clears whatever listens; choose one of them')
        contract = load_contract(settings['contract']) if settings['contract'] else None
        playback = Playback(settings['dataset'], settings['episode'], contract,
                            settings['start_s'])
        if settings['original_stamps'] and playback.first_tick_ns is None:
            raise ConfigError('the dataset does not hold when its rows were recorded (tick_ns); '
                              'play it without original stamps')
        return playback

    def _announce(self):
        """Create the publishers, ``{topic of the contract: publisher}``."""
        prefix = self._settings['command_prefix']
        found = {topic: self.create_publisher(MESSAGE_CLASSES[kind], topic, qos.ROBOT_STATE)
                 for topic, kind in self._playback.observed.items()}
        for topic, kind in self._playback.commanded.items():
            name = '/'.join(filter(None, (prefix, topic)))
            found[topic] = self.create_publisher(MESSAGE_CLASSES[kind], name, qos.COMMANDS)
        return found

    def _on_wake(self):
        """Publish what is due; return how long to sleep, s."""
        now_s = time.monotonic()
        if now_s < self._begin_s:
            return self._begin_s - now_s
        if now_s < self._begin_s + COMPANY_S:
            self._refuse_company()
        if not self._is_begun:
            self._begin()
        while self._next is not None and self._due_s(self._next.at_ns) <= time.monotonic():
            self._publish(self._next)
            self._next = next(self._events, None)
        if self._next is None:
            return self._end()
        pause_s = max(0.0, self._due_s(self._next.at_ns) - time.monotonic())
        if self._clock_topic is None:
            return pause_s
        self._tell_time()
        return min(pause_s, CLOCK_PERIOD_S)

    def _refuse_company(self):
        """End where somebody else shows a robot."""
        for publisher in filter(None, [*self._senders.values(), self._clock_topic]):
            names = [info.node_name
                     for info in self.get_publishers_info_by_topic(publisher.topic_name)]
            if len(names) > 1:  # this node's own is one, and there may be two of its name
                names.remove(self.get_name())
                raise ConfigError(
                    f'{publisher.topic_name} has a publisher already (node {names[0]}); two of '
                    'them on one topic make nonsense. Stop it, or set another ROS_DOMAIN_ID')

    def _begin(self):
        """Fix when the first message is due."""
        self._is_begun = True
        self._offset_ns = 0
        self._events = self._all_events()
        self._next = next(self._events)
        # Counted from tick 0, which comes when what stands before it is over.
        self._zero_s = time.monotonic() - (self._next.at_ns - self._lead_ns) / 1e9 / self._speed
        now_s = time.monotonic()
        self._zero_ns = self.get_clock().now().nanoseconds + round((self._zero_s - now_s) * 1e9)
        self.get_logger().info(
            f'episode {self._settings["episode"]}: {self._playback.rows} rows on '
            f'{", ".join(publisher.topic_name for publisher in self._senders.values())}')

    def _all_events(self):
        """Yield the events of all rounds, the first row standing before the first."""
        yield from self._playback.standing(self._settings['wait_s'])
        while True:
            for event in self._playback.events():
                yield event
            if not self._settings['loop']:
                return
            # Nothing of this round is left in the generator when the next begins.
            self._offset_ns += self._playback.contract.tick_ns(0, self._playback.rows)

    def _due_s(self, at_ns):
        """Return when an event is to be published, on the steady clock, s."""
        return self._zero_s + (self._offset_ns + at_ns - self._lead_ns) / 1e9 / self._speed

    def _publish(self, event):
        """Publish one message, dated as it is wanted."""
        late_s = time.monotonic() - self._due_s(event.at_ns)
        if late_s > LATE_S:
            self.get_logger().warning(f'{1000 * late_s:.0f} ms late: this machine does not decode '
                                      'fast enough; lower --rate', throttle_duration_sec=5.0)
        at_ns = self._offset_ns + event.at_ns
        stamp_ns = self._playback.first_tick_ns + at_ns if self._is_original \
            else self._zero_ns + round(at_ns / self._speed)
        if self._clock_topic is not None:
            self._tell_time()
        period_ns = self._playback.contract.period_ns
        lead_ns = period_ns if self._is_original else max(1, round(period_ns / self._speed))
        self._senders[event.topic].publish(event.message(MESSAGE_CLASSES, stamp_ns, lead_ns))
        self.published += 1
        self._tell_progress(event.at_ns)

    def _tell_progress(self, at_ns):
        """Say now and then which row was played, or how long the first one still stands."""
        was_waiting = self._is_waiting
        self._is_waiting = bool(self._settings['wait_s']) and at_ns < 0 and not self._offset_ns
        if time.monotonic() < self._tell_s and self._is_waiting == was_waiting:
            return
        self._tell_s = time.monotonic() + PROGRESS_S
        rows, period_ns = self._playback.rows, self._playback.contract.period_ns
        if self._is_waiting:
            print(f'waiting: {-at_ns / 1e9 / self._speed:.0f} s until row 1 of {rows}', flush=True)
            return
        row = min(max(at_ns // period_ns, 0), rows - 1) + 1
        played = self._offset_ns // self._playback.contract.tick_ns(0, rows)
        print(f'row {row} of {rows}' + (f', round {played + 1}' if played else ''), flush=True)

    def _tell_time(self):
        """Publish the recorded time that it is now."""
        passed_s = (time.monotonic() - self._zero_s) * self._speed
        message = Clock()
        message.clock.sec, message.clock.nanosec = divmod(
            max(0, self._playback.first_tick_ns + round(passed_s * 1e9)), 10**9)
        self._clock_topic.publish(message)

    def _end(self):
        """Let the last messages be heard, then tell that everything was published."""
        if self._end_s is None:
            self._end_s = time.monotonic() + self._lead_ns / 1e9 / self._speed + FAREWELL_S
        left_s = self._end_s - time.monotonic()
        if left_s > 0:
            if self._clock_topic is not None:
                self._tell_time()
            return min(left_s, CLOCK_PERIOD_S)
        if not self.is_done:
            self.is_done = True
            print(f'played: {self.published} messages', flush=True)
            self._on_end()
        return CLOCK_PERIOD_S

    def _fail(self, error):
        """Keep what ended the thread."""
        self.failure = error
        self.get_logger().error(str(error))
        self.is_done = True
        self._on_end()


def main(args=None) -> int:
    """Play until the end of the episode, SIGINT, SIGTERM or SIGHUP."""
    players = []

    def make():
        # The node's own thread cannot end the node; a signal ends it as Ctrl-C does.
        players.append(DatasetPlayer(on_end=lambda: os.kill(os.getpid(), signal.SIGTERM)))
        return players[0]

    code = run(make, args)
    return 1 if code or players[0].failure else 0
