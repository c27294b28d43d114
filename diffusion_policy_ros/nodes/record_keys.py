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
The program ``record_keys``: a recorder's services under the keys of a terminal.

It shows the recorder's status live, and what came of each key.
"""

import os
import select
import signal
import sys
import termios
import time
import tty

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.nodes import qos
from diffusion_policy_ros.nodes.recorder_client import RecorderClient
from diffusion_policy_ros.nodes.spinning import run
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

LOOK_PERIOD_S = 0.05
# A recorder that records says so twice a second.
SILENT_S = 3.0
KEYS = {'s': 'success', 'f': 'fail', 'd': 'discard', 'x': 'discard_last'}
HELP = ('space: start, or stop   s: stop, a success   f: stop, a failure   d: discard this one   '
        'x: discard the last one   q: quit')
DEFAULT_COLUMNS = 80


class RecordKeys(Node):
    """Reads keys, asks the recorder of its namespace, and shows what it says."""

    def __init__(self, **node_options):
        """
        Take over the terminal.

        :param node_options: Options of ``rclpy.node.Node``.
        :raises ConfigError: if standard input is no terminal.
        """
        self._terminal = None
        if not sys.stdin.isatty():
            raise ConfigError('record_keys reads keys, but its input is no terminal; run it in a '
                              'terminal of its own, not from a launch file')
        super().__init__('record_keys', **node_options)
        self._recorder = RecorderClient(self)
        self._facts, self._heard_s = {}, None
        self._told, self._answered = '', ''  # the last event of the status, the last answer
        self._is_leaving, self._shown = False, None
        self.create_subscription(DiagnosticStatus, 'recorder/status', self._on_status, qos.STATUS)
        self.create_timer(LOOK_PERIOD_S, self._on_look,
                          clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._input = sys.stdin.fileno()
        self._terminal = termios.tcgetattr(self._input)
        tty.setcbreak(self._input)
        self._say(HELP)

    def destroy_node(self):
        """Give the terminal back as it was."""
        if self._terminal is not None:
            termios.tcsetattr(self._input, termios.TCSADRAIN, self._terminal)
            print(flush=True)
        super().destroy_node()

    def _on_status(self, status):
        """Keep what the recorder says; show an event once, whoever heard of it first."""
        self._facts = {pair.key: pair.value for pair in status.values}
        self._heard_s = time.monotonic()
        before, self._told = self._told, self._facts.get('last', '')
        if self._told not in (before, self._answered):
            self._say(self._told)

    def _on_look(self):
        """Do what the keys stand for, and show the status."""
        while select.select([self._input], [], [], 0)[0]:
            pressed = os.read(self._input, 64)
            if not pressed:  # the terminal is gone
                signal.raise_signal(signal.SIGINT)
                return
            for key in pressed.decode(errors='replace'):
                self._on_key(key)
        line = _printable(self._line())[:self._columns() - 1]
        if line != self._shown:
            self._shown = line
            print(f'\r{line}\x1b[K', end='', flush=True)

    def _on_key(self, key):
        """Ask the recorder, or leave."""
        is_leaving, self._is_leaving = self._is_leaving, False
        if key == 'q':
            self._leave(is_leaving)
        elif key == ' ':
            self._recorder.ask('stop' if self._is_recording() else 'start', self._on_answer)
        elif key in KEYS:
            self._recorder.ask(KEYS[key], self._on_answer)
        elif key.isprintable():
            self._say(HELP)

    def _leave(self, is_sure):
        """End the program; the recorder goes on, which a person should know."""
        if self._is_recording() and not is_sure:
            self._is_leaving = True
            self._say('an episode is being recorded and goes on without this program; press q '
                      'again to leave')
            return
        signal.raise_signal(signal.SIGINT)  # ends the node as Ctrl-C would

    def _on_answer(self, success, message):
        """Show what came of a key, unless the status has said it already."""
        self._answered = message
        if not success:
            self._say(f'NOT DONE: {message}')
        elif message != self._told:
            self._say(message)

    def _is_recording(self):
        """Tell whether the recorder said last that it records."""
        return self._facts.get('state') == 'recording'

    def _line(self):
        """Return the status, on one line."""
        if not self._recorder.is_ready():
            return ('looks for a recorder' if self._recorder.is_looking() else
                    'no recorder answers; start one in this namespace')
        facts = self._facts
        if not facts:
            return 'the recorder has said nothing yet'
        if time.monotonic() - self._heard_s > SILENT_S:
            return f'NO WORD from the recorder for {time.monotonic() - self._heard_s:.0f} s'
        if not self._is_recording():
            if 'obstacles' not in facts:
                return 'the recorder looks at its topics'
            obstacles, doubts = facts['obstacles'], facts.get('doubts', '')
            ready = f'NOT READY  {obstacles}' if obstacles else 'READY  space begins an episode'
            return f'{ready}  {doubts}'.rstrip()
        counts = ' '.join(f'{key.partition(".")[2]}:{value}' for key, value in facts.items()
                          if key.startswith('alarm.'))
        pre_roll = facts.get('pre_roll_s', '0.0')
        length = f'{facts.get("seconds")} s'
        if float(pre_roll):
            length += f' + {pre_roll} s pre-roll'
        left = duration(facts.get('disk_minutes_left', 'unknown'))
        return (f'REC  episode {facts.get("episode")}  {length}  '
                f'{facts.get("messages")} messages  disk: {left}  '
                f'{f"ALARMS {counts}" if counts else "no alarms"}  '
                f'{facts.get("problems", "")}').rstrip()

    def _columns(self):
        """Return the width of the terminal."""
        try:
            return os.get_terminal_size(self._input).columns or DEFAULT_COLUMNS
        except OSError:
            return DEFAULT_COLUMNS

    def _say(self, text):
        """Print a line above the status."""
        self._shown = None  # to be written again below
        print(f'\r\x1b[K{_printable(text)}', flush=True)


def duration(minutes):
    """
    Say how long the disk lasts, with no more digits than one cares for.

    :param minutes: As the recorder's status holds it: a number, or "unknown".
    """
    if minutes == 'unknown':
        return minutes
    hours = float(minutes) / 60
    if hours < 2:
        return f'{float(minutes):.0f} min'
    return f'{hours:.0f} h' if hours < 48 else f'{hours / 24:.0f} days'


def _printable(text):
    """Return a text without what would move the cursor."""
    return ''.join(character if character.isprintable() else ' ' for character in text)


def main(args=None):
    """Run the program until q or a signal."""
    return run(RecordKeys, args)


if __name__ == '__main__':
    raise SystemExit(main())
