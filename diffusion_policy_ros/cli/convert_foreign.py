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

"""`dpr convert DATASET --contract YAML`: a dataset of others gets a robot contract."""

import sys

from diffusion_policy_ros.cli.pairs import parse_pairs


def under_contract(source, args):
    """
    Return a dataset as a contract sees it, and say what nobody can check.

    :param source: The ``FrameSource`` that was opened.
    :param args: Parsed arguments of ``dpr convert``.
    :return: A ``ContractedSource``.
    :raises DiffusionPolicyError: if the contract does not fit.
    """
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.datasets.contracted import ContractedSource
    contract = load_contract(args.contract)
    found = ContractedSource(
        source, contract, renames=parse_pairs('--rename', args.rename or ()),
        is_by_order=bool(args.by_order))
    if found.left_out:
        note(f'left out, as the contract does not name them: {", ".join(found.left_out)}')
    for key in found.by_order:
        note(f'the entries of {key} are taken by their order: '
             f'{", ".join(found.row_features[key]["names"])}')
    note('units and axes are taken to be those of the contract; nothing in a dataset tells them')
    return found


def warn_of_limits(folder, contract) -> None:
    """
    Say where positions in the dataset lie outside the contract's limits, as in another unit.

    :param folder: The LeRobotDataset that was written.
    :param contract: Its ``RobotContract``.
    """
    from diffusion_policy_ros.data.datasets.lerobot_reader import LeRobotReader
    from diffusion_policy_ros.streams import ACTION_KEY
    found = LeRobotReader(folder).statistics()[ACTION_KEY]
    is_position = [output.field == 'position' and not output.is_velocity
                   for output in contract.actions for _ in output.names]
    for name, is_meant, low, high in zip(contract.action_names, is_position, found['min'],
                                         found['max']):
        limits = contract.limits.get(name, {}).get('position')
        if is_meant and limits and (low < limits[0] or high > limits[1]):
            print(f'WARNING: action {name} goes from {low:.4g} to {high:.4g}, the contract limits '
                  f'it to {limits[0]:g} to {limits[1]:g}: is it in the unit of the contract?',
                  file=sys.stderr)


def note(sentence):
    """
    Print what is no warning.

    :param sentence: What is told, such as that an episode was passed over.
    """
    print(f'NOTE: {sentence}', file=sys.stderr)
