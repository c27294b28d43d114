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

"""What a node that conducts a measurement tells the process that started it."""

import json
import os
import select

from diffusion_policy_ros.errors import DiffusionPolicyError

PAUSE_S = 0.5


def node_events(conductor, name, children):
    """
    Yield what a conductor tells until it has finished, while all others run.

    Its stages, and remarks of the middleware, are printed.

    :param conductor: ``subprocess.Popen`` of the node, with its output in a pipe.
    :param name: Its name among the children.
    :param children: ``Children`` with all nodes.
    :return: Iterator of (kind, facts by name).
    :raises DiffusionPolicyError: if a node ended that should not, or the conductor tells an error.
    """
    for line in _lines(conductor.stdout, lambda: check_children(children)):
        if not line.startswith(b'{"event"'):  # a remark of the middleware
            print(line.decode('utf-8', 'replace'), flush=True)
            continue
        event = json.loads(line)
        kind = event.pop('event')
        if kind == 'error':
            check_children(children, allowed=(name,))  # that one has ended explains more
            raise DiffusionPolicyError(event['text'])
        if kind == 'stage':
            print(event['text'], flush=True)
        else:
            yield kind, event
    conductor.wait()
    check_children(children, allowed=(name,) if conductor.returncode == 0 else ())


def check_children(children, allowed=()):
    """
    Make sure that all processes run; the end of the log of one that ended is printed.

    :param children: ``Children``.
    :param allowed: Names of those that may have ended.
    :raises DiffusionPolicyError: naming the process that ended.
    """
    try:
        children.check(allowed=allowed)
    except DiffusionPolicyError as error:
        reason, _, log = str(error).partition('\n')
        print(log, flush=True)
        raise DiffusionPolicyError(reason.replace('; its last words:', '; its last words are '
                                                  'above')) from error


def _lines(stream, on_pause):
    """Yield lines as they come; call ``on_pause`` twice a second and between them."""
    rest = b''
    while True:
        ready, _, _ = select.select([stream], [], [], PAUSE_S)
        if ready:
            data = os.read(stream.fileno(), 65536)
            if not data:
                return
            *lines, rest = (rest + data).split(b'\n')
            yield from lines
        else:
            on_pause()
