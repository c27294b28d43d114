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

from diffusion_policy_ros.data.conversion.workers import attempt
from diffusion_policy_ros.errors import ConfigError, DatasetError

CONNECT_TIMEOUT_S = 20


def convert_on_cluster(jobs, address):
    """
    Convert bags on a cluster. A worker that dies costs its bag where it dies each time anew.

    :param jobs: ``{number: PieceJob}`` with absolute paths.
    :param address: Address of the scheduler, such as ``tcp://10.0.0.1:8786``.
    :return: Iterator of ``(number, PieceReport)``, or ``(number, sentence)`` of a failure.
    :raises ConfigError: if the library is missing, or the scheduler does not answer.
    :raises DatasetError: if a dataset cannot be written, which ends all.
    """
    try:
        from distributed import as_completed, Client
    except ImportError as error:
        raise ConfigError('a cluster needs the Python package "distributed"; install it with: '
                          'pip install "diffusion_policy_ros[cluster]"') from error
    try:
        client = Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(f'the cluster {address} does not answer: {error}. Start a scheduler '
                          'with "dask scheduler", and workers with "dask worker"') from error
    with client:
        futures = {client.submit(attempt, job, pure=False): number
                   for number, job in jobs.items()}
        try:
            for future in as_completed(futures, loop=client.loop):
                yield futures[future], _outcome(future)
        finally:
            client.cancel(list(futures))


def _outcome(future):
    """Return the report of a job, or a sentence on why there is none."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, DatasetError):
        raise error
    return f'the cluster failed at it: {type(error).__name__}: {" ".join(str(error).split())}'
