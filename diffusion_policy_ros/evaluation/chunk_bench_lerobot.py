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
LeRobot and a plain loop with diffusers, timed: a script that a Python with lerobot runs by path.

It answers each JSON line on stdin with a JSON line: how long the chunks took, and their rows.
LeRobot's policy runs as it is. The loop with diffusers has the networks of this package, found
beside this file, where the other libraries suffice for them.
"""

import argparse
from importlib import import_module, metadata
from importlib.util import module_from_spec, spec_from_file_location
import json
import os
from pathlib import Path
import sys
import time

PACKAGES = ('lerobot', 'diffusers', 'torch')
PREDICTIONS = ('epsilon', 'sample', 'v_prediction')


class LeftOutError(Exception):
    """Says why a library takes no part."""


class LeRobot:
    """LeRobot's ``DiffusionPolicy``; it encodes the observation once for each candidate."""

    def __init__(self, args, window, noise):
        """
        Load it as LeRobot does.

        :param args: Parsed command line.
        :param window: Key -> array (1, n_obs_steps, ...).
        :param noise: Array (candidates, horizon, action_dim).
        """
        model = import_module('lerobot.policies.diffusion.modeling_diffusion').DiffusionPolicy
        pipeline = import_module('lerobot.processor').PolicyProcessorPipeline
        converters = import_module('lerobot.processor.converters')
        self._policy = model.from_pretrained(args.lerobot, local_files_only=True)
        self._policy = self._policy.to(args.device).eval()
        before = pipeline.from_pretrained(
            args.lerobot, config_filename='policy_preprocessor.json',
            overrides={'device_processor': {'device': args.device}})
        self._after = pipeline.from_pretrained(
            args.lerobot, config_filename='policy_postprocessor.json',
            to_transition=converters.policy_action_to_transition,
            to_output=converters.transition_to_policy_action)
        torch = import_module('torch')
        self._batch = before({key: _as_lerobot(torch.from_numpy(value))
                              for key, value in window.items()})
        self._noise = torch.from_numpy(noise).to(args.device)

    def prepare(self, evaluations, candidates):
        """Return the arguments of ``draw``; normalization of the observation is not timed."""
        self._policy.diffusion.num_inference_steps = evaluations
        batch = {key: value.repeat_interleave(candidates, dim=0)
                 for key, value in self._batch.items() if key.startswith('observation')}
        return batch, self._noise[:candidates]

    def draw(self, batch, noise):
        """Draw chunks in normalized units."""
        return self._policy.predict_action_chunk(batch, noise=noise)

    def executable(self, chunk):
        """Return the rows that may be executed in robot units."""
        return self._after(chunk)


class DiffusersLoop:
    """The networks of this package, module by module, with a scheduler of diffusers."""

    def __init__(self, args, window, noise):
        """
        Load them.

        :param args: Parsed command line.
        :param window: Key -> array (1, n_obs_steps, ...).
        :param noise: Array (candidates, horizon, action_dim).
        """
        self._torch, self._library = import_module('torch'), import_module('diffusers')
        package = _own_package()
        self._diffusion = import_module(f'{package}.diffusion')
        self._policy = import_module(f'{package}.policy.policy').Policy.load(
            args.checkpoint, args.device)
        if self._policy.config.prediction_type not in PREDICTIONS:
            raise LeftOutError(f'it knows no {self._policy.config.prediction_type}')
        self._solver, self._window = args.solver, window
        self._noise = self._torch.from_numpy(noise).to(args.device)

    def prepare(self, evaluations, candidates):
        """Return the arguments of ``draw``: a scheduler that visits the levels that we visit."""
        config = self._policy.config
        known = {name: getattr(config, name) for name in (
            'num_train_timesteps', 'beta_start', 'beta_end', 'beta_schedule', 'prediction_type')}
        if self._solver == 'ddim':
            scheduler = self._library.DDIMScheduler(
                **known, clip_sample=config.clip_sample,
                clip_sample_range=config.clip_sample_range)
            steps = {'num_inference_steps': evaluations}
        else:
            scheduler = self._library.DPMSolverMultistepScheduler(**known)
            sampler = self._diffusion.Sampler(self._solver, num_inference_steps=evaluations)
            levels = self._diffusion.inference_levels(self._policy.process, sampler)
            steps = {'timesteps': [int(level.timestep) for level in levels[:-1]]}
        return scheduler, steps, self._noise[:candidates]

    def draw(self, scheduler, steps, noise):
        """Draw chunks in robot units."""
        with self._torch.no_grad():
            cond = self._policy.encode(self._window).repeat_interleave(len(noise), dim=0)
            scheduler.set_timesteps(**steps, device=noise.device)
            chunk = noise
            for t in scheduler.timesteps:
                prediction = self._policy.denoise(chunk, t[None].float(), cond)
                chunk = scheduler.step(prediction, t, chunk).prev_sample
            return self._policy.normalizer.unnormalize('action', chunk)

    def executable(self, chunk):
        """Return the rows that may be executed."""
        return self._policy.executable(chunk)


