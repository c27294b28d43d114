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

"""Convert bags on a Dask cluster, whose machines see the same folders under the same paths."""

from concurrent.futures import CancelledError
from contextlib import contextmanager
import logging

from diffusion_policy_ros.data.conversion.workers import attempt
from diffusion_policy_ros.errors import ConfigError, DatasetError
from diffusion_policy_ros.requirements import install_command

CONNECT_TIMEOUT_S = 20


def convert_on_cluster(jobs, address):
    """
    Convert bags on a cluster.

    What a worker had in hand when it died is converted anew by another; a bag at which one worker
    after the other dies is given up.

    :param jobs: ``{number: PieceJob}`` with absolute paths.
    :param address: Address of the scheduler, such as ``tcp://10.0.0.1:8786``.
    :return: Iterator of ``(number, PieceReport)``, or ``(number, sentence)`` of a failure.
    :raises ConfigError: if the library is missing, or the scheduler does not answer, or no more.
    :raises DatasetError: if a dataset cannot be written, which ends all.
    """
    with _quiet(), _connect(address) as client:
        futures = {client.submit(attempt, job, pure=False): number
                   for number, job in jobs.items()}
        try:
            yield from _outcomes(client, jobs, futures)
        except CancelledError as error:  # nobody else cancels before the end
            raise ConfigError(
                f'the cluster {address} went away before all was converted. What was finished is '
                'kept: start the cluster again, and then the same command') from error
        finally:
            client.cancel(list(futures))


def _connect(address):
    """Return a client of the cluster."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ConfigError('a cluster needs the Python package "distributed"; install it with: '
                          f'{install_command("cluster")}') from error
    try:
        return Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f'the cluster {address} does not answer: {error}. Start a scheduler '
                          'with "dask scheduler", and workers with "dask worker"') from error


def _outcomes(client, jobs, futures):
    """Yield what becomes of the jobs as they end."""
    from distributed import as_completed, KilledWorker

    killed = {}
    for future in as_completed(list(futures), loop=client.loop):
        if isinstance(future.exception(), KilledWorker):
            killed[futures[future]] = future
        else:
            yield futures[future], _outcome(future)
    for number, future in killed.items():
        if len(killed) > 1:  # of a bag that waited for the same workers; alone, it tells
            future = client.submit(attempt, jobs[number], pure=False)
            futures[future] = number
        yield number, _outcome(future)


@contextmanager
def _quiet():
    """Say nothing of a connection that is lost but what is raised."""
    logs = [logging.getLogger(name) for name in ('distributed', 'distributed.client')]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for log, level in zip(logs, levels):
            log.setLevel(level)


def _outcome(future):
    """Return the report of a job, or a sentence on why there is none."""
    try:
        return future.result()
    except (CancelledError, DatasetError):
        raise
    except Exception as error:
        told = ' '.join(str(error).split())
        return f'the cluster failed at it: {type(error).__name__}: {told}'
