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

"""
Build policies with LeRobot, run them, and run folders that this package wrote.

Needs lerobot with its extra "diffusion", and no part of this package:
``python lerobot_oracle.py make CASES.json OUT`` builds and saves the policies of lerobot_cases.py
and what they answer; ``python lerobot_oracle.py run FOLDER INPUTS.npz OUT.npz ...`` runs folders;
``python lerobot_oracle.py fixtures OUT`` makes the stored ones.
"""

import json
import os
from pathlib import Path
import sys

os.environ['HF_HUB_OFFLINE'] = '1'

from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature  # noqa: E402
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig  # noqa: E402
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy  # noqa: E402
from lerobot.policies.diffusion.processor_diffusion import (  # noqa: E402
    make_diffusion_pre_post_processors)
from lerobot.processor import PolicyProcessorPipeline  # noqa: E402
from lerobot.processor.converters import (  # noqa: E402
    policy_action_to_transition, transition_to_policy_action)
from lerobot_cases import (  # noqa: E402
    make_case, make_inputs, make_statistics, make_tensor)
import numpy as np  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
import torch  # noqa: E402

NOISE_SEED = 7
FIXTURES = {
    'vectors': (1, {'cameras': 0, 'down_dims': (8, 16), 'noise_scheduler_type': 'DDPM',
                    'modes': ['MEAN_STD', 'MIN_MAX', 'QUANTILES', 'MEAN_STD']}),
    'image_ddpm': (2, {'cameras': 1, 'environment': 0, 'use_group_norm': True,
                       'resize_shape': None, 'crop_shape': (40, 44), 'n_obs_steps': 2,
                       'vision_backbone': 'resnet18', 'noise_scheduler_type': 'DDPM',
                       'clip_sample': True, 'beta_schedule': 'squaredcos_cap_v2'}),
    'two_cameras_ddim': (3, {'cameras': 2, 'environment': 1, 'use_group_norm': False,
                             'use_separate_rgb_encoder_per_camera': True,
                             'vision_backbone': 'resnet18', 'resize_shape': (40, 52),
                             'crop_ratio': 0.8, 'noise_scheduler_type': 'DDIM',
                             'num_inference_steps': 10, 'clip_sample': True,
                             'beta_schedule': 'squaredcos_cap_v2',
                             'modes': ['QUANTILES', 'QUANTILE10', 'MEAN_STD', 'QUANTILES']})}


def build(case, seed):
    """Build a policy with weights by rule, and its processors."""
    arguments = dict(case)
    for name in ('input_features', 'output_features'):
        arguments[name] = {
            key: PolicyFeature(type=FeatureType(feature['type']), shape=tuple(feature['shape']))
            for key, feature in case[name].items()}
    arguments['normalization_mapping'] = {
        kind: NormalizationMode(mode) for kind, mode in case['normalization_mapping'].items()}
    for name in ('resize_shape', 'crop_shape', 'down_dims'):
        arguments[name] = arguments[name] and tuple(arguments[name])
    policy = DiffusionPolicy(DiffusionConfig(**arguments)).eval()
    with torch.no_grad():
        for name, tensor in policy.state_dict().items():
            value = make_tensor(name, tuple(tensor.shape), seed)
            if value is not None:
                tensor.copy_(torch.from_numpy(value))
    train(policy, seed)
    statistics = {key: {name: torch.from_numpy(value) for name, value in known.items()}
                  for key, known in make_statistics(case, seed).items()}
    return policy, *make_diffusion_pre_post_processors(policy.config, statistics)


def train(policy, seed, steps=200):
    """
    Train the U-Net a little, on chunks that depend on the condition.

    With random weights, every sampler ends where chunks are clipped.
    """
    diffusion, config = policy.diffusion, policy.config
    scheduler = diffusion.noise_scheduler
    torch.manual_seed(seed)
    optimizer = torch.optim.Adam(diffusion.unet.parameters(), 2e-3)
    size = diffusion.unet.mid_modules[0].cond_encoder[1].in_features
    size -= config.diffusion_step_embed_dim
    rows = torch.randn(config.horizon, 1) * torch.randn(config.action_feature.shape[0]) / 3
    for _ in range(steps):
        cond = torch.randn(64, size)
        clean = rows * (1 + 0.5 * cond[:, :1, None].sin())
        noise = torch.randn_like(clean)
        timesteps = torch.randint(config.num_train_timesteps, (64,))
        guess = diffusion.unet(scheduler.add_noise(clean, noise, timesteps), timesteps, cond)
        wanted = noise if config.prediction_type == 'epsilon' else clean
        optimizer.zero_grad()
        (guess - wanted).square().mean().backward()
        optimizer.step()


def answer(policy, before, after, inputs):
    """Return the rows that LeRobot would execute."""
    batch = {}
    for key, value in inputs.items():
        if key.startswith('observation'):
            tensor = torch.from_numpy(value)
            batch[key] = tensor.permute(0, 1, 4, 2, 3) / 255 if value.ndim == 5 else tensor
    torch.manual_seed(NOISE_SEED)
    chunk = policy.predict_action_chunk(before(batch), noise=torch.from_numpy(inputs['noise']))
    return after(chunk).numpy()


def load(folder):
    """Load a policy and its processors as LeRobot does."""
    policy = DiffusionPolicy.from_pretrained(folder, local_files_only=True)
    before = PolicyProcessorPipeline.from_pretrained(
        folder, config_filename='policy_preprocessor.json',
        overrides={'device_processor': {'device': 'cpu'}})
    after = PolicyProcessorPipeline.from_pretrained(
        folder, config_filename='policy_postprocessor.json',
        to_transition=policy_action_to_transition, to_output=transition_to_policy_action)
    return policy.to('cpu').eval(), before, after


def save(folder, parts):
    """Save a policy and its processors as LeRobot does."""
    for part in parts:
        part.save_pretrained(folder)


def make_fixtures(out):
    """Store small policies; large weights are left to the rule."""
    for name, (seed, fixed) in FIXTURES.items():
        case, folder = make_case(seed, **fixed), Path(out) / name
        parts = build(case, seed)
        save(folder, parts)
        inputs = make_inputs(case, seed, batch=1)
        np.savez_compressed(folder / 'expected.npz', chunk=answer(*parts, inputs), **inputs)
        weights = folder / 'model.safetensors'
        if weights.stat().st_size > 500_000:
            weights.unlink()
            save_file(parts[0].diffusion.unet.state_dict(), folder / 'unet.safetensors')
        shapes = {key: list(tensor.shape) for key, tensor in parts[0].state_dict().items()}
        (folder / 'made_by_rule.json').write_text(
            json.dumps({'seed': seed, 'noise_seed': NOISE_SEED, 'shapes': shapes}))
        (folder / 'README.md').unlink(missing_ok=True)


def main(command, *args):
    """Do what the docstring of this file says."""
    torch.set_num_threads(1)
    if command == 'fixtures':
        make_fixtures(args[0])
    elif command == 'make':
        for name, (seed, case) in json.loads(Path(args[0]).read_text()).items():
            parts, inputs = build(case, seed), make_inputs(case, seed)
            save(Path(args[1]) / name, parts)
            np.savez(Path(args[1]) / f'{name}.npz', chunk=answer(*parts, inputs), **inputs)
    else:
        for folder, inputs, out in zip(args[::3], args[1::3], args[2::3]):
            with np.load(inputs) as file:
                np.savez(out, chunk=answer(*load(folder), dict(file)))


if __name__ == '__main__':
    main(*sys.argv[1:])
