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

"""The dataset that the recorder builds from its finished bags."""

import os
import shlex
import threading

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.data.bags.bag_paths import find_bags
from diffusion_policy_ros.data.conversion.conversion import convert_bags
from diffusion_policy_ros.errors import BagError, DatasetError, DiffusionPolicyError
from diffusion_policy_ros.nodes.recorder_answer import Answer, refused


class RecorderConversion:
    """One conversion at a time, in a thread of its own."""

    def __init__(self, contract, settings, status):
        """
        Prepare.

        :param contract: The ``RobotContract``.
        :param settings: The recorder's ``Parameters``.
        :param status: Full name of the topic that tells how a conversion ends.
        """
        self._contract, self._settings, self._status = contract, settings, status
        self._is_running, self._end = False, None

    @property
    def is_running(self) -> bool:
        """Tell whether a conversion runs, or its end is still to be told."""
        return self._is_running

    def begin(self, is_repairing) -> Answer:
        """
        Begin to build the dataset from the finished bags, or go on where an earlier run was.

        :param is_repairing: Whether episodes that were not closed are still being repaired.
        :return: Whether that began, or why not.
        :raises OSError: if the output folder cannot be read.
        """
        if self.is_running:
            return refused(f'a conversion is running; {self._status} tells when it ends')
        if is_repairing:
            return refused('episodes that were not closed are being repaired, and would not be in '
                           f'the dataset; {self._status} tells of each, ask again after that')
        passed_over, dataset = [], self._settings['dataset']
        try:
            bags = find_bags(self._settings['output'], note=passed_over.append)
        except BagError as error:
            return refused(str(error))
        if not bags:
            return refused('; '.join(passed_over))
        if os.path.lexists(dataset):
            return refused(
                f'{dataset} exists already and is never overwritten; set the parameter dataset to '
                'another folder for a dataset of all episodes, or add new ones to it with "dpr '
                'convert BAGS --out MORE" and '
                f'"dpr edit {shlex.quote(str(dataset))} --append MORE"')
        self._is_running = True
        # A daemon: a shutdown does not wait, and the next conversion goes on with what it leaves.
        threading.Thread(target=self._run, args=(bags, dataset, passed_over), daemon=True).start()
        return Answer(True, f'building {dataset} from {len(bags)} bags; {self._status} tells '
                      'how it ends')

    def take_end(self):
        """
        Return how a conversion ended, once.

        :return: (one sentence, level of ``DiagnosticStatus``), or None while there is no end.
        """
        if self._end is None:
            return None
        end, self._end, self._is_running = self._end, None, False
        return end

    def _run(self, bags, dataset, passed_over):
        """Convert, and keep how that ended."""
        try:
            summary = convert_bags(bags, dataset, contract=self._contract, progress=False)
        except DatasetError as error:
            self._end = _failed(f'{error}; for this node, --out is the parameter dataset')
        except DiffusionPolicyError as error:
            self._end = _failed(error)
        except Exception as error:  # nobody else hears of an error in this thread
            self._end = _failed(f'{type(error).__name__}: {error}')
            raise
        else:
            self._end = _ended(summary, dataset, passed_over)


def _failed(reason):
    """Tell why there is no dataset."""
    return f'conversion failed: {reason}', DiagnosticStatus.ERROR


def _ended(summary, dataset, passed_over):
    """Tell what was made, and what is not in it."""
    what = dataset if summary.episodes else f'{dataset} was not written'
    missing = [*summary.notes, *summary.warnings, *passed_over]
    sentence = '; '.join([f'{what}: {summary.rows} rows in {summary.episodes} episodes from '
                          f'{summary.bags} bags', *missing])
    if not summary.episodes:
        return sentence, DiagnosticStatus.ERROR
    is_whole = not (summary.skipped or summary.warnings or passed_over)
    return sentence, DiagnosticStatus.OK if is_whole else DiagnosticStatus.WARN
