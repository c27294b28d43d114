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

"""Does a dataset fit a robot contract: its own, or one that is named."""

from diffusion_policy_ros.data.datasets.dataset_checks import disagreements
from diffusion_policy_ros.evaluation.dataset.finding import ERROR, Finding, WARNING


def contract_findings(source, contract) -> list:
    """
    Compare the contract inside, or the columns, with the contract that is asked for.

    :param source: What ``open_source`` returned.
    :param contract: ``RobotContract``, or None where none is asked for.
    :return: Findings.
    """
    if contract is None:
        return [] if source.contract or source.findings else [Finding(
            WARNING, 'contract', 'the dataset holds no robot contract, so that nobody can tell '
            'which topics its columns are; dpr train and dpr play need one',
            'write one and let dpr convert --contract put it in: docs/datasets.md, "Train on data '
            'of others"')]
    return [Finding(ERROR, 'contract', sentence, 'name the contract that the robot was recorded '
                    'with, or convert the bags again with this one')
            for sentence in disagreements(
                source.contract, source.features, source.rate_hz, contract)]
