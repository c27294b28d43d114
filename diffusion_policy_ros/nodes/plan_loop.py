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
"""The loop of a running policy: look at ticks, ask for plans, send what is due."""

import time

from diffusion_policy_ros.control.confidence import ConfidenceGate
from diffusion_policy_ros.control.delay import expected_rows
from diffusion_policy_ros.control.plan_seeds import PlanSeeds
from diffusion_policy_ros.control.scheduler import RecedingHorizon
from diffusion_policy_ros.control.telemetry import Telemetry
from diffusion_policy_ros.control.timetable import CommandGrid
from diffusion_policy_ros.nodes import policy_parameters as chosen, reasons
from diffusion_policy_ros.nodes.command_publisher import CommandPublisher
from diffusion_policy_ros.nodes.controller_check import ControllerCheck
from diffusion_policy_ros.nodes.left_work import LeftWork
from diffusion_policy_ros.nodes.pacer import Pacer
from diffusion_policy_ros.nodes.plan_views import PlanViews
from diffusion_policy_ros.nodes.told_errors import ToldErrors
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.serving.plan_follower import PlanFollower
from diffusion_policy_ros.serving.plan_request import PlanRequest


class PlanLoop:
    """
    Commands one robot with one policy.

    Three threads meet here: the executor's looks at ticks and shows plans, the worker's samples,
    the pacer's publishes commands. What they share has its own locks.

    :ivar worker: ``InferenceWorker`` that plans.
    :ivar builder: ``WindowBuilder``, to which messages are pushed.
    :ivar telemetry: ``Telemetry`` since the last start.
    """

    def __init__(self, node, policy, *, settings, status):
        """
        Create what belongs to the contract's topics; ``start`` begins.

        :param node: The lifecycle node.
        :param policy: ``ReadyPolicy``.
        :param settings: The node's ``Parameters``.
        :param status: Its ``StatusReporter``.
        """
        self._node, self._contract = node, policy.contract
        self._settings, self._status = settings, status
        # First, because a prefix may be no name, and what was made before would stay.
        self._commands = CommandPublisher(node, self._contract,
                                          prefix=settings['command_prefix'])
        self.telemetry = self._new_telemetry()
        self._seeds, self._errors = PlanSeeds(), ToldErrors(node)
        self._pacer = self._seen_tick_ns = None
        self._left = LeftWork(node, self._do_left)  # the pacer must not wait for pictures
        self._grid, self._gate = CommandGrid(self._contract), ConfidenceGate()
        self._controllers = ControllerCheck(node, self._contract)
        self._views = PlanViews(node, self._contract, tip_link=settings['tip_link'])
        self.serve(policy)

    def serve(self, policy):
        """
        Take over a policy; not while running.

        :param policy: ``ReadyPolicy`` under the contract of the one before.
        """
        self.worker, self._config = policy.worker, policy.config
        values, contract = self._settings.values(), policy.contract
        self._horizon = RecedingHorizon(
            contract, chosen.choose_replan(values, policy.config), chosen.choose_join(values),
            expected_delay_rows=expected_rows(
                contract, policy.plan_ms + values['inference_delay_ms']),
            first_epoch=time.time_ns())  # recorded beside those of the model before
        self.builder = WindowBuilder(contract, policy.config.n_obs_steps)
        self._plans = PlanFollower(self._horizon, contract.rate_hz)
        self._views.about = {**policy.worker.facts, 'topics': self._commands.topics}

    @property
    def is_running(self) -> bool:
        """Tell whether it has been started."""
        return self._pacer is not None

    @property
    def next_ns(self) -> int:
        """Return when there is something to do while it runs, ns; 0 for now or not known yet."""
        is_busy = self._left.has_tick or self.worker.busy
        return 0 if is_busy else self._pacer.next_ns

    def start(self):
        """Begin to plan and to command."""
        self.telemetry = self._new_telemetry()
        self._status.clear('inference')  # of a plan that failed after the last stop
        self.reset()
        self._pacer = Pacer(
            self._node.get_clock(), lambda ns: self._grid.first(self._wanted_rate_hz(), ns),
            on_command=self._command,
            on_tick=self._left.tick, on_clock_back=self._clock_went_back, on_error=self._failed)
        self._pacer.start()

    def stop(self):
        """Stop commanding; nothing is published after this."""
        if self._pacer is not None:
            self._pacer.stop()
            self._horizon.reset()
            self._pacer = None
            self._do_left()
            self._plans.drop()
            self._views.clear('stopped')

    def close(self):
        """Stop, and let go of the topics."""
        self.stop()
        self._controllers.destroy()
        self._views.destroy()
        self._commands.destroy()

    def reset(self):
        """Drop plan and history, and start the noise again from its seed."""
        self.builder.clear()
        self._left.forget_tick()
        self._seeds.start_over(self._settings['seed'])
        self._grid.forget()
        self._gate.start_over()
        self._drop_plan()

    def facts(self) -> dict:
        """Return what is known of commands and plans: section to facts."""
        now_s = time.monotonic()
        commands = self.telemetry.command_facts(now_s)
        commands['slots skipped'] = str(self._pacer.skipped_commands if self._pacer else 0)
        return {'commands': {**commands, **self._horizon.facts(), **self._controllers.facts()},
                'inference': self.telemetry.plan_facts(now_s)}

    def _new_telemetry(self):
        """Begin to measure."""
        return Telemetry([stream.topic for stream in self._contract.policy_observations])

    def _drop_plan(self, source='start', reason=reasons.SHORTAGES['start']):
        """Command nothing until a plan has been made from what is seen from now on."""
        self._horizon.reset()
        self._plans.drop()
        self._status.block(source, reason)
        self._left.gone(reason)

    def _wanted_rate_hz(self):
        """Return the commands per second that the parameters ask for now."""
        return chosen.choose_command_rate(self._settings['command_rate_hz'], self._contract)

    def _do_left(self):
        """Do what the other threads left to the executor's."""
        gone, tick_ns = self._left.take()
        if gone:
            self._views.clear(gone)
        for following in self._plans.unshown():
            latency = following.plan.latency(following.sent_s)
            self.telemetry.answered(latency, following.sent_s)
            self._views.show(following, latency, self._status.reason)
        if tick_ns is not None and self.is_running:
            self._look(tick_ns)

    def _look(self, tick_ns):
        """Look at the robot at a tick; ask for a plan when it is time."""
        epoch, started_s = self._horizon.epoch, time.monotonic()
        self._status.clear('clock')  # it runs, or there would be no tick
        if objection := self._controllers.look():
            self._lost('controller', objection)
            return
        self._status.clear('controller')
        try:
            window, samples = self.builder.look(tick_ns)
        except Exception as error:
            self._lost('observation', self._errors.words(error))
            return
        self._status.clear('observation')
        self._seen_tick_ns = tick_ns
        self._horizon.observed(tick_ns)
        ages_ns = {stream.topic: sample.age_ns for stream, sample in samples[-1].items()}
        self.telemetry.saw_ages(ages_ns)
        self._views.saw(window, ages_ns, tick_ns)
        moved, timetable = self._grid.adapt(
            self._wanted_rate_hz(), tick_ns, ages_ns, self._now_ns())
        if timetable is not None:
            self._pacer.replace(timetable)
        if not moved:
            try:
                self._ask(window, samples, tick_ns, epoch, started_s)
            except Exception as error:  # such as that of a thread that takes nothing more
                self._drop_plan('inference', self._errors.words(error, 'cannot ask for a plan: '))

    def _lost(self, source, reason):
        """Stop commanding because the robot cannot be observed or must not be commanded."""
        self._grid.forget()
        self._drop_plan(source, reason)

    def _ask(self, window, samples, tick_ns, epoch, started_s):
        """Ask for a plan when it is time."""
        values = self._settings.values()
        self._horizon.replan = chosen.choose_replan(values, self._config)
        is_busy = self.worker.busy or self._plans.is_holding_back
        if is_busy or not self._horizon.wants_plan(tick_ns):
            return
        now_s = time.monotonic()
        self.worker.submit(PlanRequest(
            window, samples, tick_ns, epoch,
            self._horizon.promise(tick_ns, self._config.horizon, self._config.n_obs_steps - 1),
            self._seeds.next(is_shared=values['join'] == 'shared_noise'),
            chosen.plan_settings(values), asked_s=now_s, decode_s=now_s - started_s,
            looked_ns=self._now_ns()), self._planned, self._go_on)

    def _planned(self, plan):
        """Take a plan over, at once or when it is time; in the worker's thread."""
        if not self._plans.holds_back(plan, self._now_ns(), self._settings['inference_delay_ms']):
            self._take_over(plan)

    def _go_on(self):
        """Start from the same observation again where plans never pause; in that thread too."""
        is_held = self._status.blocked_by(*reasons.HOLDS)
        if self._horizon.replan.trigger == 'continuous' and not is_held:
            self._left.tick(self._seen_tick_ns)

    def _take_over(self, plan):
        """Follow a plan from now on, or stop commanding because there is none."""
        if plan.request.epoch != self._horizon.epoch:
            return
        try:
            if plan.error is not None:
                raise plan.error
            self._follow(plan)
        except BaseException as error:  # whatever it is: nobody else hears of it
            self._drop_plan('inference', self._errors.words(error, 'inference failed: '))

    def _follow(self, plan):
        """Follow a plan from now on, unless it is in doubt."""
        self.telemetry.planned(plan.evaluations, plan.is_complete, plan.is_late, plan.spread)
        self._views.judge(plan)
        if objection := self._gate.objection(
                reasons.doubt(plan, self._settings), self._settings['confident_plans']):
            self._drop_plan('confidence', objection)
        elif self._plans.take_over(
                plan, self._now_ns(), chosen.choose_join(self._settings.values()),
                self._grid.named()):
            self._status.clear('inference')
            self._status.clear('confidence')

    def _command(self, now_ns):
        """Publish what is due, in the pacer's thread."""
        held = self._plans.release(now_ns)
        if held is not None:
            self._take_over(held)
        with self._plans.lock:
            is_sent = self._commands.send(self._horizon, now_ns, round(1e9 / self._grid.rate_hz))
            if is_sent and self._plans.sent(now_ns):
                self._left.wake()
        if is_sent:
            self.telemetry.commands.add(time.monotonic())
            self._status.clear('command')
            self._status.clear('start')
            self._status.clear('plan')
            return
        if self._status.blocked_by(*reasons.HOLDS):
            return
        shortage = self._horizon.shortage(now_ns)
        self.telemetry.missed += shortage == 'plan'
        if shortage == 'observation':  # the rows that are due by the next look would be a jump
            self._drop_plan('observation', reasons.SHORTAGES[shortage])
        else:
            self._status.block(shortage, reasons.SHORTAGES[shortage])

    def _clock_went_back(self):
        """Forget what belongs to a time that is yet to come."""
        self.builder.clear()
        self._left.forget_tick()
        self._lost('clock', reasons.CLOCK_BACK)

    def _failed(self, error):
        """Report an error in the pacer's thread."""
        self._status.block('command', self._errors.words(error, 'cannot publish: '))

    def _now_ns(self):
        """Return the ROS time, ns."""
        return self._node.get_clock().now().nanoseconds
