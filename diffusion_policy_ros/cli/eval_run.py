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

"""The work of ``dpr eval``: run one model or two, compare, and write down what came of it."""

from dataclasses import asdict, replace
from functools import partial

from diffusion_policy_ros.cli.eval import is_file, read_run_arguments, tell, write_figures
from diffusion_policy_ros.cli.simulations import load_simulation
from diffusion_policy_ros.errors import ConfigError, UsageError

WITH_VIDEO = ('pusht',)


def run_eval(args) -> int:
    """
    Evaluate, compare and write.

    :param args: Parsed and checked arguments of ``dpr eval``.
    :return: 0, or 130 when it was stopped with Ctrl-C and what was through is kept.
    """
    from diffusion_policy_ros.evaluation.eval_result import check_seeds, is_result, load_result

    seeds = range(args.seed, args.seed + args.episodes)
    models, stored = [args.model], None
    if args.against and args.against.resolve() == args.model.resolve():
        raise UsageError(f'--against is {args.against}, the model itself, under the same '
                         'arguments; to compare two settings, run one with --out FOLDER, then '
                         'the other --against FOLDER')
    if args.against and is_result(args.against):
        stored = load_result(args.against)
        check_seeds(stored, args.sim, seeds)
    elif args.against:
        models.append(args.against)
    found = []
    for measured in _measured_one_by_one(args, models, seeds):
        found.append(measured)
        name = f'{measured.name}: ' if args.against else ''
        print(f'{name}{measured.evaluation.sentence()}', flush=True)
        for figure, text in measured.live.items():
            print(f'  {figure}: {text}')
    _conclude(args, found[0], stored or (found[1] if found[1:] else None))
    is_whole = len(found) == len(models) and all(each.evaluation.is_whole for each in found)
    if not is_whole:
        print(f'stopped: {sum(len(each.episodes) for each in found)} of '
              f'{len(models) * len(seeds)} episodes were through and are kept')
    return 0 if is_whole else 130


def _conclude(args, measured, other):
    """Compare, and write what was asked for."""
    from diffusion_policy_ros.evaluation.eval_report import write_folder
    from diffusion_policy_ros.evaluation.eval_result import differing_settings
    from diffusion_policy_ros.evaluation.paired import compare
    from diffusion_policy_ros.machine import machine_facts, package_versions

    comparison = None
    if other is not None:
        comparison = compare((measured.name, other.name), measured.episodes, other.episodes,
                             differing_settings(measured.settings, other.settings))
        print(comparison.sentence())
    if args.out and is_file(args.out):
        compared = {'comparison': comparison.to_dict()} if comparison else {}
        write_figures(args.out, {**measured.to_dict(), **compared})
    elif args.out:
        tell(f'writing the report{" and the videos" * bool(measured.records)} to {args.out} ...')
        write_folder(args.out, measured, other, comparison,
                     {**machine_facts(), **package_versions()})
        videos = [f'{name}.mp4' for name in measured.records]
        print(f'written: {args.out}/' + ', '.join(['report.html', 'eval.json', *videos]))


def _measured_one_by_one(args, models, seeds):
    """Yield what was measured of each model, until the end or Ctrl-C."""
    from diffusion_policy_ros.cli.eval_ros import measure_through_ros

    measure = measure_through_ros if args.through_ros else _measure
    for number, prepared in enumerate(_loaded(args, models)):
        try:
            measured = measure(args, prepared, seeds)
        except KeyboardInterrupt:
            if not number:
                raise
            return
        yield measured
        if not measured.evaluation.is_whole:
            return


def _loaded(args, models):
    """Return (folder, policy, plan options, loop settings, sensors) of each model."""
    from diffusion_policy_ros.evaluation.evaluate import observation_messages
    from diffusion_policy_ros.evaluation.observation_noise import (
        NoisySensors, ObservationNoise, ranges)

    policies = [_policy(args, model) for model in models]
    noise, widths = ObservationNoise(args.noise_vectors, args.noise_images), {}
    # Both models get noise of the same size: where they know other ranges, the first's.
    for policy in reversed(policies if noise.vectors else []):
        widths.update(ranges(policy))
    sensors = partial(NoisySensors, observation_messages, noise, widths) if noise else None
    return [(model, policy, *read_run_arguments(args, policy), sensors)
            for model, policy in zip(models, policies)]


def _policy(args, model):
    """Load a policy to run under the contract that was named, as policy_server does."""
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.policy.policy import Policy
    from diffusion_policy_ros.policy.served_contract import choose_contract

    named = load_contract(args.contract) if args.contract else None
    policy = Policy.load(model, args.device, contract=named)
    if policy.contract is None:
        raise ConfigError(f'{model} holds no robot contract, so the simulation cannot tell what '
                          'it sees; give it with --contract')
    policy.contract = choose_contract(args.contract, policy.contract, model)
    return policy


def _measure(args, prepared, seeds):
    """Run all episodes of one model in lock step."""
    from diffusion_policy_ros.evaluation import evaluate as evaluation
    from diffusion_policy_ros.evaluation.eval_curves import curves, look_at_score
    from diffusion_policy_ros.evaluation.eval_report import Measured
    from diffusion_policy_ros.evaluation.eval_video import as_record, choose, look_at, PlanBook
    from diffusion_policy_ros.policy.device import memory_guard
    from tqdm import tqdm

    model, policy, options, loop, sensors = prepared
    loop = replace(loop, jitter_ms=args.delay_jitter_ms)
    make_environment, max_steps = load_simulation(args.sim)
    book, rate_hz, has_video = PlanBook(), policy.contract.rate_hz, args.sim in WITH_VIDEO
    with memory_guard('lower --batch'), \
            tqdm(total=len(seeds), desc=f'eval {args.sim}', unit='episode') as bar:
        result = evaluation.evaluate(
            policy, make_environment, seeds, options=options, loop=loop,
            max_steps=max_steps, batch_size=args.batch, progress=bar.update, watch=book,
            sensors=sensors, look_at=look_at if has_video else look_at_score,
            keeps_finished=True)
    records = {} if not has_video or not args.out or is_file(args.out) else {
        name: as_record(number, result, book, rate_hz=rate_hz,
                        n_obs_steps=policy.config.n_obs_steps)
        for name, number in choose(result.episodes).items()}
    return Measured(
        str(model), {**settings(args, model), **asdict(options), 'loop': asdict(loop)}, result,
        curves(result.episodes, [[row[0] for row in seen] for seen in result.seen],
               rate_hz=rate_hz, max_steps=max_steps), records)


def settings(args, model) -> dict:
    """
    Return what identifies a run, ready for JSON.

    :param args: Parsed arguments of ``dpr eval``.
    :param model: Checkpoint folder.
    """
    from diffusion_policy_ros.policy.checkpoint import weights_digest
    from diffusion_policy_ros.policy.device import choose_device

    # The policy server has a number of threads of its own where none is asked for.
    computed = {'threads': args.threads} if args.through_ros else {
        'threads': 1 if args.threads is None else args.threads, 'batch': args.batch}
    return {'model': str(model), 'model_sha256': weights_digest(model), 'sim': args.sim,
            'first_seed': args.seed, 'through_ros': args.through_ros,
            'contract': args.contract and str(args.contract),
            'device': str(choose_device(args.device)), **computed,
            'noise_vectors': args.noise_vectors, 'noise_images': args.noise_images}
