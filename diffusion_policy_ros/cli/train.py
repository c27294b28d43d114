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

"""``dpr train``: a demonstration dataset becomes a checkpoint."""

from pathlib import Path
import shlex

LARGEST_THREADS = 256


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('dataset', type=Path, help='LeRobotDataset v3.0 folder, from dpr convert')
    parser.add_argument('--out', type=Path, required=True,
                        help='checkpoint folder to write; OUT.run beside it keeps what a resume '
                             'needs and the TensorBoard log')
    parser.add_argument('--config', type=Path,
                        help='training configuration (YAML); examples in config/train/')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE',
                        dest='overrides',
                        help='override one setting, e.g. steps=20000 or policy.horizon=16')
    parser.add_argument('--resume', action='store_true',
                        help='go on from OUT.run, exactly where it stopped')
    parser.add_argument('--cache', type=Path, metavar='DIR',
                        help='folder for the decoded dataset, where the dataset itself cannot be '
                             'written to; default: .cache in the dataset')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    parser.add_argument('--threads', type=int, default=0,
                        help='CPU threads for torch; 0, the default, leaves the choice to torch, '
                             'as a rule one per core; on a busy machine fewer can be faster')


def run(args) -> int:
    """
    Train.

    :param args: Parsed arguments.
    :return: 0 when the run finished, 130 when it was stopped and can be resumed.
    """
    import torch

    from diffusion_policy_ros.cli.stopping import StopRequest
    from diffusion_policy_ros.errors import ConfigError
    from diffusion_policy_ros.policy.device import choose_device
    from diffusion_policy_ros.training.config import load_train_config
    from diffusion_policy_ros.training.loop import Interrupted
    from diffusion_policy_ros.training.run import train

    if not 0 <= args.threads <= LARGEST_THREADS:
        raise ConfigError(f'--threads is {args.threads}; it must be from 0 to {LARGEST_THREADS}')
    if args.threads:
        torch.set_num_threads(args.threads)
    config = load_train_config(args.config, args.overrides)
    with StopRequest() as stop:
        try:
            summary = train(args.dataset, args.out, config, device=choose_device(args.device),
                            resume=args.resume, stop_requested=stop, cache_dir=args.cache)
        except Interrupted as interruption:
            print(interruption)
            return 130
    print(summary)
    print(_next_steps(args.out.resolve()))
    return 0


def _next_steps(out):
    """Tell in one line what can be done with a checkpoint, in words that a shell takes."""
    here = Path.cwd()
    model, run = (shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
                  for path in (out, out.with_name(f'{out.name}.run')))
    return (f'next: dpr eval {model} --sim pusht (Push-T only), or ros2 launch '
            f'diffusion_policy_ros policy.launch.py model:={model}; curves: tensorboard --logdir '
            f'{run}/tensorboard')
