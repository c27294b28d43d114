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

"""``dpr export-lerobot``: a checkpoint becomes a folder that LeRobot loads."""

from dataclasses import asdict
from pathlib import Path

DESCRIPTION = """
Write the folder that LeRobot 0.6 would have written for a policy, and no other file. Refused where
LeRobot has no network or rule for it, naming the setting.
"""


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.description = DESCRIPTION
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('out', type=Path, help='folder to write; nothing may be there yet')


def run(args) -> int:
    """
    Export, and print how LeRobot will sample and what of the sampler it cannot do.

    :param args: Parsed arguments.
    :return: 0.
    """
    from diffusion_policy_ros.policy.assembly import assemble
    from diffusion_policy_ros.policy.checkpoint import (
        check_unchanged, export_checkpoint, read_checkpoint)
    from diffusion_policy_ros.policy.checkpoint_files import WEIGHTS
    from diffusion_policy_ros.policy.checkpoint_folder import check_place
    from diffusion_policy_ros.policy.policy import Policy

    check_place(args.out)
    checkpoint = read_checkpoint(args.model)
    assemble(Policy, checkpoint, args.model / WEIGHTS)
    check_unchanged(args.model)
    scheduler = export_checkpoint(args.out, checkpoint)
    steps = scheduler['num_inference_steps'] or 'all'
    left = _left_behind(checkpoint, scheduler)
    without = f"; of this checkpoint's sampler it cannot do {', '.join(left)}" if left else ''
    print(f'{args.out}: LeRobot will sample with {scheduler["noise_scheduler_type"]} and {steps} '
          f'steps{without}')
    return 0


def _left_behind(checkpoint, scheduler):
    """Return name and value of each setting of the sampler that LeRobot's scheduler has not."""
    from diffusion_policy_ros.diffusion.sampler import Sampler
    from diffusion_policy_ros.policy.lerobot_config import scheduler_sampler

    config = checkpoint.config
    there = asdict(Sampler(**scheduler_sampler(
        scheduler['noise_scheduler_type'], scheduler['num_inference_steps'],
        config.num_train_timesteps, config.clip_sample)))
    return [f'{name} {value}' for name, value in asdict(checkpoint.sampler).items()
            if there[name] != value]
