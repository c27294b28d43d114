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
"""A policy that is loaded and wired to the robot's topics: from configure to cleanup."""

import sys
import time

from diffusion_policy_ros.control.scheduler import LEASE_PERIODS, RecedingHorizon
from diffusion_policy_ros.control.telemetry import Latency, Telemetry
from diffusion_policy_ros.control.timetable import anchored_origin, Timetable
from diffusion_policy_ros.dds_profile import transport_warning
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.nodes import policy_parameters, qos
from diffusion_policy_ros.nodes.command_publisher import CommandPublisher
from diffusion_policy_ros.nodes.inference_worker import InferenceWorker, PlanRequest
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.pacer import Pacer
from diffusion_policy_ros.nodes.topic_watch import TopicWatch
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.policy.action_chunk import TimedChunk
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.utilities import get_rmw_implementation_identifier

# Python lets a thread keep the interpreter for 5 ms by default, a seventh of a 30 Hz period.
SWITCH_INTERVAL_S = 0.0005
# Why nothing is commanded: what ``RecedingHorizon.shortage`` names, as people are told it.
SHORTAGES = {
    'start': 'waiting for the first plan',
    'observation': f'no tick was looked at for {LEASE_PERIODS} periods: the clock jumped ahead, '
                   'or the executor is too busy with its messages; then send fewer or smaller '
                   'pictures, or free a CPU core',
    'plan': 'no action is due: the next plan is not finished; if this goes on, lower '
            'num_inference_steps or use a faster device'}


