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

from diagnostic_msgs.msg import DiagnosticStatus
from diffusion_policy_ros.data.bags.episode_files import finished_bags
from diffusion_policy_ros.data.new_folder import in_the_way
from diffusion_policy_ros.nodes.conversion_worker import ConversionWorker
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
        self._worker = self._dataset = None

    @property
    def is_running(self) -> bool:
        """Tell whether a conversion runs, or its end is still to be told."""
        return self._worker is not None

    def begin(self, is_repairing) -> Answer:
        """
        Begin to build the dataset from the finished bags.

        :param is_repairing: Whether episodes that were not closed are still being repaired.
        :return: Whether that began, or why not.
        :raises OSError: if the output folder cannot be read.
        """
        if self.is_running:
            return refused(f'a conversion is running; {self._status} tells when it ends')
        if is_repairing:
            return refused('episodes that were not closed are being repaired, and would not be in '
                           f'the dataset; {self._status} tells of each, ask again after that')
        bags = finished_bags(self._settings['output'])
        if not bags:
            return refused(f'{self._settings["output"]} holds no finished episode to convert')
        self._dataset = dataset = self._settings['dataset']
        found = in_the_way(dataset)
        if found is not None:
            what = ('exists already and is never overwritten' if found == dataset
                    else 'is what a conversion wrote that did not end')
            return refused(f'{found} {what}; set the parameter dataset to another folder, '
                           'or remove it yourself')
        self._worker = ConversionWorker(bags, self._contract, dataset)
        return Answer(True, f'building {dataset} from {len(bags)} bags; {self._status} tells '
                      'how it ends')

    def take_end(self):
        """
        Return how a conversion ended, once.

        :return: (one sentence, level of ``DiagnosticStatus``), or None while there is no end.
        """
        if self._worker is None or self._worker.outcome is None:
            return None
        outcome, self._worker = self._worker.outcome, None
        # The folder gets its name only when it holds at least an episode, and is complete.
        level = DiagnosticStatus.OK if os.path.isdir(self._dataset) else DiagnosticStatus.ERROR
        if '--out' in outcome:
            outcome += '; for this node, --out is the parameter dataset'
        return outcome, level
