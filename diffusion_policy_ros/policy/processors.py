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
"""LeRobot's processor files: how a checkpoint stores the statistics of its normalizer."""

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.policy.checkpoint_files import (
    file_beside, read_json, read_tensors, REMEDY)
from diffusion_policy_ros.policy.normalizer import EPS
import torch

PREPROCESSOR, POSTPROCESSOR = 'policy_preprocessor', 'policy_postprocessor'
NORMALIZER, UNNORMALIZER = 'normalizer_processor', 'unnormalizer_processor'
# Steps that change neither what the networks see nor what they command.
HARMLESS_STEPS = ('rename_observations_processor', 'to_batch_processor', 'device_processor')
# Name is <pipeline>_step_<place in the pipeline>_<processor>.safetensors.
STATE_FILES = {PREPROCESSOR: f'{PREPROCESSOR}_step_3_{NORMALIZER}.safetensors',
               POSTPROCESSOR: f'{POSTPROCESSOR}_step_0_{UNNORMALIZER}.safetensors'}


def processor_documents(config):
    """
    Return the processor pipelines of a policy.

    :param config: PolicyConfig.
    :return: File name -> JSON document.
    """
    device = _step('device_processor', {'device': 'cpu', 'float_dtype': None})
    before = [_step('rename_observations_processor', {'rename_map': {}}),
              _step('to_batch_processor', {}), device,
              _normalization_step(NORMALIZER, config, STATE_FILES[PREPROCESSOR],
                                  {**config.input_features, **config.output_features})]
    after = [_normalization_step(UNNORMALIZER, config, STATE_FILES[POSTPROCESSOR],
                                 config.output_features), device]
    return {f'{name}.json': {'name': name, 'steps': steps}
            for name, steps in ((PREPROCESSOR, before), (POSTPROCESSOR, after))}


def processor_tensors(config, statistics):
    """
    Return the statistics as the processors store them.

    :param config: PolicyConfig.
    :param statistics: Key -> statistic -> float32 tensor.
    :return: File name -> ``<key>.<statistic>`` -> tensor.
    """
    keys = {PREPROCESSOR: (*config.input_features, *config.output_features),
            POSTPROCESSOR: config.output_features}
    return {STATE_FILES[name]: {f'{key}.{statistic}': tensor.contiguous() for key in keys[name]
                                for statistic, tensor in statistics[key].items()}
            for name in STATE_FILES}


def has_processors(folder) -> bool:
    """
    Tell whether a checkpoint has processors.

    :param folder: pathlib.Path of the checkpoint.
    """
    return any((folder / f'{name}.json').exists() for name in STATE_FILES)


def read_statistics(folder, config):
    """
    Read the statistics of a policy from its processors.

    Inputs are taken from the preprocessor and actions from the postprocessor, as they are used.

    :param folder: pathlib.Path of the checkpoint.
    :param config: PolicyConfig.
    :return: Key -> statistic -> float32 tensor.
    :raises CheckpointError: naming the file, what is wrong with it and the remedy.
    """
    inputs = _read_pipeline(folder, PREPROCESSOR, NORMALIZER, config)
    outputs = _read_pipeline(folder, POSTPROCESSOR, UNNORMALIZER, config)
    check_copies(outputs, {key: inputs.get(key, {}) for key in config.output_features}, folder)
    return {**{key: inputs.get(key, {}) for key in config.input_features},
            **{key: outputs.get(key, {}) for key in config.output_features}}


def check_copies(outputs, targets, path):
    """
    Refuse statistics of actions in training that are not those of running.

    :param outputs: Key -> statistic -> tensor, as used in running.
    :param targets: The same, as used in training.
    :param path: Where they come from, for messages.
    :raises CheckpointError: naming the statistic.
    """
    for key in targets.keys() & outputs.keys():
        for statistic in sorted(targets[key].keys() & outputs[key].keys()):
            # What is not a number differs from itself otherwise, and is refused where it is used.
            pair = (kept[key][statistic].nan_to_num() for kept in (targets, outputs))
            if not torch.equal(*pair):
                raise CheckpointError(
                    f'{path} has two different {statistic} of {key!r}, one for training and one '
                    'for running; it was put together from two policies')