WAYS = {'diffusers': DiffusersLoop, 'lerobot': LeRobot}


def answer(way, device, question):
    """
    Draw chunks.

    :param way: One of ``WAYS``.
    :param device: Name of the torch device.
    :param question: Evaluations and candidates, by name.
    :return: Seconds and rows, by name.
    """
    torch = import_module('torch')
    prepared = way.prepare(question['evaluations'], question['candidates'])
    started_s = time.perf_counter()
    chunk = way.draw(*prepared)
    if device.startswith('cuda'):
        torch.cuda.synchronize(device)
    seconds = time.perf_counter() - started_s
    return {'seconds': seconds, 'chunk': way.executable(chunk).cpu().tolist()}


def load_ways(args):
    """
    Load the policy with each library.

    :param args: Parsed command line.
    :return: Ways by name, and why the others take no part, by name.
    """
    with import_module('numpy').load(args.observation) as file:
        window = dict(file)
    noise, ways, left_out = window.pop('noise'), {}, {}
    for name, build in WAYS.items():
        if name == 'lerobot' and not args.lerobot:
            continue
        try:
            ways[name] = build(args, window, noise)
        except (ImportError, LeftOutError) as error:
            left_out[name] = str(error)
    return ways, left_out


def _as_lerobot(tensor):
    """Return pictures in LeRobot's layout and range, vectors as they are."""
    if tensor.ndim < 5:
        return tensor
    return tensor.permute(0, 1, 4, 2, 3).contiguous() / 255


def _own_package():
    """Make the package that this file belongs to importable, and nothing that lies beside it."""
    root = Path(__file__).resolve().parents[1]
    if root.name not in sys.modules:
        spec = spec_from_file_location(root.name, root / '__init__.py',
                                       submodule_search_locations=[str(root)])
        sys.modules[root.name] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[root.name])
    return root.name


def _version(package):
    """Return the version of a package, None where it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _tell(document):
    """Write one answer."""
    print(json.dumps({'dpr': document}), flush=True)


def main():
    """Draw chunks as often as asked."""
    sys.path.pop(0)  # the modules beside this file are not those that libraries mean
    os.environ['HF_HUB_OFFLINE'] = '1'
    parser = argparse.ArgumentParser()
    parser.add_argument('--lerobot')
    for name in ('--checkpoint', '--solver', '--observation', '--device'):
        parser.add_argument(name, required=True)
    parser.add_argument('--threads', type=int, required=True)
    args = parser.parse_args()
    import_module('torch').set_num_threads(args.threads)
    ways, left_out = load_ways(args)
    versions = {name: _version(name) for name in PACKAGES}
    _tell({'peers': list(ways), 'left_out': left_out,
           'versions': {name: version for name, version in versions.items() if version}})
    for line in sys.stdin:
        question = json.loads(line)
        _tell(answer(ways[question['peer']], args.device, question))


if __name__ == '__main__':
    main()
