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

import signal
import sys
import threading

from diffusion_policy_ros.errors import DiffusionPolicyError
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

SIGNAL_CHECK_S = 0.1


def run(node_class, args=None) -> int:
    """
    Spin a node in a single-threaded executor until SIGINT, SIGTERM or the end of its context.

    The context is still valid when ``destroy_node`` runs, so that a node can override it to send
    a last message, close files and join its threads. A second signal interrupts at once.

    :param node_class: Callable without arguments that makes the node.
    :param args: Command line arguments for ROS; None takes those of the process.
    :return: Exit code: 0 after a clean end, 1 when the node could not start.
    """
    stop = threading.Event()
    _catch_signals(stop)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = None
    try:
        node = node_class()
        _spin(node, stop)
    except (DiffusionPolicyError, ParameterException) as error:
        print(f'cannot start: {error}', file=sys.stderr)
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _catch_signals(stop):
    """Let the first SIGINT or SIGTERM ask for the end, and the second one force it."""
    def handle(number, frame):
        del number, frame
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def _spin(node, stop):
    """Run callbacks; wake up regularly, because a signal does not interrupt the wait."""
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        while not stop.is_set() and rclpy.ok():
            executor.spin_once(timeout_sec=SIGNAL_CHECK_S)
    except ExternalShutdownException:
        node.get_logger().info('the ROS context was shut down from outside')
    finally:
        executor.remove_node(node)
        executor.shutdown()
