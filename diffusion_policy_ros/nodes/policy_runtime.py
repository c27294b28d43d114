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

from diffusion_policy_ros.dds_profile import transport_warning
from diffusion_policy_ros.errors import DiffusionPolicyError
from diffusion_policy_ros.nodes import policy_parameters as chosen
from diffusion_policy_ros.nodes import qos, reasons
from diffusion_policy_ros.nodes.inference_worker import InferenceWorker
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.plan_loop import PlanLoop
from diffusion_policy_ros.nodes.topic_watch import TopicWatch
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.utilities import get_rmw_implementation_identifier

# Python lets a thread keep the interpreter for 5 ms by default, a seventh of a 30 Hz period.
SWITCH_INTERVAL_S = 0.0005


class PolicyRuntime:
    """Everything that exists while the policy server is configured."""

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
        self._loop = self._seen_ns = None
        self._subscriptions = []
        try:
            self._connect(self._load())
        except Exception:
            self.close()
            raise

    def _load(self):
        """Load and check, which is the slow part; return what a plan takes, ms."""
        values, log = self._parameters.values(), self._node.get_logger()
        model = values['model']
        self.config, trained = self._worker.load(model, values['device'], values['num_threads'])
        self.contract = chosen.choose_contract(values['contract'], trained, model)
        self._check(values)
        plan_ms = self._worker.warm_up(self.contract, chosen.plan_settings(values))
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        rate_hz = chosen.choose_command_rate(values['command_rate_hz'], self.contract)
        log.info(f'{model}: one plan takes {plan_ms:.0f} ms, commands at {rate_hz:g} Hz')
        return plan_ms

    def _connect(self, plan_ms):
        """Create what belongs to the contract's topics."""
        self._loop = PlanLoop(self._node, self._worker, self.contract, self.config,
                              settings=self._parameters, status=self._status, plan_ms=plan_ms)
        self._topics = TopicWatch(self._node, self.contract)
        # Two streams may be parts of one topic, which is subscribed to once.
        for stream in {s.topic: s for s in self.contract.policy_observations}.values():
            self._subscribe(stream)

    def check(self, values) -> str:
        """
        Say why parameters cannot be used with the loaded policy.

        :param values: All parameters by name.
        :return: The reason, empty when they can.
        """
        try:
            self._check(values)
        except DiffusionPolicyError as error:
            return str(error)
        return ''

    def _check(self, values):
        """Refuse parameters that cannot be used with the loaded policy."""
        chosen.choose_command_rate(values['command_rate_hz'], self.contract)
        chosen.choose_replan(values, self.config)
        chosen.check_confidence(values)
        self._worker.check(chosen.plan_settings(values))

    @property
    def loop(self) -> PlanLoop:
        """Return the loop that plans and commands."""
        return self._loop

    def start(self):
        """Begin to plan and to command."""
        self._loop.start()

    def stop(self):
        """Stop commanding; nothing is published after this."""
        self._loop.stop()

    def close(self):
        """Let go of topics, thread and policy."""
        if self._loop is not None:
            self._loop.stop()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._worker.close()
        if self._loop is not None:
            self._loop.close()

    def reset(self):
        """Drop plan and history, and start the noise again from its seed."""
        self._loop.reset()

    def watch_clock(self):
        """Say so when the time is that of the last look; then nothing else here happens."""
        before_ns, self._seen_ns = self._seen_ns, self._node.get_clock().now().nanoseconds
        if self._loop.is_running and self._seen_ns == before_ns:
            self._status.block('clock', reasons.CLOCK_STANDS)
            self._loop.builder.clear()  # messages of one and the same time never grow old

    def facts(self) -> dict:
        """Return the sections of the diagnostics: name to facts."""
        facts = self._loop.facts()
        inputs = self._loop.telemetry.input_facts(time.monotonic())
        about = {'model': self._parameters['model'], 'device': self._worker.device,
                 'weights SHA-256': self._worker.digest[:16]}
        return {'commands': facts['commands'],
                'inputs': {**inputs, 'topics': self._topics.look()},
                'inference': {**facts['inference'], **about}}

    def _subscribe(self, stream):
        """Subscribe to a stream; its quality of service may be overridden by parameters."""
        self._subscriptions.append(self._node.create_subscription(
            MESSAGE_CLASSES[stream.type], stream.topic,
            lambda message: self._receive(stream, message), qos.for_stream(stream),
            qos_overriding_options=QoSOverridingOptions.with_default_policies()))

    def _receive(self, stream, message):
        """Keep a message; before the start none will be looked at."""
        meter = self._loop.telemetry.inputs[stream.topic]
        if stream.is_image and not meter.count:
            warning = transport_warning(len(message.data), get_rmw_implementation_identifier())
            if warning:
                self._node.get_logger().warning(warning)
        meter.add(time.monotonic())
        if self._loop.is_running:
            self._loop.builder.push(stream.topic, message,
                                    self._node.get_clock().now().nanoseconds)
