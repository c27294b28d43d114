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

import gc
from threading import Thread
import time

from diffusion_policy_ros.dds_profile import transport_warning
from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.nodes import qos, reasons
from diffusion_policy_ros.nodes.message_classes import MESSAGE_CLASSES
from diffusion_policy_ros.nodes.plan_loop import PlanLoop
from diffusion_policy_ros.nodes.ready_policy import prepare_policy
from diffusion_policy_ros.nodes.topic_watch import TopicWatch
from diffusion_policy_ros.real_time import switch_quickly
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.task import Future
from rclpy.utilities import get_rmw_implementation_identifier

LOOK_JITTER_S = 0.05


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
        self._loop = self._seen_ns = self._seen_s = None
        self._subscriptions = []
        self._is_active = self._is_closed = False
        self._loading = None  # the model that is being loaded beside the one that is served
        self._policy = prepare_policy(parameters.values())
        try:
            self._connect()
        except Exception:
            self.close()
            raise

    def _connect(self):
        """Create what belongs to the contract's topics."""
        self._loop = PlanLoop(self._node, self._policy, settings=self._parameters,
                              status=self._status)
        self._settle()
        contract = self._policy.contract
        self._topics = TopicWatch(self._node, contract)
        # Two streams may be parts of one topic, which is subscribed to once.
        for stream in {s.topic: s for s in contract.policy_observations}.values():
            self._subscribe(stream)

    def _settle(self):
        """Make the interpreter's pauses short, and tell people what is served from now on."""
        switch_quickly()
        # What lives now lives long: the collector need not walk through all of torch again
        # while it holds up the thread that publishes commands.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        work = ', '.join(map(' '.join, self._policy.work_facts().items()))
        self._node.get_logger().info(f'{self._policy.model}: one plan takes '
                                     f'{self._policy.plan_ms:.0f} ms ({work})')
        self._status.about(self._policy.facts())

    def check(self, values) -> str:
        """
        Say why parameters cannot be used with the loaded policy.

        :param values: All parameters by name.
        :return: The reason, empty when they can.
        """
        try:
            self._policy.check(values)
        except DiffusionPolicyError as error:
            return str(error)
        return ''

    @property
    def loop(self) -> PlanLoop:
        """Return the loop that plans and commands."""
        return self._loop

    def start(self):
        """Begin to plan and to command, when no policy is being swapped."""
        self._is_active = True
        if self._loading is not None:
            self._status.block('swap', f'swapping the model: {self._loading} is being loaded')
        else:
            self._loop.start()
        self._status.clear('lifecycle')

    def stop(self):
        """Stop commanding; nothing is published after this."""
        self._is_active = False
        self._loop.stop()

    async def swap_model(self) -> str:
        """
        Serve the policy that the parameter ``model`` names; the robot holds until it is ready.

        :return: The model that is served from now on.
        :raises DiffusionPolicyError: why the policy of before goes on.
        """
        if self._loading is not None:
            raise ConfigError(f'{self._loading} is still being loaded; ask again when it is done')
        self._loading = self._parameters['model']
        self._loop.stop()
        try:
            if self._is_active:
                self.start()  # tells why nothing is commanded
            self._exchange(await self._prepare())
        finally:
            self._loading = None
            if self._is_active:
                self._loop.start()
            self._status.clear('swap')
        return self._policy.model

    async def _prepare(self):
        """Load the policy that the parameters name in a thread; the executor goes on meanwhile."""
        values, served = self._parameters.values(), self._policy.contract
        executor, answer = self._node.executor, Future(executor=self._node.executor)

        def load():
            try:
                answer.set_result(prepare_policy(values, served=served))
            except Exception as error:
                answer.set_result(error)
            executor.wake()

        # No daemon: a process that ended while torch loads would crash.
        Thread(target=load, name='swap_model').start()
        policy = await answer
        if isinstance(policy, Exception):
            raise policy
        return policy

    def _exchange(self, policy):
        """Serve another policy, unless something has changed while it was loaded."""
        try:
            if self._is_closed:
                raise ConfigError('the node was cleaned up meanwhile')
            policy.check(self._parameters.values())
        except DiffusionPolicyError:
            policy.worker.close()
            raise
        before, self._policy = self._policy, policy
        before.worker.close()
        self._loop.serve(policy)
        self._settle()

    def close(self):
        """Let go of topics, thread and policy."""
        self._is_closed, self._is_active = True, False
        if self._loop is not None:
            self._loop.stop()
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._policy.worker.close()
        if self._loop is not None:
            self._loop.close()
        gc.unfreeze()
        gc.collect()
        self._status.about({})

    def reset(self):
        """Drop plan and history, and start the noise again from its seed."""
        self._loop.reset()

    def watch_clock(self):
        """Say so when the time has been the same for too long; nothing else happens then."""
        now_ns, now_s = self._node.get_clock().now().nanoseconds, time.monotonic()
        if now_ns != self._seen_ns:
            self._seen_ns, self._seen_s = now_ns, now_s
        timeout_s = self._parameters['clock_timeout_s']
        # Looked at again and again, and seldom at equal distances.
        stands = timeout_s and now_s - self._seen_s > timeout_s - LOOK_JITTER_S
        if self._loop.is_running and stands:
            self._status.block('clock', reasons.CLOCK_STANDS)
            self._loop.builder.clear()  # messages of one and the same time never grow old

    def facts(self) -> dict:
        """Return the sections of the diagnostics: name to facts."""
        facts = self._loop.facts()
        inputs = self._loop.telemetry.input_facts(time.monotonic())
        about = {**self._policy.facts(), **self._policy.work_facts()}
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
