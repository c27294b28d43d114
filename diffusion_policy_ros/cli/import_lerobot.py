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

"""``dpr import-lerobot``: a LeRobot DiffusionPolicy becomes a checkpoint for a robot."""

from pathlib import Path

from diffusion_policy_ros.cli.pairs import parse_pairs

DESCRIPTION = """
Turn a folder of a LeRobot DiffusionPolicy, of any version, into a checkpoint for a robot: weights,
statistics and sampler are LeRobot's, topics and names are the contract's. The contract's rate must
be the frames per second of the policy's data, which LeRobot's folder does not tell. A checkpoint
of this package, such as the models that come with it, is refused: use it as it is.
"""


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('folder', type=Path,
                        help="LeRobot's folder with config.json and model.safetensors, such as "
                             'checkpoints/last/pretrained_model')
    parser.add_argument('out', type=Path, help='checkpoint folder to write')
    parser.add_argument('--contract', type=Path, required=True,
                        help='contract of the robot (YAML)')
    parser.add_argument('--rename', action='append', default=[], metavar='KEY=KEY',
                        help="LeRobot's key of an observation and the contract's, such as "
                             'observation.image=observation.images.camera; can be given several '
                             'times')


def run(args) -> int:
    """
    Import and print one line.

    :param args: Parsed arguments.
    :return: 0.
    """
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.errors import ConfigError
    from diffusion_policy_ros.policy.assembly import assemble
    from diffusion_policy_ros.policy.checkpoint_files import WEIGHTS
    from diffusion_policy_ros.policy.checkpoint import read_checkpoint
    from diffusion_policy_ros.policy.checkpoint_folder import check_place
    from diffusion_policy_ros.policy.lerobot_import import with_contract
    from diffusion_policy_ros.policy.policy import Policy

    contract, renames = load_contract(args.contract), parse_pairs('--rename', args.rename)
    check_place(args.out)
    checkpoint = read_checkpoint(args.folder)
    if checkpoint.contract is not None:
        raise ConfigError(f'{args.folder} is a checkpoint of this package already; use it as it '
                          'is')
    policy = assemble(Policy, with_contract(checkpoint, contract, renames),
                      args.folder / WEIGHTS)
    policy.save(args.out)
    print(f'{args.out}: {", ".join(policy.config.input_features)} -> '
          f'{", ".join(contract.action_names)}, solver {policy.sampler.solver} with '
          f'{policy.sampler.num_inference_steps} steps as LeRobot runs it')
    return 0
