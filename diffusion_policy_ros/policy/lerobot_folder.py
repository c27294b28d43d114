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

"""Reading a folder that LeRobot wrote, of any time."""

from diffusion_policy_ros.diffusion import check_start, DiscreteVp, Sampler
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.policy import lerobot_config
from diffusion_policy_ros.policy.checkpoint_files import (
    CONFIG, read_json, read_shapes, read_tensors, REMEDY, WEIGHTS)
from diffusion_policy_ros.policy.inferred_config import inferred_fields
from diffusion_policy_ros.policy.legacy_statistics import is_legacy, split_statistics
from diffusion_policy_ros.policy.processors import has_processors, read_statistics
from diffusion_policy_ros.streams import STATE_KEY

# What torch.compile puts into the names of the modules that it wraps.
COMPILED = '_orig_mod.'


def read_lerobot_description(folder) -> tuple:
    """
    Read what a LeRobot folder says of its policy, without the weights.

    :param folder: pathlib.Path.
    :return: ``(config, sampler)``; the sampler draws the chunk that LeRobot draws.
    :raises CheckpointError: naming the file, what is wrong with it and the remedy.
    """
    raw = read_json(folder / CONFIG)
    try:
        lerobot_config.check_type(raw)
        if raw.get('type') == lerobot_config.OWN_TYPE:
            raise ConfigError('the policy is one of this package, whose other files are missing; '
                              f'{REMEDY}')
        raw = _without_unseen(raw)
        said = lerobot_config.said_fields(raw)
        shapes = _named(read_shapes(folder / WEIGHTS), folder / WEIGHTS)
        config = lerobot_config.from_json(raw, inferred_fields(shapes, said))
        return config, _sampler(raw, config)
    except ConfigError as error:
        raise CheckpointError(f'{folder / CONFIG}: {error}') from error


def read_lerobot_tensors(folder, config) -> tuple:
    """
    Read the weights and the statistics of a LeRobot folder.

    :param folder: pathlib.Path.
    :param config: PolicyConfig of the folder.
    :return: ``(weights, statistics)``: tensor name -> tensor, and key -> statistic -> tensor.
    :raises CheckpointError: naming the file, what is wrong with it and the remedy.
    """
    path = folder / WEIGHTS
    tensors = _named(read_tensors(path), path)
    if not is_legacy(tensors):
        if not has_processors(folder):
            raise CheckpointError(
                f'{folder} holds no statistics, neither in policy_preprocessor.json nor among the '
                'weights; without them nobody knows what the numbers of this policy mean. Copy '
                'the whole folder, pretrained_model, again')
        return tensors, read_statistics(folder, config)
    raw = read_json(folder / CONFIG)
    keys = [*_keys_of(raw, 'input'), *_keys_of(raw, 'output')]
    weights, statistics = split_statistics(tensors, keys, path)
    if has_processors(folder):  # a migration put them there, and LeRobot uses them alone
        statistics = read_statistics(folder, config)
    return weights, {key: statistics.get(key, {})
                     for key in (*config.input_features, *config.output_features)}


def _named(entries, path):
    """Return entries under the names that they have without torch.compile."""
    named = {name.replace(COMPILED, ''): entry for name, entry in entries.items()}
    if len(named) < len(entries):
        raise CheckpointError(f'{path} holds a tensor twice, compiled and not; {REMEDY}')
    return named


def _keys_of(raw, side):
    """Return the keys of one side's features."""
    return raw.get(f'{side}_features') or raw.get(f'{side}_shapes') or {}


def _without_unseen(raw):
    """Return the document without the states that LeRobot's networks do not look at."""
    features = raw.get('input_features')
    if not isinstance(features, dict):
        return raw
    kept = {key: feature for key, feature in features.items()
            if key == STATE_KEY or not isinstance(feature, dict)
            or feature.get('type') != 'STATE'}
    return {**raw, 'input_features': kept}


def _sampler(raw, config):
    """Return LeRobot's sampler, refusing a run that starts where chunks are visible already."""
    sampler = Sampler(**lerobot_config.sampler_fields(raw))
    try:
        check_start(DiscreteVp.of(config), sampler)
    except ConfigError as error:
        raise ConfigError(
            f'num_inference_steps is {sampler.num_inference_steps}, with which LeRobot starts '
            f'from noise alone far below the noisiest of {config.num_train_timesteps} levels, and '
            'its chunks are of no use; set it to null, or to a larger divisor of them, in a copy '
            'of the folder'
        ) from error
    return sampler
