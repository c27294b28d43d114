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

"""Run one node until a signal asks it to end, and end it cleanly."""

from pathlib import Path
import re
import signal
import sys
import time

from diffusion_policy_ros.errors import ConfigError, DiffusionPolicyError
from diffusion_policy_ros.nodes.console import Console
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SIGNAL_CHECK_S = 0.1
# A callback that has not returned so long after the first signal hangs. `ros2 launch`, which
# sends SIGTERM 5 s after SIGINT, kills at 10 s: closing a bag on a slow disk has all that time.
PATIENCE_S = 10.0
ARGUMENTS = '--ros-args [-p PARAMETER:=VALUE] [-r NAME:=OTHER] [--params-file FILE]'
HELP = ('A ROS 2 node. The files in config/ list the parameters of each, docs/parameters.md '
        'explains them.')
# What rcl's sentences hold that tells users nothing.
NOISE = re.compile(r', at \S+:\d+|\. Error: error not set')


def run(node_class, args=None) -> int:
    """
    Spin a node until a signal or the end of its context; nothing it prints can hold it up.

    :param node_class: Callable without arguments that makes the node.
    :param args: Command line arguments for ROS; None takes those of the process.
    :return: Exit code, as of ``_run``.
    """
    with Console():
        return _run(node_class, args)


def _run(node_class, args) -> int:
    """
    Spin a node in an executor of one thread until a signal or the end of its context.

    SIGINT, SIGTERM and SIGHUP all ask for the end. No signal interrupts ``destroy_node``, in
    which a node closes files, joins threads and sends a last message in a context that is still
    valid; a callback is interrupted only by a signal that comes ``PATIENCE_S`` after the first.

    :param node_class: Callable without arguments that makes the node.
    :param args: Command line arguments for ROS; None takes those of the process.
    :return: Exit code: 0 after a clean end, 1 when the node could not start, hung or broke.
    """
    if {'-h', '--help'} & set(sys.argv[1:] if args is None else args):
        print(f'{_usage()}\n{HELP}')
        return 0
    stop = _StopSignals()
    node = None
    try:
        _join_ros(args)
        node = node_class()
        _spin(node, stop)
    except (DiffusionPolicyError, ParameterException) as error:
        print(f'cannot start: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('interrupted a callback that did not end', file=sys.stderr)
        return 1
    finally:
        stop.ignore_further()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return int(getattr(node, 'is_broken', False))


def break_off(node, text):
    """
    End a node that cannot go on, from any of its threads; its exit code is 1 then.

    :param node: The node that ``run`` spins.
    :param text: What broke, for the log.
    """
    node.get_logger().fatal(text)
    node.is_broken = True
    signal.raise_signal(signal.SIGTERM)


def _usage():
    """Say how the program that runs the node is called."""
    return f'usage: {Path(sys.argv[0]).stem} {ARGUMENTS}'


class _StopSignals:
    """The first signal asks for the end; see ``_run`` for the others."""

    def __init__(self):
        """Take over the signals, but for a SIGHUP that ``nohup`` has switched off."""
        self._asked_s = None
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def is_set(self):
        """Tell whether a signal has asked for the end."""
        return self._asked_s is not None

    def ignore_further(self):
        """Let no signal interrupt what follows, up to the exit of the process."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number, frame):
        """Note when the first signal came; interrupt once, and only what hangs."""
        del number, frame
        now_s = time.monotonic()
        if self._asked_s is None:
            self._asked_s = now_s
        elif now_s - self._asked_s > PATIENCE_S:
            self._asked_s = float('inf')
            raise KeyboardInterrupt


def _join_ros(args):
    """Open the context; refuse arguments that ROS does not understand, and those for nobody."""
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # rclpy has no public type for what rcl refuses
        raise ConfigError(f'ROS refuses: {NOISE.sub("", str(error))}; correct what follows '
                          '--ros-args, or the ROS variables of the environment') from error
    wrong = remove_ros_args(sys.argv[1:] if args is None else args)
    if wrong:
        raise ConfigError(f'{_usage()}, got: {" ".join(wrong)}. The files in config/ list the '
                          'parameters of each node')


def _spin(node, stop):
    """Run callbacks; wake up regularly, because a signal does not interrupt the wait."""
    executor = _executor_for(node)
    executor.add_node(node)
    try:
        while not stop.is_set() and rclpy.ok():
            spin_once(executor, node)
    except ExternalShutdownException:
        node.get_logger().info('the ROS context was shut down from outside')
    finally:
        executor.remove_node(node)
        executor.shutdown()


def _executor_for(node):
    """Return the executor that the parameter ``executor`` names, where the node has it."""
    if not node.has_parameter('executor') or node.get_parameter('executor').value == 'single':
        return SingleThreadedExecutor()
    try:
        from rclpy.experimental import EventsExecutor
    except ImportError as error:
        raise ConfigError("executor is 'events', which the rclpy of this ROS distribution does "
                          'not have; set it to single') from error
    return EventsExecutor()


def spin_once(executor, node):
    """
    Wait a moment for something to do, and do it.

    :param executor: The executor.
    :param node: The node that logs a time that cannot be.
    """
    try:
        executor.spin_once(timeout_sec=SIGNAL_CHECK_S)
    except ValueError as error:
        if 'must not be negative' not in str(error):
            raise
        # What rclpy makes of a time below 0 on /clock.
        node.get_logger().error(f'a message was dropped: {error}', throttle_duration_sec=1.0)
