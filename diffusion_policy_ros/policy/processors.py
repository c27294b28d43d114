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
from diffusion_policy_ros.policy.checkpoint_files import read_json, read_tensors, REMEDY
import torch

PREPROCESSOR, POSTPROCESSOR = 'policy_preprocessor', 'policy_postprocessor'
NORMALIZER, UNNORMALIZER = 'normalizer_processor', 'unnormalizer_processor'
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
    return {**{key: inputs.get(key, {}) for key in config.input_features},
            **{key: outputs.get(key, {}) for key in config.output_features}}


def _step(registry_name, config):
    """Write one step of a pipeline."""
    return {'registry_name': registry_name, 'config': config}


def _normalization_step(registry_name, config, state_file, features):
    """Write the step that normalizes, or undoes it."""
    step = _step(registry_name, {'eps': 1e-8, 'features': features,
                                 'norm_map': config.normalization_mapping})
    return {**step, 'state_file': state_file}


def _read_pipeline(folder, pipeline, registry_name, config):
    """Read the statistics that one pipeline's normalization step points to."""
    path = folder / f'{pipeline}.json'
    document = read_json(path)
    steps = document.get('steps') if isinstance(document, dict) else None
    found = [step for step in steps if isinstance(step, dict)
             and step.get('registry_name') == registry_name] if isinstance(steps, list) else []
    if not found:
        raise CheckpointError(f'{path} has no step {registry_name!r}: the normalization is '
                              f'unknown; {REMEDY}')
    _check_modes(path, found[0], config)
    state_file = found[0].get('state_file')
    if not isinstance(state_file, str) or (folder / state_file).name != state_file:
        raise CheckpointError(f'{path}: state_file is {shown(state_file)}; it must name a file in '
                              f'the same folder; {REMEDY}')
    statistics = {}
    for name, tensor in read_tensors(folder / state_file).items():
        key, _, statistic = name.rpartition('.')
        statistics.setdefault(key, {})[statistic] = tensor.to(torch.float32)
    return statistics


def _check_modes(path, step, config):
    """Refuse a pipeline that normalizes otherwise than config.json says."""
    settings = step.get('config')
    modes = settings.get('norm_map') if isinstance(settings, dict) else None
    if not isinstance(modes, dict):
        raise CheckpointError(f'{path}: the normalization step has no norm_map; {REMEDY}')
    for feature_type, mode in config.normalization_mapping.items():
        if modes.get(feature_type, mode) != mode:
            raise CheckpointError(
                f'{path}: norm_map[{feature_type!r}] is {modes[feature_type]!r}, config.json says '
                f'{mode!r}; {REMEDY}')
