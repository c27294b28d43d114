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

"""From the parts of a checkpoint to a policy, after they were checked against each other."""

from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.policy.checkpoint import check_weights
from diffusion_policy_ros.policy.normalizer import Normalizer


def assemble(policy_class, checkpoint, path):
    """
    Build the policy of a checkpoint.

    :param policy_class: ``Policy``.
    :param checkpoint: Checkpoint.
    :param path: File that its weights came from, for messages.
    :return: The policy, on the CPU.
    :raises CheckpointError: if the parts do not fit each other.
    """
    try:
        normalizer = Normalizer(checkpoint.config, checkpoint.statistics)
        check_weights(checkpoint.config, checkpoint.weights, path)
        policy = policy_class(checkpoint.config, normalizer, contract=checkpoint.contract,
                              sampler=checkpoint.sampler)
    except ConfigError as error:
        raise CheckpointError(f'{path} and what belongs to it do not fit: {error}') from error
    policy.load_state_dict(checkpoint.weights)
    return policy
