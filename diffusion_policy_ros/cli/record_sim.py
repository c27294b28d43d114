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

"""``dpr record-sim``: the scripted expert of a simulation demonstrates, and bags are written."""

from pathlib import Path
import shlex
import shutil

from diffusion_policy_ros.cli.simulations import EXPERTS
from diffusion_policy_ros.cli.stopping import interrupting_signals
from diffusion_policy_ros.cli.usage import check_range, LARGEST_SEED
from diffusion_policy_ros.errors import BagError


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('sim', choices=sorted(EXPERTS), help='simulated robot')
    parser.add_argument('--out', type=Path, required=True,
                        help='folder to create for the bags, one per episode')
    parser.add_argument('--episodes', type=int, default=200, help='number of demonstrations')
    parser.add_argument('--seed', type=int, default=0,
                        help='seed of the first episode and of its demonstrator; the others count '
                             'up from it; dpr eval begins at 100000')
    parser.add_argument('--contract', type=Path,
                        help='robot contract (YAML); default: the one in config/robots that is '
                             'made for the simulation')


def run(args) -> int:
    """
    Record all episodes.

    :param args: Parsed arguments.
    :return: 0.
    :raises BagError: if the folder exists or cannot be written; nothing is left of it then.
    """
    from diffusion_policy_ros.cli.simulations import load_expert
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.data.new_folder import check_new

    check_range('episodes', args.episodes, 1, 10**6)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    check_new(args.out, BagError)
    make_environment, max_steps, expert, contract = load_expert(args.sim)
    environment = make_environment(load_contract(args.contract or contract))
    with interrupting_signals():
        rows, solved = _record(args, environment, expert, max_steps)
    print(f'{args.episodes} demonstrations with {rows} rows -> {args.out}; {solved} solved the '
          'task')
    only = '' if solved == args.episodes else ' --only success'
    print(f'next: dpr convert {shlex.quote(str(args.out))}{only} --out datasets/NAME')
    return 0


def _record(args, environment, expert, max_steps):
    """Write a folder of bags that gets its name when it is whole; return rows and successes."""
    from diffusion_policy_ros.data.bags.episode_files import episode_path
    from diffusion_policy_ros.data.new_folder import unfinished_path
    from diffusion_policy_ros.data.progress import progress_bar
    from diffusion_policy_ros.on_disk import put_in_place

    part, rows, solved = unfinished_path(args.out), 0, 0
    try:
        with progress_bar(f'recording {args.sim}', args.episodes) as bar:
            for number in range(args.episodes):
                rows += demonstrate(episode_path(part, number), environment, expert,
                                    args.seed + number, max_steps=max_steps,
                                    fields={'episode': str(number), 'source': f'{args.sim} '
                                            f'simulation, seed {args.seed + number}'})
                solved += environment.success
                bar.update()
        put_in_place(part, args.out)
    except OSError as error:
        raise BagError(f'cannot write {args.out}: {error}') from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return rows, solved


def demonstrate(folder, environment, expert, seed, *, max_steps, fields) -> int:
    """
    Record one demonstration.

    :param folder: Folder to create for its bag.
    :param environment: The robot's ``Environment``.
    :param expert: Its ``Expert``.
    :param seed: Seed of the episode and of the demonstrator.
    :param max_steps: Rows at most.
    :param fields: Entries of the bag's metadata, ``{str: str}``.
    :return: Number of rows.
    :raises BagError: if the bag cannot be written; nothing is left of it then.
    """
    from diffusion_policy_ros.data.recording.row_bag import RowBag

    environment.reset(seed)
    expert.reset(seed, environment)
    with RowBag(folder, environment.contract, task=expert.task, fields=fields) as bag:
        for _ in range(max_steps):
            action = expert.act(environment)
            if action is None:
                break
            bag.write(environment.observation(), action)
            environment.step(action)
        bag.close(environment.success)
        return bag.rows
