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

"""Processes that live no longer than the one that started them."""

from contextlib import contextmanager
import ctypes
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

from diffusion_policy_ros.dds_profile import profile_variable
from diffusion_policy_ros.errors import DiffusionPolicyError

# How long a child may take to end after a signal, before the next, harder one.
PATIENCE_S = ((signal.SIGINT, 5.0), (signal.SIGKILL, 5.0))
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
POLL_S = 0.05
TAIL_LINES = 15
PR_SET_PDEATHSIG = 1


class Children:
    """
    Starts processes, watches them, and ends them all when its ``with`` block is left.

    Each has a log file and a process group of its own, so that Ctrl-C in a terminal reaches only
    the parent, which ends them in order. On Linux they also end when the parent is killed.
    """

    def __init__(self, log_folder, environment):
        """
        Start with no process.

        :param log_folder: Folder for the files ``<name>.log``.
        :param environment: Environment variables of the processes.
        """
        self._log_folder = Path(log_folder)
        self._environment = environment
        self._processes = {}

    def __enter__(self):
        """Return itself."""
        return self

    def __exit__(self, *_):
        """End all processes."""
        self.stop()

    def start(self, name, command, stdout=None):
        """
        Start a process.

        :param name: Name for messages and for the log file.
        :param command: Program and arguments.
        :param stdout: As of ``subprocess.Popen``; None sends it to the log.
        :return: ``subprocess.Popen``.
        """
        with open(self._log_path(name), 'wb') as log, _interruptions_wait():
            process = self._processes[name] = subprocess.Popen(
                [str(part) for part in command], env=self._environment, stdin=subprocess.DEVNULL,
                stdout=stdout or log, stderr=log, start_new_session=True,
                preexec_fn=_end_with_parent() if sys.platform == 'linux' else None)
        return process

    def check(self, allowed=()):
        """
        Make sure that all processes run.

        :param allowed: Names of those that may have ended.
        :raises DiffusionPolicyError: naming the process that ended; the message's lines after the
            first are the end of its log.
        """
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None and name not in allowed:
                raise DiffusionPolicyError(f'{name} ended unexpectedly, {_describe(code)}; its '
                                           f'last words:\n{self.tail(name)}')

    def tail(self, name) -> str:
        """
        Return the end of a log.

        :param name: Name of the process.
        """
        try:
            lines = self._log_path(name).read_text('utf-8', 'replace').splitlines()
        except OSError as error:
            return f'(its log is gone: {error})'
        return '\n'.join(lines[-TAIL_LINES:]) or '(it said nothing)'

    def stop(self):
        """End all processes, the youngest first; a signal to the parent waits meanwhile."""
        with _interruptions_wait():
            for number, patience_s in PATIENCE_S:
                running = [p for p in reversed(self._processes.values()) if p.poll() is None]
                for process in running:
                    _signal_group(process, number)
                _wait(running, patience_s)
            for process in self._processes.values():
                if process.stdout is not None:
                    process.stdout.close()

    def _log_path(self, name):
        """Return the path of a log."""
        return self._log_folder / f'{name}.log'


def node_command(module, parameters) -> list:
    """
    Return the command that runs a node of this package in the present Python.

    :param module: Name of the module in ``diffusion_policy_ros.nodes``.
    :param parameters: Parameter names to values: bool, int, float, text or path.
    """
    code = f'import sys; from diffusion_policy_ros.nodes.{module} import main; sys.exit(main())'
    command = [sys.executable, '-c', code, '--ros-args']
    for name, value in parameters.items():
        # ROS reads values as YAML, of which JSON is a part; the text "205" must stay a text.
        plain = value if isinstance(value, (bool, int, float)) else str(value)
        command += ['-p', f'{name}:={json.dumps(plain)}']
    return command


def node_environment(domain_id, profile) -> dict:
    """
    Return the environment in which nodes talk to each other on this machine only.

    :param domain_id: ROS domain.
    :param profile: Path of the Fast DDS profile that lets whole pictures through.
    """
    environment = {
        **package_environment(), 'ROS_DOMAIN_ID': str(domain_id),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', profile_variable(): str(profile)}
    if os.environ.get('ROS_DISTRO') == 'humble':  # knows only the older name; others complain
        environment['ROS_LOCALHOST_ONLY'] = '1'
    return environment


def package_environment() -> dict:
    """Return this process's environment, with this package where Python looks for it."""
    package_folder = str(Path(__file__).resolve().parents[2])
    path = [package_folder, *filter(None, [os.environ.get('PYTHONPATH')])]
    return {**os.environ, 'PYTHONPATH': os.pathsep.join(path), 'PYTHONUNBUFFERED': '1'}


@contextmanager
def _interruptions_wait():
    """
    Within it the handlers of signals wait.

    What they raise would be lost in the middle of a fork: Python drops the exceptions of the
    functions of ``os.register_at_fork``, of which logging and others have some. To block the
    signals is not enough: another thread may take one, and the main thread still handles it.
    """
    came = []
    before = {number: handler for number in INTERRUPTIONS
              if callable(handler := signal.getsignal(number))}
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came[:1]:
            signal.raise_signal(number)


def _end_with_parent():
    """Return what a new process calls so that the kernel ends it together with its parent."""
    library = ctypes.CDLL(None)
    return lambda: library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal_group(process, number):
    """Send a signal to a process and to those that it started."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass  # it has just ended by itself


def _wait(processes, limit_s):
    """Wait until all have ended, or the time is over."""
    end_s = time.monotonic() + limit_s
    while any(p.poll() is None for p in processes) and time.monotonic() < end_s:
        time.sleep(POLL_S)


def _describe(code):
    """Say how a process ended."""
    return f'killed by {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'
