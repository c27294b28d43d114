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

"""Build a dataset beside the recording, in a thread of its own."""

import threading

from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.errors import DiffusionPolicyError


class ConversionWorker:
    """
    One conversion, begun at once.

    :ivar outcome: How it ended, one sentence; None while it runs.
    """

    def __init__(self, bags, contract, dataset):
        """
        Begin.

        :param bags: Paths of the bags, in the order of the episodes.
        :param contract: The ``RobotContract`` to convert by.
        :param dataset: Folder of the dataset, which must not exist.
        """
        self.outcome = None
        # A daemon: what it has saved can be read, and a shutdown does not wait for the rest.
        threading.Thread(target=self._run, args=(bags, contract, dataset), daemon=True).start()

    def _run(self, bags, contract, dataset):
        """Convert, and keep the sentence that tells how it went."""
        try:
            summary = convert_bags(bags, dataset, contract=contract, progress=False)
        except DiffusionPolicyError as error:
            self.outcome = f'conversion failed: {error}'
            return
        except Exception as error:  # nobody else hears of an error in this thread
            self.outcome = f'conversion failed: {type(error).__name__}: {error}'
            raise
        notes = ''.join(f'; {note}' for note in [*summary.notes, *summary.warnings])
        self.outcome = (f'{dataset}: {summary.rows} rows in {summary.episodes} episodes from '
                        f'{summary.bags} bags{notes}')