class PolicyRuntime:
    """
    Everything that exists while the policy server is configured.

    Three threads meet here: the executor's appends messages and looks at ticks, the worker's
    samples, the pacer's publishes. What they share has its own locks.
    """

    def __init__(self, node, parameters, status):
        """
        Load the policy, warm it up, and connect the topics.

        :param node: The lifecycle node.
        :param parameters: Its ``Parameters``.
        :param status: Its ``StatusReporter``.
        :raises DiffusionPolicyError: if checkpoint, contract or parameters cannot be used.
        """
        self._node, self._parameters, self._status = node, parameters, status
        self._worker = InferenceWorker()
        self._commands = self._wake = self._pacer = self._tick_ns = self._seen_ns = None
        self._subscriptions = []
        self._anchored = False
        try:
            self._load()
            self._connect()
        except Exception:
            self.close()
            raise

    def _load(self):
        """Load and check; the slow part."""
        wanted, log = self._parameters, self._node.get_logger()
        model = wanted['model']
        self.config, trained = self._worker.load(model, wanted['device'], wanted['num_threads'])
        self.contract = policy_parameters.choose_contract(wanted['contract'], trained, model)
        self._command_rate_hz = policy_parameters.choose_command_rate(
            wanted['command_rate_hz'], self.contract)
        self._horizon = RecedingHorizon(self.contract, policy_parameters.choose_execute_horizon(
            wanted['execute_horizon'], self.config))
        plan_ms = self._worker.warm_up(self.contract, policy_parameters.sampler_changes(wanted))
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        log.info(f'{model}: one plan takes {plan_ms:.0f} ms, commands at '
                 f'{self._command_rate_hz:g} Hz')

    def _connect(self):
        """Create what belongs to the contract's topics."""
        streams = self.contract.policy_observations
        self._builder = WindowBuilder(self.contract, self.config.n_obs_steps)
        self._telemetry = self._new_telemetry()
        self._commands = CommandPublisher(self._node, self.contract, self._command_rate_hz)
        self._topics = TopicWatch(self._node, self.contract)
        self._wake = self._node.create_guard_condition(self._look)
        # Two streams may be parts of one topic, which is subscribed to once.
        for stream in {stream.topic: stream for stream in streams}.values():
            self._subscribe(stream)

    def check(self, values) -> str:
        """
        Say why parameters cannot be used with the loaded policy.

        :param values: All parameters by name.
        :return: The reason, empty when they can.
        """
        try:
            policy_parameters.choose_execute_horizon(values['execute_horizon'], self.config)
            self._worker.check(policy_parameters.sampler_changes(values))
        except DiffusionPolicyError as error:
            return str(error)
        return ''

    def start(self):
        """Begin to plan and to command."""
        self._telemetry = self._new_telemetry()
        self._status.clear('inference')  # of a plan that failed after the last stop
        self.reset()
        self._pacer = Pacer(
            self._node.get_clock(), self._timetable, on_command=self._command,
            on_tick=self._tick, on_clock_back=self._clock_went_back, on_error=self._failed)
        self._pacer.start()

    def stop(self):
        """Stop commanding; nothing is published after this."""
        if self._pacer is not None:
            self._pacer.stop()
            self._horizon.reset()
            self._pacer = self._tick_ns = None

    def close(self):
        """Let go of topics, thread and policy."""
        self.stop()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        if self._wake is not None:
            self._node.destroy_guard_condition(self._wake)
        self._worker.close()
        if self._commands is not None:
            self._commands.destroy()

    def reset(self):
        """Drop plan and history, and start the noise again from its seed."""
        self._builder.clear()
        self._worker.seed(self._parameters['seed'])
        self._drop_plan()

    def _drop_plan(self):
        """Command nothing until a plan has been made from what is seen from now on."""
        self._horizon.reset()
        self._anchored = False
        self._status.block('plan', SHORTAGES['start'])

    def watch_clock(self):
        """Say so when the time is that of the last look; then nothing else here happens."""
        before_ns, self._seen_ns = self._seen_ns, self._node.get_clock().now().nanoseconds
        if self._pacer is not None and self._seen_ns == before_ns:
            self._status.block('clock', 'the ROS clock stands still; with use_sim_time, check '
                               'that /clock is published')
            self._builder.clear()  # messages of one and the same time never grow old

    def facts(self) -> dict:
        """Return the sections of the diagnostics: name to facts."""
        now_s = time.monotonic()
        wanted = self._parameters.values()
        commands = self._telemetry.command_facts(now_s)
        commands['slots skipped'] = str(self._pacer.skipped_commands if self._pacer else 0)
        commands['rows past on arrival'] = str(self._horizon.rows_dropped)
        return {'commands': commands,
                'inputs': {**self._telemetry.input_facts(now_s), 'topics': self._topics.look()},
                'inference': {**self._telemetry.plan_facts(now_s), 'model': wanted['model'],
                              'device': self._worker.device,
                              'execute_horizon': str(self._horizon.execute_horizon)}}

    def _subscribe(self, stream):
        """Subscribe to a stream; its quality of service may be overridden by parameters."""
        self._subscriptions.append(self._node.create_subscription(
            MESSAGE_CLASSES[stream.type], stream.topic,
            lambda message: self._receive(stream, message), qos.for_stream(stream),
            qos_overriding_options=QoSOverridingOptions.with_default_policies()))

    def _receive(self, stream, message):
        """Keep a message; before the start none will be looked at."""
        meter = self._telemetry.inputs[stream.topic]
        if stream.is_image and not meter.count:
            warning = transport_warning(len(message.data), get_rmw_implementation_identifier())
            if warning:
                self._node.get_logger().warning(warning)
        meter.add(time.monotonic())
        if self._pacer is not None:
            self._builder.push(stream.topic, message, self._node.get_clock().now().nanoseconds)

    def _new_telemetry(self):
        """Begin to measure."""
        return Telemetry([stream.topic for stream in self.contract.policy_observations])

    def _timetable(self, now_ns):
        """Lay the first grid; it moves once the streams are known."""
        return Timetable(self.contract, self._command_rate_hz, origin_ns=now_ns, now_ns=now_ns)

    def _tick(self, tick_ns):
        """Pass a tick to the executor's thread; the pacer must not wait for pictures."""
        self._tick_ns = tick_ns
        self._wake.trigger()

    def _look(self):
        """Look at the robot at a tick; ask for a plan when it is time."""
        tick_ns, self._tick_ns = self._tick_ns, None
        if tick_ns is None or self._pacer is None:
            return
        epoch = self._horizon.epoch
        try:
            window, ages = self._builder.window(tick_ns)
        except Exception as error:
            self._lost(error)
            return
        self._status.clear('clock')
        self._status.clear('observation')
        self._telemetry.saw_ages(ages)
        self._horizon.observed(tick_ns)
        self._horizon.execute_horizon = policy_parameters.choose_execute_horizon(
            self._parameters['execute_horizon'], self.config)
        if not self._anchored:
            self._anchor(tick_ns, ages)
        elif self._horizon.wants_plan(tick_ns) and not self._worker.busy:
            self._worker.submit(PlanRequest(
                window, tick_ns, epoch, max(ages.values()),
                policy_parameters.sampler_changes(self._parameters)), self._planned)

    def _lost(self, error):
        """Stop commanding because the robot cannot be observed."""
        known = isinstance(error, DiffusionPolicyError)
        self._status.block('observation', str(error) if known else repr(error))
        self._drop_plan()

    def _anchor(self, tick_ns, ages):
        """Move the ticks to right after the slowest stream's samples."""
        now_ns = self._node.get_clock().now().nanoseconds
        self._pacer.replace(Timetable(
            self.contract, self._command_rate_hz, now_ns=now_ns,
            origin_ns=anchored_origin(self.contract, tick_ns, ages)))
        self._anchored = True

    def _planned(self, request, rows, started_s, finished_s, error):
        """Take over a plan, or stop commanding because there is none; in the worker's thread."""
        if request.epoch != self._horizon.epoch:
            return
        try:
            if error is not None:
                raise error
            self._take_over(request, rows, started_s, finished_s)
        except Exception as failure:
            known = isinstance(failure, DiffusionPolicyError)
            self._horizon.reset()
            self._status.block('inference', str(failure) if known else
                               f'inference failed: {failure!r}')

    def _take_over(self, request, rows, started_s, finished_s):
        """Follow a plan from now on, and show it."""
        now_ns = self._node.get_clock().now().nanoseconds
        chunk = TimedChunk(rows, request.tick_ns, self.contract.rate_hz)
        if not self._horizon.accept(chunk, request.epoch, now_ns):
            return
        self._status.clear('inference')
        sampling_ms = (finished_s - started_s) * 1e3
        latency = Latency(
            observation_age_ms=request.age_ns / 1e6, sampling_ms=sampling_ms,
            wait_ms=max((now_ns - request.tick_ns) / 1e6 - sampling_ms, 0.0))
        self._telemetry.finished_plan(latency, finished_s)
        self._commands.show_plan(chunk, latency)

    def _command(self, now_ns):
        """Publish what is due, in the pacer's thread."""
        if self._commands.send(self._horizon, now_ns):
            self._telemetry.commands.add(time.monotonic())
            self._status.clear('command')
            self._status.clear('plan')
            return
        if self._status.blocked_by('clock', 'observation', 'inference'):
            return
        shortage = self._horizon.shortage(now_ns)
        self._telemetry.missed += shortage == 'plan'
        self._status.block('observation' if shortage == 'observation' else 'plan',
                           SHORTAGES[shortage])

    def _clock_went_back(self):
        """Forget what belongs to a time that is yet to come."""
        self._status.block('clock', 'the clock jumped backwards; waiting for new observations')
        self._builder.clear()
        self._drop_plan()

    def _failed(self, error):
        """Report an error in the pacer's thread."""
        self._status.block('command', str(error) if isinstance(error, DiffusionPolicyError)
                           else f'cannot publish: {error!r}')
