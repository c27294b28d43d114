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

import os
from pathlib import Path
import shutil
import time

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.bags.bag_writer import EpisodeBag
from diffusion_policy_ros.data.bags.episode_files import episode_path, finished_bags, next_number
from diffusion_policy_ros.data.conversion.conversion_worker import ConversionWorker
from diffusion_policy_ros.data.datasets.lerobot_writer import check_storable
from diffusion_policy_ros.data.new_folder import in_the_way
from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.nodes.parameters import Parameters, ParameterSpec
from diffusion_policy_ros.nodes.recorded_stream import recorded_streams
from diffusion_policy_ros.nodes.recorder_report import namesake, RecorderReport
from diffusion_policy_ros.nodes.spinning import run
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger

# A recorder that is killed loses at most what it heard in one such period.
WATCH_PERIOD_S = 0.5
# Some seconds of uncompressed pictures: with less, an episode would not be worth beginning.
MIN_FREE_BYTES = 100_000_000
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
        :raises DatasetError: if no dataset can hold what the contract says.
        """
        self._bag = None
        super().__init__('recorder', **node_options)
        self._settings = Parameters(self, PARAMETERS, check=_refusal)
        if not self._settings['contract']:
            raise ConfigError('the parameter "contract" is empty; give the path of the robot '
                              'contract, such as config/robots/pusht.yaml')
        refusal = _refusal(self._settings.values())
        if refusal:
            raise ConfigError(refusal)
        self._contract = load_contract(self._settings['contract'])
        check_storable(self._contract)
        self._number = None
        self._started_s = 0.0
        self._conversion = self._dataset = None
        self._streams = recorded_streams(self, self._contract, self._on_message)
        self._report = RecorderReport(self)
        for name in ('start', 'stop', 'discard', 'convert'):
            self._offer(name, getattr(self, name))
        # Streams and conversions are watched also while the ROS clock stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD_S, self._on_watch, clock=self._steady)
        ready = (f'ready to record {self._contract.robot}: {len(self._streams)} topics, '
                 f'{self._contract.rate_hz:g} rows per second, bags go to '
                 f'{os.path.abspath(self._settings["output"])}; begin with {self._named("start")}')
        self.get_logger().info(ready)
        self._tell(ready)

    @property
    def is_recording(self):
        """Tell whether an episode is being recorded."""
        return self._bag is not None

    def start(self):
        """
        Begin an episode, unless a stream is missing, silent or not what the contract says.

        :return: (success, message).
        :raises BagError: if the bag cannot be created.
        :raises OSError: if the output folder cannot be read.
        """
        if self.is_recording:
            return False, f'episode {self._number} is being recorded; stop or discard it first'
        problems = [p for p in (s.problem() or s.misfit() for s in self._streams) if p]
        if self.get_clock().now().nanoseconds == 0:
            problems.append('use_sim_time is set but no /clock has arrived')
        folder = self._settings['output']
        problems += _lack_of_room(folder)
        if problems:
            return False, '; '.join(problems)
        number = next_number(folder)
        self._bag = EpisodeBag(
            episode_path(folder, number), self._contract, task=self._settings['task'],
            fields={'episode': str(number)})
        self._number = number
        self._started_s = time.monotonic()
        return True, self._recording()

    def stop(self):
        """
        End the episode and keep it.

        :return: (success, message).
        :raises BagError: if the bag cannot be finished.
        """
        if not self.is_recording:
            return False, f'nothing is being recorded; call {self._named("start")} first'
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
            return False, f'a conversion is running; {self._named("status")} tells when it ends'
        bags = finished_bags(self._settings['output'])
        if not bags:
            return False, f'{self._settings["output"]} holds no finished episode to convert'
        self._dataset = dataset = self._settings['dataset']
        found = in_the_way(dataset)
        if found is not None:
            what = ('exists already and is never overwritten' if found == dataset
                    else 'is what a conversion wrote that did not end')
            return False, (f'{found} {what}; set the parameter dataset to another folder, '
                           'or remove it yourself')
        self._conversion = ConversionWorker(bags, self._contract, dataset)
        return True, (f'building {dataset} from {len(bags)} bags; {self._named("status")} tells '
                      'how it ends')

    def destroy_node(self):
        """Close the bag, so that what was recorded can be read, then the node."""
        if self.is_recording:
            self._attempt(self.stop)
        super().destroy_node()

    def _recording(self):
        """Say what is being recorded."""
        return f'recording episode {self._number} to {self._bag.path}'

    def _named(self, name):
        """Return the full name of a service or topic of this node, as it is remapped."""
        resolve = self.resolve_topic_name if name == 'status' else self.resolve_service_name
        return resolve(f'~/{name}')

    def _offer(self, name, act):
        """Offer an action of this class as a service."""
        def answer(request, response):
            del request
            response.success, response.message = self._attempt(act)
            return response

        self.create_service(Trigger, f'~/{name}', answer)

    def _attempt(self, act):
        """Do what returns (success, message), or answer with what is wrong; tell and log it."""
        try:
            success, message = act()
            level = DiagnosticStatus.OK if success else DiagnosticStatus.WARN
        except (DiffusionPolicyError, OSError) as error:
            success, message = False, f'{act.__name__} failed: {error}'
            level = DiagnosticStatus.ERROR
        self._report.log(message, level)
        self._tell(message, level)
        return success, message

    def _on_message(self, stream, data, receive_ns):
        """Write an arrived message, if an episode is being recorded."""
        if not self.is_recording:
            return
        try:
            self._bag.write(stream.topic, stream.type, data, receive_ns)
        except DiffusionPolicyError as error:
            self._break_off(error)

    def _break_off(self, error):
        """End an episode whose bag takes no more."""
        self.get_logger().error(str(error))
        self._tell(f'{error}; {self._attempt(self.stop)[1]}', DiagnosticStatus.ERROR)

    def _on_watch(self):
        """Follow the publishers, the bag, the conversion and the streams' health."""
        for stream in self._streams:
            # Subscribing anew may miss messages; while recording, only for those not heard.
            if not self.is_recording or stream.is_deaf():
                stream.adapt()
        problems = {stream: stream.problem() for stream in self._streams}
        if self._conversion is not None and self._conversion.outcome is not None:
            self._end_conversion()
        elif self.is_recording:
            self._watch_episode(problems.values())
        self._report.diagnose(problems, DiagnosticStatus.ERROR if self.is_recording
                              else DiagnosticStatus.WARN)

    def _end_conversion(self):
        """Tell how a conversion ended."""
        outcome, self._conversion = self._conversion.outcome, None
        # The folder gets its name only when it holds at least an episode, and is complete.
        level = DiagnosticStatus.OK if os.path.isdir(self._dataset) else DiagnosticStatus.ERROR
        if '--out' in outcome:
            outcome += '; for this node, --out is the parameter dataset'
        self._report.log(outcome, level)
        self._tell(outcome, level)

    def _watch_episode(self, problems):
        """Bring to disk what was heard, and tell what is not heard."""
        if self._bag.is_gone():
            self._attempt(self.stop)
            return
        try:
            self._bag.flush()
        except DiffusionPolicyError as error:
            self._break_off(error)
            return
        problems = [namesake(self), *problems]
        event = '; '.join(filter(None, [self._recording(), *problems]))
        if any(problems):
            self._report.log_now_and_then(event)
        self._tell(event, DiagnosticStatus.WARN if any(problems) else DiagnosticStatus.OK)

    def _tell(self, event, level=DiagnosticStatus.OK):
        """Publish the latched status."""
        self._report.tell(event, level, {
            'state': 'recording' if self.is_recording else 'idle',
            'episode': '' if self._number is None else self._number,
            'bag': self._bag.path if self.is_recording else '',
            'messages': self._bag.message_count if self.is_recording else 0,
            'converting': str(self._conversion is not None).lower()})


def _refusal(values):
    """Say which parameter is no folder, an empty string when all is well."""
    empty = [name for name in ('output', 'dataset') if not values[name].strip()]
    return f'the parameter "{empty[0]}" is empty; give the path of a folder' if empty else ''


def _lack_of_room(folder):
    """Return a list with the sentence that a disk is as good as full, or an empty one."""
    place = Path(folder).absolute()
    disk = shutil.disk_usage(next(p for p in (place, *place.parents) if p.exists()))
    if disk.free >= MIN_FREE_BYTES:
        return []
    return [f'the disk of {folder} has {disk.free / 1e6:.0f} MB free, at least '
            f'{MIN_FREE_BYTES / 1e6:.0f} MB are needed; make room, or set the parameter output '
            'to a folder on another disk']


def main(args=None):
    """Run the node until SIGINT, SIGTERM or SIGHUP."""
    return run(Recorder, args)
