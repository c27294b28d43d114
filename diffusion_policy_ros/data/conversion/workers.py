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

"""Convert bags one after the other, or side by side on several processes of this machine."""

from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
import signal
from uuid import uuid4

from diffusion_policy_ros.data.conversion.part_folder import identity_of
from diffusion_policy_ros.data.conversion.piece import convert_piece
from diffusion_policy_ros.data.conversion.stretches import most_parts
from diffusion_policy_ros.errors import DatasetError
from diffusion_policy_ros.machine import usable_cores

# Two cameras' encoders and a bag's chunks stay well below this, bytes.
MEMORY_PER_JOB = 1_000_000_000
# Bags so small are converted before another process has started, bytes.
BYTES_PER_JOB = 20_000_000
END_TIMEOUT_S = 10.0


def default_jobs(bags, cut=None) -> int:
    """
    Return on how many processes bags are best converted here.

    :param bags: Their paths.
    :param cut: The ``Cut`` that divides them, None where they are not cut.
    """
    size = sum(identity_of(bag)['bytes'] for bag in bags)
    parts = sum(most_parts(bag, cut) for bag in bags)
    return max(1, min(parts, usable_cores(), _free_memory() // MEMORY_PER_JOB,
                      size // BYTES_PER_JOB))


def convert_here(jobs, on_share):
    """
    Convert bags in this process.

    :param jobs: ``{number: PieceJob}``.
    :param on_share: Called with (number, share of the bag that is done).
    :return: Iterator of ``(number, PieceReport)``, or ``(number, sentence)`` where our own code
        failed.
    :raises DatasetError: if a dataset cannot be written.
    """
    for number, job in jobs.items():
        yield number, attempt(job, lambda share, number=number: on_share(number, share))


def attempt(job, on_share=None):
    """
    Convert one bag; a fault of our own costs that bag and no other.

    Each attempt has a folder of its own, because a cluster begins anew what it takes for lost.

    :param job: ``PieceJob``; its folder's name becomes the beginning of the attempt's.
    :param on_share: As for ``convert_piece``.
    :return: ``PieceReport``, or a sentence.
    :raises DatasetError: if the dataset cannot be written.
    """
    name = f'{job.folder.name}.{uuid4().hex[:8]}'
    try:
        return convert_piece(replace(job, folder=job.folder.with_name(name)), on_share)
    except DatasetError:
        raise
    except Exception as error:
        return f'{type(error).__name__}: {error} (a fault of the converter; please report it)'


def convert_side_by_side(jobs, count, on_share):
    """
    Convert bags on several processes. One that dies costs its bag, and is replaced.

    :param jobs: ``{number: PieceJob}``, in the order in which they are begun.
    :param count: Number of processes.
    :param on_share: Called with (number, share of the bag that is done).
    :return: Iterator of ``(number, PieceReport)``, or ``(number, sentence)`` of a failure.
    :raises DatasetError: if a dataset cannot be written, which ends all.
    """
    todo, busy = list(jobs.items()), {}
    try:
        while todo or busy:
            while todo and len(busy) < count:
                _begin(_Worker(), todo, busy)
            for connection in wait(list(busy)):
                worker = busy[connection]
                answer = worker.answer()
                if isinstance(answer, float):
                    on_share(worker.number, answer)
                    continue
                if isinstance(answer, DatasetError):
                    raise answer
                yield worker.number, answer  # whoever stops here has all ended that are busy
                del busy[connection]
                if worker.is_alive and todo:
                    _begin(worker, todo, busy)
                else:
                    worker.end()
    finally:
        for worker in busy.values():
            worker.end()


def _begin(worker, todo, busy):
    """Let a worker begin the next job."""
    worker.begin(*todo.pop(0))
    busy[worker.connection] = worker


class _Worker:
    """
    One process that converts bag after bag.

    :ivar connection: Its answers come here.
    :ivar number: Number of its job.
    :ivar is_alive: Whether it can take another one.
    """

    def __init__(self):
        """Start the process."""
        context = get_context('spawn')  # the threads of this one do not survive a fork
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.number, self.is_alive = None, True

    def begin(self, number, job):
        """Send a job; a process that is dead already will not answer."""
        self.number = number
        try:
            self.connection.send(job)
        except OSError:
            pass

    def answer(self):
        """Return a share, a report, a sentence on a failure, or a ``DatasetError``."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.is_alive = False
            self._process.join(END_TIMEOUT_S)
            return f'its process was ended ({_how(self._process.exitcode)}); convert it again ' \
                'with fewer --jobs where memory is short'

    def end(self):
        """Stop the process."""
        self._process.terminate()
        self._process.join(END_TIMEOUT_S)
        self.connection.close()


def _serve(connection):
    """Answer jobs until nobody sends any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = attempt(job, connection.send)
        except DatasetError as error:
            answer = error
        connection.send(answer)


def _how(exitcode):
    """Say how a process ended."""
    if exitcode is not None and exitcode < 0:
        try:
            return signal.Signals(-exitcode).name
        except ValueError:
            pass
    return f'exit code {exitcode}'


def _free_memory():
    """Return how many bytes of memory are free; enough for many jobs where nobody tells."""
    try:
        lines = Path('/proc/meminfo').read_text(encoding='ascii').splitlines()
    except OSError:
        return 1 << 40
    found = [line for line in lines if line.startswith('MemAvailable:')]
    return int(found[0].split()[1]) * 1024 if found else 1 << 40
