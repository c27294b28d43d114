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

"""``dpr modes``: whether a policy knows that there is more than one good answer."""

from pathlib import Path

from diffusion_policy_ros.cli.eval import add_sampler_arguments, sampler_changes, write_figures
from diffusion_policy_ros.cli.out_folder import check_out_file, writing_out
from diffusion_policy_ros.cli.simulations import load_two_sided, TWO_SIDED
from diffusion_policy_ros.cli.threads import add_threads_argument, use_threads
from diffusion_policy_ros.cli.usage import check_range, LARGEST_SEED
from diffusion_policy_ros.errors import UsageError


def add_arguments(parser):
    """
    Declare the arguments.

    :param parser: The subcommand's ``ArgumentParser``.
    """
    parser.add_argument('model', type=Path, help='checkpoint folder')
    parser.add_argument('--dataset', type=Path, metavar='FOLDER',
                        help='sample at a recorded observation of this LeRobotDataset v3.0; '
                             'default: where a simulated robot has two valid answers')
    parser.add_argument('--sim', choices=sorted(TWO_SIDED),
                        help='that simulated robot; default: pusht, at a table that is its own '
                             'mirror image')
    parser.add_argument('--episode', type=int, help='episode of the dataset, from 0')
    parser.add_argument('--row', type=int, help='row of the episode, from 0')
    parser.add_argument('--cache', type=Path, metavar='DIR', help='where the decoded dataset is '
                        'kept; default: .cache in the dataset')
    parser.add_argument('--samples', type=int, default=100, help='chunks to sample')
    parser.add_argument('--seed', type=int, default=0, help='seed of the noise')
    add_sampler_arguments(parser)
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1 ...')
    add_threads_argument(parser)
    parser.add_argument('--out', type=Path, default=Path('modes.png'), metavar='FILE.png',
                        help='picture of the chunks')
    parser.add_argument('--json', type=Path, metavar='FILE', help='file for figures and chunks')


def run(args) -> int:
    """
    Sample, measure, draw and print one line.

    :param args: Parsed arguments.
    :return: 0.
    """
    from diffusion_policy_ros.policy.device import memory_guard
    from diffusion_policy_ros.policy.policy import Policy

    _check(args)
    use_threads(args.threads)
    policy = Policy.load(args.model, args.device)
    sampler = policy.sampler.changed(**sampler_changes(args))
    policy.check_sampler(sampler)
    with memory_guard('lower --samples'):
        measure = _recorded if args.dataset else _mirrored
        sentence, figures = measure(args, policy, sampler)
    print(sentence)
    if args.json:
        write_figures(args.json, {'model': str(args.model), 'seed': args.seed,
                                  'sentence': sentence, **figures})
    return 0


def _check(args):
    """Refuse what cannot be, before anything that takes long."""
    sampler_changes(args)
    check_range('samples', args.samples, 10, 10_000)
    check_range('seed', args.seed, 0, LARGEST_SEED)
    check_range('episode', args.episode, 0)
    check_range('row', args.row, 0)
    named = [name for name in ('episode', 'row') if getattr(args, name) is not None]
    if args.dataset and len(named) < 2:
        raise UsageError('--dataset needs --episode and --row, which name the observation')
    if args.dataset and args.sim:
        raise UsageError('--sim is for a place in a simulation; leave it out with --dataset')
    if not args.dataset and (named or args.cache):
        raise UsageError('--episode, --row and --cache are of a dataset; name the --dataset too')
    for out in filter(None, (args.out, args.json)):
        check_out_file(out)
    if args.out.suffix != '.png':
        raise UsageError(f'--out is {args.out}; the picture is a PNG, name a file FILE.png')
    if args.json and args.json.suffix != '.json':
        raise UsageError(f'--json is {args.json}; name a file FILE.json')


def _sampled(args, policy, sampler, window):
    """Return chunks from the newest observation on, robot units, and their split."""
    from diffusion_policy_ros.evaluation.modes import split_in_two
    from diffusion_policy_ros.streams import ACTION_KEY
    import torch

    chunks = policy.sample_candidates(
        window, args.samples, sampler=sampler,
        generator=torch.Generator().manual_seed(args.seed))[0, :, policy.config.n_obs_steps - 1:]
    split = split_in_two(policy.normalizer.normalize(ACTION_KEY, chunks).cpu().numpy())
    return chunks.double().cpu().numpy(), split


def _mirrored(args, policy, sampler):
    """Sample where a simulated robot has two valid answers."""
    from diffusion_policy_ros.evaluation.intervals import success_interval

    place = load_two_sided(args.sim or 'pusht')(policy)
    chunks, split = _sampled(args, policy, sampler, place.window)
    is_left = place.passes_left(chunks)
    left, share_95 = int(is_left.sum()), success_interval(int(is_left.sum()), len(chunks))
    low, high = (100 * end for end in share_95)
    sentence = (f'{len(chunks)} chunks for {place.name}: {left} pass on '
                f'the left, {len(chunks) - left} on the right ({100 * left / len(chunks):.1f} % '
                f'left, 95 % {low:.1f} to {high:.1f}); {split.sentence()}')
    with writing_out(args.out):
        place.draw(args.out, chunks, is_left, sentence)
    return sentence, {'left': left, 'left_95': share_95, 'is_left': is_left.tolist(),
                      **split.to_dict(), 'chunks': chunks.tolist()}


def _recorded(args, policy, sampler):
    """Sample at an observation of a dataset."""
    from diffusion_policy_ros.evaluation.modes_picture import draw_entries
    from diffusion_policy_ros.evaluation.recorded_window import recorded_window
    from diffusion_policy_ros.streams import ACTION_KEY

    window, rate_hz = recorded_window(policy, args.dataset, args.episode, args.row, args.cache)
    chunks, split = _sampled(args, policy, sampler, window)
    names = policy.contract.action_names if policy.contract else \
        [str(entry) for entry in range(chunks.shape[2])]
    sentence = (f'{len(chunks)} chunks at row {args.row} of episode {args.episode}: '
                f'{split.sentence()}')
    with writing_out(args.out):
        draw_entries(args.out, chunks, split, names, rate_hz=rate_hz, title=sentence,
                     recorded=window[ACTION_KEY][0, policy.config.n_obs_steps - 1:])
    return sentence, {'dataset': str(args.dataset), 'episode': args.episode, 'row': args.row,
                      **split.to_dict(), 'chunks': chunks.tolist()}
