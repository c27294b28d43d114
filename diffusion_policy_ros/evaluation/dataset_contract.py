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

from diffusion_policy_ros.contract import RECORDED
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.evaluation.dataset_finding import ERROR, Finding, NOTE
from diffusion_policy_ros.streams import ACTION_KEY


def check_contract(source, contract) -> list:
    """
    Compare the contract inside, or the columns, with the contract that is asked for.

    :param source: What ``open_source`` returned.
    :param contract: ``RobotContract``, or None where none is asked for.
    :return: Findings.
    """
    if contract is None:
        return [] if source.contract or source.findings else [Finding(
            NOTE, 'contract', 'the dataset holds no robot contract, so that nobody can tell '
            'which topics its columns were, nor how old samples might be',
            'name one with --contract to compare it')]
    return [Finding(ERROR, 'contract', sentence, 'name the contract that the robot was recorded '
                    'with, or convert the bags again with this one')
            for sentence in disagreements(source, contract)]


def disagreements(source, contract) -> list:
    """
    List what would make a dataset's rows wrong under a contract.

    :param source: What ``open_source`` returned.
    :param contract: ``RobotContract``.
    :return: One sentence per difference; empty when the contract describes the rows.
    """
    if source.contract is not None:
        return source.contract.disagreements(
            contract, mine='recorded', theirs='--contract', kinds=RECORDED)
    return _misfits(source, contract)


def _misfits(source, contract):
    """List what differs between columns without a contract of their own and a contract."""
    wrong = [] if contract.rate_hz == source.rate_hz else [
        f'rate_hz: the dataset has {source.rate_hz:g}, the contract {contract.rate_hz:g}']
    for key, meant in layout.contract_features(contract).items():
        stored = source.features.get(key)
        if key not in (*contract.keys, ACTION_KEY):
            continue
        if stored is None:
            wrong.append(f'{key} is in the contract only')
        elif list(stored['shape']) != meant['shape']:
            wrong.append(f'{key}: the dataset has shape {list(stored["shape"])}, the contract '
                         f'{meant["shape"]}')
        elif meant['dtype'] != 'video' and list(source.vectors.get(key, ())) != meant['names']:
            wrong.append(f'{key}: the dataset names {", ".join(source.vectors.get(key, ()))}, '
                         f'the contract {", ".join(meant["names"])}')
    return wrong
