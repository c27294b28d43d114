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

Records every topic of the contract as serialized bytes, stamped with the time of arrival.
Services (Trigger): ``~/start``, ``~/stop``, ``~/success``, ``~/fail``, ``~/discard``,
``~/discard_last``, ``~/convert``; the topic ``joy`` can do the same. Latched ``~/status``
(DiagnosticStatus) and ``/diagnostics`` say what it does, how alive each stream is, and how good.
"""

import os

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.contract import load_contract
from diffusion_policy_ros.data.bags.bag_writer import prepare
from diffusion_policy_ros.data.datasets.lerobot_writer import check_storable
from diffusion_policy_ros.data.recording.pre_roll import PreRoll
from diffusion_policy_ros.data.recording.repair import RepairWorker
from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.nodes.parameters import Parameters
from diffusion_policy_ros.nodes.recorded_stream import doubts, recorded_streams
from diffusion_policy_ros.nodes.recorder_answer import Answer, refused
from diffusion_policy_ros.nodes.recorder_conversion import RecorderConversion
from diffusion_policy_ros.nodes.recorder_episode import Episode, obstacles_to_start, take_back
from diffusion_policy_ros.nodes.recorder_joy import JoyButtons
from diffusion_policy_ros.nodes.recorder_parameters import (
    PARAMETERS, pre_roll_ns, quality_limits, refusal)
from diffusion_policy_ros.nodes.recorder_report import episode_facts, namesake, RecorderReport
from diffusion_policy_ros.nodes.spinning import run
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_srvs.srv import Trigger

# A recorder that is killed loses at most what it heard in one such period.
WATCH_PERIOD_S = 0.5
# A pre-roll is written in pieces so short that what arrives meanwhile is heard.
PIECE_S = 0.002
ACTS = ('start', 'stop', 'success', 'fail', 'discard', 'discard_last', 'convert')


class Recorder(Node):
    """Records demonstrations on request."""

    def __init__(self, **node_options):
        """
        Subscribe to every topic of the contract, and begin to repair what was not closed.

        :param node_options: Options of ``rclpy.node.Node``, such as parameter overrides.
        :raises ConfigError: if no contract was given.
        :raises ContractError: if the contract is wrong.
        :raises DatasetError: if no dataset can hold what the contract says.
        """
        self._episode = None
        super().__init__('recorder', **node_options)
        self._settings = Parameters(self, PARAMETERS, check=refusal)
        if reason := refusal(self._settings.values()):
            raise ConfigError(reason)
        self._contract = load_contract(self._settings['contract'])
        check_storable(self._contract)
        prepare()
        self._last, self._number, self._since_ns = None, None, 0
        self._repaired, self._broken = 0, []
        self._conversion = RecorderConversion(self._contract, self._settings,
                                              self._named('status'))
        self._pre_roll = PreRoll()
        self._streams = recorded_streams(self, self._contract, self._on_message)
        self._report = RecorderReport(self, self._facts)
        for name in ACTS:
            self._offer(name, getattr(self, name))
        self._repair = RepairWorker(self._settings['output'])
        self._buttons = JoyButtons(self, self._settings, self._on_button)
        # Streams and conversions are watched also while the ROS clock stands still.
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH_PERIOD_S, self._on_watch, clock=self._steady)
        self._pieces = self.create_timer(PIECE_S, self._on_piece, clock=self._steady)
        self._report.note(
            f'up for {self._contract.robot}: {len(self._streams)} topics, '
            f'{self._contract.rate_hz:g} rows per second, bags go to '
            f'{os.path.abspath(self._settings["output"])}; {self._named("start")} begins an '
            'episode')

    @property
    def is_recording(self):
        """Tell whether an episode is being recorded."""
        return self._episode is not None

    def start(self):
        """
        Begin an episode, unless a stream is missing, silent or not what the contract says.

        :return: ``Answer``.
        :raises BagError: if the bag cannot be created.
        :raises OSError: if the output folder cannot be read.
        """
        if self.is_recording:
            return refused(f'episode {self._number} is being recorded; stop or discard it first')
        obstacles = self._obstacles()
        if obstacles:
            return refused('; '.join(obstacles))
        self._episode = Episode(self._contract, self._streams, self._settings, self._now_ns(),
                                self._pre_roll)
        self._last, self._number = self._episode.bag.path, self._episode.number
        self._since_ns, self._broken = self._episode.begin_ns, []
        self._pieces.reset()
        # What the answer says is not logged again when the streams are looked at next.
        self._report.know(self._recording(), [
            text for text in self._episode.present(self._now_ns()) if text.startswith('publish')])
        notes = self._episode.notes + doubts(self._streams)
        return Answer(True, '; '.join([self._recording(), *notes]),
                      DiagnosticStatus.WARN if notes else DiagnosticStatus.OK)

    def stop(self):
        """End the episode and keep it, without a word on how it went."""
        return self._end('')

    def success(self):
        """End the episode as ``stop`` does, and keep it as a success."""
        return self._end('success')

    def fail(self):
        """End the episode as ``stop`` does, and keep it as a failure."""
        return self._end('failure')

    def discard(self):
        """End the episode and move it to the folder ``discarded``."""
        if not self.is_recording:
            return self._idle('to take back the last finished episode, call '
                              + self._named('discard_last'))
        return self._take_episode().discard(self._since_ns)

    def discard_last(self):
        """Move the episode that was recorded last to ``discarded``, if it is finished."""
        if self.is_recording:
            return refused(f'episode {self._number} is being recorded; stop or discard it first')
        return take_back(self._last, self._settings['output'], self._conversion.is_running)

    def convert(self):
        """Begin to build the dataset from the finished bags; ~/status tells how it ended."""
        return self._conversion.begin(not self._repair.is_done)

    def destroy_node(self):
        """Close the bag, so that what was recorded can be read, then the node."""
        if self.is_recording:
            self._attempt(self.stop)
        super().destroy_node()

    def _end(self, outcome):
        """Close the bag, and set it aside for alarms that nobody wants in the data."""
        if not self.is_recording:
            return self._idle(f'call {self._named("start")} first')
        return self._take_episode().close(self._since_ns, outcome)

    def _obstacles(self):
        """Say why no episode can begin now, one sentence each."""
        return obstacles_to_start(self._streams, self._settings['output'], self._now_ns())

    def _idle(self, remedy):
        """Refuse to end what does not go on, with why it does not where it broke off."""
        return refused('; '.join([*self._broken, 'nothing is being recorded', remedy]))

    def _take_episode(self):
        """Return the episode, which ends now."""
        episode, self._episode = self._episode, None
        self._since_ns = self._now_ns()
        return episode

    def _recording(self):
        """Say what is being recorded."""
        return f'recording episode {self._number} to {self._episode.bag.path}'

    def _now_ns(self):
        """Return the ROS time, ns."""
        return self.get_clock().now().nanoseconds

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

    def _on_button(self, name):
        """Do what a button of the joystick stands for."""
        verb = name.removeprefix('joy_')
        if verb == 'start_stop':
            verb = 'stop' if self.is_recording else 'start'
        self._attempt(getattr(self, verb))

    def _attempt(self, act):
        """Do what returns an ``Answer``, or answer with what is wrong; tell and log it."""
        try:
            answer = act()
        except (DiffusionPolicyError, OSError) as error:
            answer = Answer(False, f'{act.__name__} failed: {error}', DiagnosticStatus.ERROR)
        self._report.note(answer.message, answer.level, is_kept=not answer.is_refusal)
        return answer.success, answer.message

    def _on_message(self, stream, data, receive_ns):
        """Write an arrived message, or keep it for an episode that may begin soon."""
        if receive_ns < self._since_ns <= self._now_ns():
            return  # it has waited since before the start or the end of an episode
        if self.is_recording:
            self._write(self._episode.write, stream, data, receive_ns)
        elif receive_ns:
            self._pre_roll.add(stream, data, receive_ns, keep_ns=pre_roll_ns(self._settings),
                               max_bytes=self._settings['pre_roll_mb'] * 1_000_000)

    def _on_piece(self):
        """Write a piece of the pre-roll between what arrives."""
        if self.is_recording and self._episode.waiting_count:
            self._write(self._episode.catch_up, PIECE_S)
        else:
            self._pieces.cancel()

    def _write(self, act, *arguments):
        """Let the episode do something with its bag; break it off where that takes no more."""
        try:
            act(*arguments)
        except (DiffusionPolicyError, OSError) as error:
            self._episode.break_off(self._now_ns(), error)
            self._break_off()

    def _break_off(self):
        """End the episode without having been asked; who asks for it later is told."""
        self._broken = [self._attempt(self.stop)[1]]

    def _on_watch(self):
        """Follow the publishers, the bag, the workers and the streams' health."""
        for stream in self._streams:
            # Subscribing anew may miss messages; while recording, only for those not heard.
            if not self.is_recording or stream.is_deaf():
                stream.adapt()
            if not self.is_recording:  # an episode keeps the limits of its start
                stream.quality.limits = quality_limits(self._settings)
        problems = {stream: stream.problem() for stream in self._streams}
        self._tell_ends()
        if self.is_recording:
            self._watch_episode(problems)
        elif self._report.is_quiet:
            self._report.tell_readiness(self._obstacles(), doubts(self._streams),
                                        self._named('start'))
        self._report.diagnose(problems, DiagnosticStatus.ERROR if self.is_recording
                              else DiagnosticStatus.WARN, self._now_ns())

    def _tell_ends(self):
        """Tell what the workers have done: repairs since the node started, a conversion."""
        repaired = self._repair.sentences[self._repaired:]
        self._repaired += len(repaired)
        for sentence in repaired:
            self._report.note(sentence, DiagnosticStatus.WARN)
        if end := self._conversion.take_end():
            self._report.note(*end)

    def _watch_episode(self, problems):
        """Bring to disk what was heard, and tell what is not heard, or not well."""
        if self._episode.bag.is_gone():
            self._break_off()
            return
        self._write(self._episode.watch, self._now_ns())
        if not self.is_recording:
            return
        silent = [stream for stream, problem in problems.items() if problem]
        problems = [*filter(None, [namesake(self), *problems.values()]),
                    *self._episode.present(self._now_ns(), but_for=silent)]
        self._report.tell_recording(self._recording(), problems)

    def _facts(self):
        """Return what the status holds beside its sentence."""
        return {**episode_facts(self._episode, self._number),
                'converting': str(self._conversion.is_running).lower(),
                'repaired': '; '.join(self._repair.sentences)}


def main(args=None):
    """Run the node until SIGINT, SIGTERM or SIGHUP."""
    return run(Recorder, args)


if __name__ == '__main__':
    raise SystemExit(main())
