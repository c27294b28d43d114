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
The node ``recorder``: one bag per demonstration, and a dataset from the finished bags.

Records every topic of the contract as serialized bytes, stamped with the ROS time of arrival.
Services (Trigger): ``~/start``, ``~/stop``, ``~/discard``, ``~/convert``. Latched ``~/status``
(DiagnosticStatus) and ``/diagnostics`` say what it does and how alive each stream is.
"""

import time

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.bag_writer import EpisodeBag
from diffusion_policy_ros.data.conversion_worker import ConversionWorker
from diffusion_policy_ros.data.episode_files import episode_path, finished_bags, next_number
from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.parameters import Parameters, ParameterSpec
from diffusion_policy_ros.nodes.recorded_stream import RecordedStream
from diffusion_policy_ros.nodes.spinning import run
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger

WATCH_PERIOD_S = 0.5
PARAMETERS = (
    ParameterSpec('contract', '', 'Path of the robot contract (YAML)', read_only=True),
    ParameterSpec('output', 'bags', 'Folder for the bags, one per episode; numbering goes on '
                  'after what is there'),
    ParameterSpec('dataset', 'dataset', 'Folder of the dataset that ~/convert builds'),
    ParameterSpec('task', '', 'What the demonstrations show, one sentence'),
)


class Recorder(Node):
    """Records demonstrations on request."""

    def __init__(self, **node_options):
        """
        Subscribe to every topic of the contract.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ConfigError: if no contract was given.
        :raises ContractError: if the contract is wrong.
        """
        self._bag = None
        super().__init__('recorder', **node_options)
        self._settings = Parameters(self, PARAMETERS)
        if not self._settings['contract']:
            raise ConfigError('the parameter "contract" is empty; give the path of the robot '
                              'contract, such as config/robots/pusht.yaml')
        self._contract = load_contract(self._settings['contract'])
        self._number = None
        self._started_s = 0.0
        self._event = 'ready'
        self._conversion = None
        entries = {e.topic: e for e in self._contract.actions + self._contract.observations}
        self._streams = [RecordedStream(self, e, self._on_message) for e in entries.values()]
        self._status = self.create_publisher(DiagnosticStatus, '~/status', qos.STATUS)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.EVENTS)
        for name in ('start', 'stop', 'discard', 'convert'):
            self._offer(name, getattr(self, name))
        # Streams and conversions are watched also while the ROS clock stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD_S, self._on_watch, clock=self._steady)
        self._tell('ready')

    @property
    def is_recording(self):
        """Tell whether an episode is being recorded."""
        return self._bag is not None

    def start(self):
        """
        Begin an episode, unless a stream is missing or silent.

        :return: (success, message).
        :raises BagError: if the bag cannot be created.
        :raises OSError: if the output folder cannot be read.
        """
        if self.is_recording:
            return False, f'episode {self._number} is being recorded; stop or discard it first'
        problems = [p for p in (stream.problem() for stream in self._streams) if p]
        if self.get_clock().now().nanoseconds == 0:
            problems.append('use_sim_time is set but no /clock has arrived')
        if problems:
            return False, '; '.join(problems)
        folder = self._settings['output']
        number = next_number(folder)
        self._bag = EpisodeBag(
            episode_path(folder, number), self._contract, task=self._settings['task'],
            fields={'episode': str(number)})
        self._number = number
        self._started_s = time.monotonic()
        return True, f'recording episode {number} to {self._bag.path}'

    def stop(self):
        """
        End the episode and keep it.

        :return: (success, message).
        :raises BagError: if the bag cannot be finished.
        """
        if not self.is_recording:
            return False, 'nothing is being recorded; call ~/start first'
        bag, self._bag = self._bag, None
        bag.close()
        return True, (f'episode {self._number} saved: {bag.message_count} messages, '
                      f'{time.monotonic() - self._started_s:.1f} s, {bag.path}')

    def discard(self):
        """
        End the episode and throw it away.

        :return: (success, message).
        :raises BagError: if its folder cannot be removed.
        """
        if not self.is_recording:
            return False, 'nothing is being recorded; finished episodes are never deleted'
        bag, self._bag = self._bag, None
        bag.discard()
        return True, f'episode {self._number} discarded'

    def convert(self):
        """
        Begin to build the dataset from the finished bags; ~/status tells how it ended.

        :return: (success, message).
        :raises OSError: if the output folder cannot be read.
        """
        if self._conversion is not None:
            return False, 'a conversion is running; ~/status tells when it has ended'
        bags = finished_bags(self._settings['output'])
        if not bags:
            return False, f'{self._settings["output"]} holds no finished episode to convert'
        self._conversion = ConversionWorker(
            bags, self._contract, self._settings['dataset'])
        return True, (f'building {self._settings["dataset"]} from {len(bags)} bags; ~/status '
                      'tells how it ends')

    def destroy_node(self):
        """Close the bag, so that what was recorded can be read, then the node."""
        if self.is_recording:
            self._attempt(self.stop)
        super().destroy_node()

    def _offer(self, name, act):
        """Offer an action of this class as a service."""
        def answer(request, response):
            del request
            response.success, response.message = self._attempt(act)
            self._tell(response.message)
            return response

        self.create_service(Trigger, f'~/{name}', answer)

    def _attempt(self, act):
        """Do what returns (success, message), log the message, and answer with what is wrong."""
        try:
            success, message = act()
        except (DiffusionPolicyError, OSError) as error:
            success, message = False, f'{act.__name__} failed: {error}'
        if success:
            self.get_logger().info(message)
        else:
            self.get_logger().warning(message)
        return success, message

    def _on_message(self, stream, data):
        """Write an arrived message, if an episode is being recorded."""
        if not self.is_recording:
            return
        try:
            self._bag.write(
                stream.topic, stream.type, data, self.get_clock().now().nanoseconds)
        except DiffusionPolicyError as error:
            self.get_logger().error(str(error))
            self._tell(f'{error}; {self._attempt(self.stop)[1]}')

    def _on_watch(self):
        """Follow the publishers, the conversion and the streams' health."""
        if not self.is_recording:
            for stream in self._streams:
                stream.adapt()
        if self._conversion is not None and self._conversion.outcome is not None:
            outcome, self._conversion = self._conversion.outcome, None
            self.get_logger().info(outcome)
            self._tell(outcome)
        elif self.is_recording:
            self._tell(self._event)
        self._diagnose()

    def _tell(self, event):
        """Publish the latched status."""
        self._event = event
        values = {'state': 'recording' if self.is_recording else 'idle',
                  'episode': '' if self._number is None else self._number,
                  'bag': self._bag.path if self.is_recording else '',
                  'messages': self._bag.message_count if self.is_recording else 0,
                  'converting': str(self._conversion is not None).lower()}
        self._status.publish(self._describe('', event, values))

    def _diagnose(self):
        """Publish the health of each stream."""
        report = DiagnosticArray()
        report.header.stamp = self.get_clock().now().to_msg()
        report.status = [self._stream_status(stream) for stream in self._streams]
        self._diagnostics.publish(report)

    def _stream_status(self, stream):
        """Describe one stream: a problem is an error while recording, otherwise a warning."""
        problem = stream.problem()
        bad = DiagnosticStatus.ERROR if self.is_recording else DiagnosticStatus.WARN
        age_s = stream.age_s()
        values = {'rate_hz': f'{stream.rate_hz():.1f}',
                  'age_s': 'never' if age_s is None else f'{age_s:.3f}'}
        return self._describe(f': {stream.topic}', problem or 'alive', values,
                              bad if problem else DiagnosticStatus.OK)

    def _describe(self, suffix, message, values, level=DiagnosticStatus.OK):
        """Fill a status message."""
        return DiagnosticStatus(
            level=level, name=f'{self.get_name()}{suffix}', message=message,
            hardware_id=self.get_fully_qualified_name(),
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()])


def main(args=None):
    """Run the node until SIGINT or SIGTERM."""
    return run(Recorder, args)