def _step(registry_name, config):
    """Write one step of a pipeline."""
    return {'registry_name': registry_name, 'config': config}


def _normalization_step(registry_name, config, state_file, features):
    """Write the step that normalizes, or undoes it."""
    step = _step(registry_name, {'eps': EPS, 'features': features,
                                 'norm_map': config.normalization_mapping})
    return {**step, 'state_file': state_file}


def _read_pipeline(folder, pipeline, registry_name, config):
    """Read the statistics that one pipeline's normalization step points to."""
    path = folder / f'{pipeline}.json'
    step = _normalization_of(path, registry_name)
    keys = config.output_features if registry_name == UNNORMALIZER else config.input_features
    _check_settings(path, step, config, keys)
    statistics = {}
    tensors = read_tensors(file_beside(path, step.get('state_file'), 'state_file'))
    for name, tensor in tensors.items():
        key, _, statistic = name.rpartition('.')
        statistics.setdefault(key, {})[statistic] = tensor.to(torch.float32)
    return statistics


def _normalization_of(path, registry_name):
    """Return the one normalization step of a pipeline, whose other steps must be harmless."""
    steps = read_json(path).get('steps')
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise CheckpointError(f'{path}: steps is {shown(steps)}; it must be a list of steps; '
                              f'{REMEDY}')
    names = [step.get('registry_name') for step in steps]
    for step, name in zip(steps, names):
        if name != registry_name and name not in HARMLESS_STEPS:
            raise CheckpointError(
                f'{path}: the step {shown(name or step.get("class"))} is not known here, and the '
                'policy may have learned from what it does; train without it, or delete it from a '
                'copy of the folder where you know that it does nothing')
        _check_renames(path, step.get('config'))
    if names.count(registry_name) != 1:
        many = 'no step' if registry_name not in names else f'{names.count(registry_name)} steps'
        raise CheckpointError(f'{path} has {many} {registry_name!r}, not one: the normalization '
                              f'is unknown; {REMEDY}')
    return steps[names.index(registry_name)]


def _check_renames(path, settings):
    """Refuse observations that were renamed, as cameras could be swapped without a word."""
    renames = settings.get('rename_map') if isinstance(settings, dict) else None
    if renames:
        raise CheckpointError(
            f'{path}: rename_map is {shown(renames)}: the policy knows these observations of its '
            'data under other keys. Give each key of config.json the key that your contract has '
            'for what the policy saw under it (dpr import-lerobot --rename), and make rename_map '
            'empty in a copy of the folder')


def _check_settings(path, step, config, keys):
    """Refuse a pipeline that normalizes otherwise than config.json says."""
    settings = step.get('config')
    modes = settings.get('norm_map') if isinstance(settings, dict) else None
    if not isinstance(modes, dict):
        raise CheckpointError(f'{path}: the normalization step has no norm_map; {REMEDY}')
    features = {**config.input_features, **config.output_features}
    for feature_type in {feature['type'] for feature in features.values()}:
        mode = config.normalization_mapping[feature_type]
        told = modes.get(feature_type, 'IDENTITY')
        if told != mode:
            raise CheckpointError(f'{path}: norm_map[{feature_type!r}] is {shown(told)}, '
                                  f'config.json says {mode!r}; {REMEDY}')
    if settings.get('eps', EPS) != EPS:
        raise CheckpointError(f'{path}: eps is {shown(settings["eps"])}; only {EPS:g} can be used '
                              'here')
    _check_keys(path, settings, config, keys)


def _check_keys(path, settings, config, keys):
    """Refuse a pipeline that leaves out what config.json says is normalized."""
    given, only = settings.get('features'), settings.get('normalize_observation_keys')
    for key in keys:
        feature = {**config.input_features, **config.output_features}[key]
        if config.normalization_mapping[feature['type']] == 'IDENTITY':
            continue
        entry = given.get(key) if isinstance(given, dict) else None
        told = entry.get('type') if isinstance(entry, dict) else None
        left_out = isinstance(only, list) and key not in only and key in config.input_features
        if told != feature['type'] or left_out:
            raise CheckpointError(
                f'{path}: the normalization step leaves {key!r} as it is, or takes it for '
                f'{shown(told)}, while config.json has it normalized as {feature["type"]}; '
                f'{REMEDY}')
