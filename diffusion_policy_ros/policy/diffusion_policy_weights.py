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

"""Weights of Diffusion Policy (Chi et al. 2023): the FiLM U-Net, its encoder and normalizer."""

import re

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.diffusion import default_sampler, DiscreteVp
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.policy.checkpoint import check_weights, Checkpoint
from diffusion_policy_ros.policy.checkpoint_files import read_foreign_tensors
from diffusion_policy_ros.policy.diffusion_networks import UNET
from diffusion_policy_ros.policy.diffusion_policy_parts import (
    reordered_condition, rgb_encoder, statistics_of, unet_tensors)
from diffusion_policy_ros.policy.inferred_config import inferred_fields
from diffusion_policy_ros.streams import ACTION_KEY

# What weights do not tell; observations are the other thing.
UNTOLD = ('horizon', 'n_action_steps', 'n_obs_steps', 'crop_shape', 'num_train_timesteps',
          'beta_schedule', 'prediction_type', 'clip_sample', 'n_groups')
PAGE = 'docs/diffusion_policy_weights.md'
REMEDY = f'{PAGE} tells how to turn a checkpoint into safetensors safely'
THEIR_UNET, THEIR_ENCODER = 'model.', 'obs_encoder.obs_nets.'
NORMALIZER = 'normalizer.params_dict.'
WITHOUT_USE = re.compile(r'(.*\.)?_dummy_variable$|mask_generator\.')
# What cannot be imported, by the names that give it away.
FOREIGN = {
    'model.local_cond_encoder.': 'local conditioning',
    'model.input_emb.': 'the Transformer, not the U-Net',
    'model.cond_obs_emb.': 'the Transformer, not the U-Net',
    'obs_encoder.key_model_map.': 'image encoders with average pooling and nothing after it'}


def read_weights(path, contract, observed, changes):
    """
    Read a policy of Diffusion Policy from a safetensors file.

    :param path: pathlib.Path: its state dict, or several under ``ema_model.`` and ``model.``.
    :param contract: RobotContract of the robot that the policy drives.
    :param observed: Name of an observation there -> key of the contract, in the order of
        ``shape_meta.obs``.
    :param changes: Fields of ``PolicyConfig`` that weights do not tell, by name.
    :return: Checkpoint.
    :raises CheckpointError: if the file is no such state dict.
    :raises ConfigError: if it does not fit the contract.
    """
    parts = _parted(_averaged(read_foreign_tensors(path, REMEDY)), path)
    images = {name: key for name, key in observed.items() if name in parts.encoders}
    tensors, order = unet_tensors(parts.unet), _keys(contract)
    # Encoders are told apart by the place of their camera in the contract.
    for place, name in enumerate(sorted(images, key=lambda name: order.index(images[name])
                                        if images[name] in order else -1)):
        tensors.update(rgb_encoder(parts.encoders[name], place, len(images) > 1, path))
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    config = _config(path, contract, observed, changes, shapes)
    statistics = {key: statistics_of(parts.normalizer, name, key, config, path)
                  for name, key in {**observed, ACTION_KEY: ACTION_KEY}.items()}
    _check_cameras(path, config, images, parts.encoders)
    check_weights(config, tensors, path, 'check crop_shape, n_obs_steps and the sizes of the '
                  'contract, and give with --set what differs from its training')
    tensors = reordered_condition(tensors, config, list(observed.values()))
    return Checkpoint(config, statistics, tensors, contract,
                      default_sampler(DiscreteVp.of(config)))


def default_observed(path, contract) -> dict:
    """
    Return which observation is which, where there is only one.

    :param path: pathlib.Path of the safetensors file.
    :param contract: RobotContract.
    :return: As ``observed`` of ``read_weights``.
    :raises ConfigError: if there are several.
    """
    normalizer = _parted(_averaged(read_foreign_tensors(path, REMEDY)), path).normalizer
    names = sorted({name.split('.')[0] for name in normalizer} - {ACTION_KEY})
    keys = _keys(contract)
    if len(names) == len(keys) == 1:
        return {names[0]: keys[0]}
    raise ConfigError(f'{path} has the observations {", ".join(names) or "none"}; say with --obs '
                      'NAME=KEY which key of the contract each of them is, in the order of '
                      f'shape_meta.obs of its training; the contract has: {", ".join(keys)}')


def _keys(contract):
    """Return the keys that a policy sees, in order."""
    return list(dict.fromkeys(stream.key for stream in contract.policy_observations))


class _Parts:
    """
    The parts of a state dict.

    :ivar unet: Name -> tensor.
    :ivar encoders: Observation -> name -> tensor.
    :ivar normalizer: Name -> tensor.
    """

    def __init__(self):
        """Begin with nothing."""
        self.unet, self.encoders, self.normalizer = {}, {}, {}


def _averaged(tensors):
    """Return the averaged weights where a file holds several state dicts."""
    for prefix in ('ema_model.', 'model.'):
        if any(name.startswith(prefix + THEIR_UNET) for name in tensors):
            return {name[len(prefix):]: tensor for name, tensor in tensors.items()
                    if name.startswith(prefix)}
    return tensors


def _parted(tensors, path):
    """Part a state dict, refusing what has no counterpart here."""
    parts = _Parts()
    for name, tensor in tensors.items():
        foreign = next((what for start, what in FOREIGN.items() if name.startswith(start)), None)
        if foreign:
            raise CheckpointError(f'{path} holds {foreign} ({name!r}), which cannot be imported; '
                                  f'{PAGE} lists what can')
        if name.startswith(THEIR_UNET):
            parts.unet[name[len(THEIR_UNET):]] = tensor
        elif name.startswith(THEIR_ENCODER):
            observation, _, rest = name[len(THEIR_ENCODER):].partition('.')
            parts.encoders.setdefault(observation, {})[rest] = tensor
        elif name.startswith(NORMALIZER):
            parts.normalizer[name[len(NORMALIZER):]] = tensor
        elif not WITHOUT_USE.match(name):
            raise CheckpointError(f'{path} holds the unknown tensor {name!r}; {PAGE} lists what '
                                  'can be imported')
    for part, names in (('U-Net', parts.unet), ('normalizer', parts.normalizer)):
        if not names:
            raise CheckpointError(f'{path} holds no {part}; {PAGE} tells which state dict to save')
    return parts


def _config(path, contract, observed, changes, shapes):
    """Return the configuration that weights, contract and user agree on."""
    keys = _keys(contract)
    if sorted(observed.values()) != sorted(keys):
        raise ConfigError(f'--obs names {", ".join(observed.values())}; the contract of '
                          f'{contract.robot!r} has exactly: {", ".join(keys)}')
    entries, *_ = shapes.get(f'{UNET}final_conv.1.bias') or (0,)
    if entries != len(contract.action_names):
        raise ConfigError(
            f'{path}: a row of its chunks has {entries} entries, an action of {contract.robot!r} '
            f'{len(contract.action_names)}. Where the rest are observations, the policy is '
            'conditioned by inpainting, which cannot be imported')
    features = PolicyConfig.from_contract(contract).input_features
    inferred = inferred_fields(shapes, {**changes, 'input_features': features})
    return PolicyConfig.from_contract(contract, **{**inferred, **changes})


def _check_cameras(path, config, images, encoders):
    """Refuse cameras without an encoder, and encoders without a camera."""
    if sorted(images.values()) != sorted(config.image_keys) or set(images) != set(encoders):
        raise ConfigError(f'{path} has image encoders of {", ".join(encoders) or "nothing"}, the '
                          f'contract the cameras {", ".join(config.image_keys) or "none"}; name '
                          'each camera with --obs NAME=KEY')
