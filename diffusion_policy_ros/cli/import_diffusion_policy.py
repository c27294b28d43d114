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

"""``dpr import-diffusion-policy``: weights of Diffusion Policy become a checkpoint for a robot."""

from pathlib import Path

from diffusion_policy_ros.cli.pairs import parse_pairs
from diffusion_policy_ros.cli.usage import as_usage
from diffusion_policy_ros.errors import UsageError
from diffusion_policy_ros.yaml_text import parse_yaml

DESCRIPTION = """
Turn the FiLM U-Net, image encoders and normalizer of a policy that was trained with Diffusion
Policy's own code into a checkpoint for a robot. They are read from safetensors; pickled .ckpt
files are never opened (docs/diffusion_policy_weights.md tells how to convert them). The contract's
rate must be the steps per second of the policy's data.
"""


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('weights', type=Path, help='safetensors file with the state dict')
    parser.add_argument('out', type=Path, help='checkpoint folder to write')
    parser.add_argument('--contract', type=Path, required=True,
                        help='contract of the robot (YAML)')
    parser.add_argument('--obs', action='append', default=[], metavar='NAME=KEY',
                        help="an observation's name in shape_meta.obs of the training and its key "
                             'in the contract, such as agent_pos=observation.state; all of them, '
                             'in the order of shape_meta.obs. Not needed where there is one')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE',
                        dest='overrides',
                        help='a setting of the policy that weights do not tell, such as '
                             'horizon=16, n_action_steps=8, crop_shape="[84, 84]" or '
                             'prediction_type=sample')


def run(args) -> int:
    """
    Import and print one line.

    :param args: Parsed arguments.
    :return: 0.
    """
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.policy.assembly import assemble
    from diffusion_policy_ros.policy.checkpoint_folder import check_place
    from diffusion_policy_ros.policy.diffusion_policy_weights import (
        default_observed, read_weights, UNTOLD)
    from diffusion_policy_ros.policy.network_words import network_words
    from diffusion_policy_ros.policy.policy import Policy

    contract, observed = load_contract(args.contract), parse_pairs('--obs', args.obs)
    changes = _changes(args.overrides)
    check_place(args.out)
    observed = observed or default_observed(args.weights, contract)
    checkpoint = read_weights(args.weights, contract, observed, changes)
    policy = assemble(Policy, checkpoint, args.weights)
    policy.save(args.out)
    settings = [f'{name} {getattr(policy.config, name)}' for name in UNTOLD]
    print(f'{args.out}: {network_words(policy.config)}; check these against the training: '
          f'{", ".join(settings)}; observations in this order: {", ".join(observed)}')
    return 0


def _changes(overrides):
    """Return the fields of ``PolicyConfig`` that were set."""
    from diffusion_policy_ros.config import PolicyConfig
    from diffusion_policy_ros.config_checks import check_values
    # The normalizer in the file is taken as it is.
    names = [name for name in PolicyConfig.setting_names() if name != 'normalization_mapping']
    changes = {}
    for text in overrides:
        name, equals, value = text.partition('=')
        name = name.removeprefix('policy.')
        if not equals or name not in names:
            raise UsageError(
                f'--set {text}: it must be KEY=VALUE with a key among {", ".join(names)}')
        changes[name] = parse_yaml(value, f'--set {text}', UsageError)
    with as_usage('--set '):
        check_values(changes)
    return changes
