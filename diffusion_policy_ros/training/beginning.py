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

"""What a run says of itself before its first step, so that a mistake costs no hours."""

import sys

from diffusion_policy_ros.policy.network_words import network_words
from diffusion_policy_ros.training.acceleration import chosen_precision
from tqdm import tqdm


def tell_beginning(policy, config, split, processes, device, facts) -> None:
    """
    Say on stderr, in the first process, what is trained, on what, and from what.

    :param policy: ``Policy`` to train.
    :param config: ``TrainConfig``.
    :param split: ``Split`` of the dataset.
    :param processes: ``Processes`` that train together.
    :param device: Torch device.
    :param facts: Of the snapshot that the run goes on from, or {}.
    """
    if not processes.is_first:
        return
    weights = sum(tensor.numel() for tensor in policy.diffusion.state_dict().values())
    together = f' in {processes.count} processes' if processes.count > 1 else ''
    held_out = f'{split.held_out_episodes} held out' if split.held_out_episodes else \
        'none held out, so that overfitting will not be seen'
    steps = f'{config.steps} steps of {config.windows_per_step(processes.count)} windows each'
    if config.pretraining.target is not None:
        steps = f'{config.pretraining.steps} steps of pretraining, then {steps}'
    if facts:
        steps += f', going on after step {facts["step"]} of stage "{facts["stage"]}"'
    tqdm.write(
        f'{weights / 1e6:.2f} M weights ({network_words(policy.config)}) on {device}'
        f'{together} in {chosen_precision(device, config.precision)}\n'
        f'{split.first_held_out} windows of {split.train_episodes} episodes to learn from, '
        f'{held_out}; {steps}', file=sys.stderr)
