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

"""How a node begins and ends: signals at any time, and arguments that ROS refuses."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

pytest.importorskip('rclpy')

DOMAIN_ID = 86
ROOT = Path(__file__).parents[2]
PROGRAM = """
import signal, sys, time
from diffusion_policy_ros.nodes import spinning
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

class Subject(Node):
    def __init__(self):
        super().__init__('subject')
        self.create_timer(0.01, self.on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def on_timer(self):
        {callback}

    def destroy_node(self):
        {ending}
        super().destroy_node()
        print('destroyed')

{before}
code = spinning.run(Subject)
{after}
sys.exit(code)
"""
EVERY_SIGNAL = '[signal.raise_signal(number) for number in spinning.SIGNALS * 2]'


def _environment(domain=DOMAIN_ID):
    """Return the environment of a process with this package on a domain."""
    return {**os.environ, 'ROS_DOMAIN_ID': str(domain), 'PYTHONPATH': os.pathsep.join(
        [str(ROOT), os.environ.get('PYTHONPATH', '')])}


def _end(callback, ending='pass', before='', after='', arguments=(), domain=DOMAIN_ID):
    """Run a node whose timer calls back; return (exit code, lines printed, errors)."""
    program = PROGRAM.format(callback=callback, ending=ending, before=before, after=after)
    done = subprocess.run([sys.executable, '-c', program, *arguments], env=_environment(domain),
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.split('\n')[:-1], done.stderr


@pytest.mark.parametrize('name', ['SIGINT', 'SIGTERM', 'SIGHUP'])
def test_a_signal_ends_the_node_cleanly(name):
    assert _end(f'signal.raise_signal(signal.{name})') == (0, ['destroyed'], '')


def test_a_simulation_that_breaks_ends_its_node_with_the_exit_code_of_a_failure():
    code, lines, errors = _end(
        'self.stepper = SimStepper(self, 1, lambda *_: 1 / 0, remedy=""); self.stepper.start(); '
        'self.on_timer = lambda: None; time.sleep(0.1)',
        before='from diffusion_policy_ros.nodes.sim_stepper import SimStepper')
    assert (code, lines) == (1, ['destroyed'])
    assert 'the simulation broke: ZeroDivisionError' in errors and 'Traceback' not in errors


def test_signals_interrupt_neither_a_callback_nor_the_end_nor_the_exit():
    assert _end(f'{EVERY_SIGNAL}; print("called back")', ending=f'{EVERY_SIGNAL}; print("closed")',
                after=EVERY_SIGNAL) == (0, ['called back', 'closed', 'destroyed'], '')


def test_output_that_nobody_reads_holds_no_node_up(tmp_path):
    done = tmp_path / 'done'
    program = PROGRAM.format(
        callback='[self.get_logger().error("x" * 1000) for _ in range(1000)]; '
                 'signal.raise_signal(signal.SIGINT)',
        ending=f'open({str(done)!r}, "w").close()', before='', after='')
    node = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=_environment())
    try:
        assert node.wait(timeout=60) == 0 and done.exists()
    finally:
        node.kill()
        node.communicate()


def test_a_time_below_0_on_the_clock_ends_no_node():
    code, lines, errors = _end(
        'self.clock.publish(self.negative); self.count += 1; '
        'self.count > 20 and signal.raise_signal(signal.SIGINT)',
        before='from rosgraph_msgs.msg import Clock as Time\n'
               'Subject.count = 0\n'
               'Subject.negative = Time()\n'
               'Subject.negative.clock.sec = -5\n'
               'Subject.clock = property(lambda self: self.create_publisher(Time, "/clock", 1))',
        arguments=['--ros-args', '-p', 'use_sim_time:=true'])
    assert (code, lines) == (0, ['destroyed'])
    assert 'a message was dropped' in errors and 'Traceback' not in errors


def test_a_late_signal_interrupts_a_callback_that_hangs_but_not_the_end():
    code, lines, errors = _end(
        f'signal.raise_signal(signal.SIGINT); time.sleep(0.1); {EVERY_SIGNAL}; print("late")',
        ending=EVERY_SIGNAL, before='spinning.PATIENCE_S = 0.05')
    assert (code, lines) == (1, ['destroyed'])
    assert errors == 'interrupted a callback that did not end\n'


def test_a_node_under_nohup_survives_the_end_of_its_terminal():
    assert _end('signal.raise_signal(signal.SIGHUP); print("alive"); '
                'signal.raise_signal(signal.SIGTERM)',
                before='signal.signal(signal.SIGHUP, signal.SIG_IGN)') == (
        0, ['alive', 'destroyed'], '')


@pytest.mark.parametrize('arguments, named', [
    (['-p', 'device:='], "'-p device:='"), (['--params-file', '/absent.yaml'], '/absent.yaml'),
    (['-r', '__ns:=bad ns!'], "'-r __ns:=bad ns!'"), (['--wrong'], '--wrong')])
def test_arguments_that_ros_refuses_are_named_in_one_sentence(arguments, named):
    code, lines, errors = _end('pass', arguments=['--ros-args', *arguments])
    sentence = errors.split('\n')[-2]
    assert (code, lines) == (1, []) and 'Traceback' not in errors
    assert sentence.startswith('cannot start: ') and named in sentence
    assert 'correct what follows --ros-args' in sentence and '.c:' not in sentence


@pytest.mark.parametrize('argument', ['-h', '--help'])
def test_help_is_given_without_a_node(argument):
    code, lines, errors = _end('pass', arguments=[argument])
    assert (code, errors) == (0, '') and lines[0].startswith('usage: -c --ros-args')
    assert 'config/' in lines[1]


@pytest.mark.parametrize('argument', ['--helping', 'my_arm.yaml'])
def test_arguments_for_nobody_are_answered_with_the_usage(argument):
    code, lines, errors = _end('pass', arguments=[argument])
    assert (code, lines) == (1, [])
    assert errors.startswith('cannot start: usage: -c --ros-args')
    assert f'got: {argument}.' in errors


def test_a_domain_that_is_no_number_is_named_in_one_sentence():
    code, _, errors = _end('pass', domain='mine')
    assert code == 1 and 'Traceback' not in errors
    assert 'cannot start: ROS refuses: ' in errors
    assert 'ROS_DOMAIN_ID is not an integral number; correct' in errors


ASKING = """
make = Subject.__init__
def make_asking(self):
    make(self)
    self.declare_parameter('executor', '{}')
Subject.__init__ = make_asking
"""


@pytest.mark.parametrize('asked, name', [
    ('single', 'SingleThreadedExecutor'), ('events', 'EventsExecutor')])
def test_a_node_is_spun_by_the_executor_that_it_asks_for(asked, name):
    if asked == 'events':
        pytest.importorskip('rclpy.experimental')
    tell = 'print(type(self.executor).__name__, flush=True); signal.raise_signal(signal.SIGTERM)'
    code, lines, _ = _end(tell, before=ASKING.format(asked))
    assert code == 0 and {*lines} == {name, 'destroyed'}


def test_an_executor_that_this_distribution_lacks_is_refused_with_the_remedy():
    code, lines, errors = _end('pass', before=ASKING.format('events')
                               + "sys.modules['rclpy.experimental'] = None")
    assert code == 1 and lines == ['destroyed']
    assert "executor is 'events'" in errors and 'set it to single' in errors
