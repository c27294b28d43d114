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

from diffusion_policy_ros.cli.simulations import SIMULATIONS
from diffusion_policy_ros.cli.threads import use_threads
from diffusion_policy_ros.errors import ConfigError, UsageError

PASSED_ON_WITHIN_S = 2.0
EPILOG = """On several GPUs: torchrun --nproc-per-node 2 --no-python dpr train DATASET --out OUT.
Each step then learns from batch_size * accumulation_steps * processes windows. OUT holds the last
averaged weights, OUT.best the best ones: by the mean score of rollouts, where rollouts.sim is set,
otherwise by the action error on held-out episodes. OUT.run/curves.png shows how it went. The
settings are in train.yaml in each of them, for --config."""


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.epilog = EPILOG
    parser.add_argument('dataset', type=Path, help='LeRobotDataset v3.0 folder, from dpr convert')
    parser.add_argument('--out', type=Path, required=True,
                        help='checkpoint folder to write; OUT.best beside it is the best one, and '
                             'OUT.run keeps what a resume needs, TensorBoard log and curves')
    parser.add_argument('--config', type=Path,
                        help='training configuration (YAML); examples in config/train/')
    parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE',
                        dest='overrides',
                        help='override one setting, e.g. steps=20000, policy.horizon=16 or '
                             'policy.denoiser.type=transformer')
    parser.add_argument('--resume', action='store_true',
                        help='go on from OUT.run, exactly where it stopped, with as many '
                             'processes and on the same type of device, and with the same '
                             'settings: --config OUT.run/train.yaml holds them all; dpr info '
                             'OUT.run tells how far it came')
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
    from diffusion_policy_ros.cli.train_rollouts import rollout_function
    from diffusion_policy_ros.training.processes import joined_processes, OtherProcessFailed

    use_threads(args.threads)
    try:
        with joined_processes(args.device) as (processes, device):
            config = load_settings(args.config, args.overrides)
            roll_out = rollout_function(config.rollouts, args.dataset)
            return _train(args, config, roll_out, processes, device)
    except OtherProcessFailed:  # it has told why
        return 1


def load_settings(path, overrides):
    """
    Return the settings of a training.

    :param path: Path of ``--config``, None without it.
    :param overrides: Texts of ``--set``.
    :return: ``TrainConfig``.
    :raises UsageError: if ``--set`` makes of settings that could be used some that cannot.
    :raises ConfigError: if the file is wrong by itself.
    """
    from diffusion_policy_ros.training.config import load_train_config

    try:
        return load_train_config(path, overrides)
    except ConfigError as error:
        load_train_config(path)
        raise UsageError(f'--set: {error}') from error


def _train(args, config, roll_out, processes, device):
    """Train in this process and return its exit code; the first one tells the result."""
    from diffusion_policy_ros.cli.stopping import StopRequest
    from diffusion_policy_ros.training.loop import Interrupted
    from diffusion_policy_ros.training.run import train

    # torchrun passes on the Ctrl-C that the terminal has sent to every process already.
    with StopRequest(is_quiet=not processes.is_first,
                     passed_on_within_s=PASSED_ON_WITHIN_S if processes.count > 1 else 0) as stop:
        try:
            summary = train(args.dataset, args.out, config, device=device, resume=args.resume,
                            stop_requested=stop, cache_dir=args.cache, processes=processes,
                            roll_out=roll_out)
        except Interrupted as interruption:
            if processes.is_first:
                print(interruption)
            return 130
    if processes.is_first:
        print(summary)
        print(_next_steps(args.out.resolve()))
    return 0


def _next_steps(out):
    """Tell in one line what can be done with a checkpoint, in words that a shell takes."""
    from diffusion_policy_ros.training.run_folder import run_folder_of

    here = Path.cwd()
    model, run = (shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
                  for path in (out, run_folder_of(out)))
    return (f'next: dpr eval {model} --sim NAME (only for {", ".join(SIMULATIONS)}), or ros2 '
            f'launch diffusion_policy_ros policy.launch.py model:={model}; curves: tensorboard '
            f'--logdir {run}/tensorboard')
