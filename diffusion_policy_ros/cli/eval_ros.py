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

"""The episodes of ``dpr eval --through-ros``: nodes as in the launch files, in real time."""

from dataclasses import asdict, replace
from pathlib import Path
import tempfile
import time

from diffusion_policy_ros.cli.children import Children, node_environment
from diffusion_policy_ros.cli.eval import sampler_changes
from diffusion_policy_ros.cli.live_nodes import play_episodes
from diffusion_policy_ros.cli.ros_domain import hold_domain
from diffusion_policy_ros.cli.simulations import load_simulation
from diffusion_policy_ros.share import share_path

# Of command_safety, whatever the policy server's is.
SAFETY_RATE_HZ = 100.0
RECORD = 'episode_{}.npz'  # as the observer names them


def measure_through_ros(args, prepared, seeds):
    """
    Run all episodes of one model over ROS.

    :param args: Parsed arguments of ``dpr eval``.
    :param prepared: (folder, policy, plan options, loop settings, None).
    :param seeds: Range of the seeds.
    :return: ``Measured``.
    """
    from diffusion_policy_ros.cli.eval_run import settings
    from diffusion_policy_ros.evaluation.demo_record import load_record
    from diffusion_policy_ros.evaluation.eval_curves import curves
    from diffusion_policy_ros.evaluation.eval_live import (
        episode_result, live_figures, score_course)
    from diffusion_policy_ros.evaluation.eval_report import Measured
    from diffusion_policy_ros.evaluation.eval_video import choose
    from diffusion_policy_ros.evaluation.evaluate import Evaluation

    model, policy, options, loop, _ = prepared
    make_environment, max_steps = load_simulation(args.sim)
    make_environment(policy.contract)  # refuses at once what the node would wait for in vain
    rate_hz, started_s = policy.contract.rate_hz, time.monotonic()
    with tempfile.TemporaryDirectory(prefix='dpr_eval_') as folder:
        records, guards = _played(args.sim, len(seeds), _episodes(
            Path(folder), args.sim, _parameters(args, model, options, loop), seeds,
            max_steps / rate_hz))
        results = tuple(episode_result(record, rate_hz) for record in records)
        shown = {name: load_record(Path(folder) / RECORD.format(number))
                 for name, number in choose(results).items()}
    evaluation = Evaluation(results, time.monotonic() - started_s,
                            is_whole=len(records) == len(seeds))
    return Measured(
        str(model), {**settings(args, model), **asdict(options), 'loop': asdict(loop)}, evaluation,
        curves(results, [score_course(record, rate_hz, max_steps) for record in records],
               rate_hz=rate_hz, max_steps=max_steps),
        shown, live_figures(records, guards, SAFETY_RATE_HZ))


def _played(sim, count, episodes):
    """Return the records, without the pictures that fill the memory, and what came with them."""
    from tqdm import tqdm

    told = []
    with tqdm(total=count, desc=f'eval {sim} over ROS 2', unit='episode') as bar:
        try:
            for record, guard in episodes:
                told.append((replace(record, pictures=record.pictures[:0]), guard))
                bar.update()
        except KeyboardInterrupt:
            if not told:
                raise
    return tuple(zip(*told))


def _parameters(args, model, options, loop):
    """Return the policy server's parameters; its contract is what the other nodes follow too."""
    from diffusion_policy_ros.policy.checkpoint import CONTRACT

    replan, join = loop.replan, loop.join
    sampler = {name if name in ('solver', 'num_inference_steps') else f'sampler.{name}': value
               for name, value in sampler_changes(args).items()}
    threads = {} if args.threads is None else {'num_threads': args.threads}
    return {
        **threads, 'contract': (args.contract or Path(model) / CONTRACT).resolve(),
        'model': Path(model).resolve(), 'device': args.device,
        'execute_horizon': replan.execute_horizon, 'replan': replan.trigger, 'join': join.name,
        'blend_rows': join.blend_rows, 'warm_start_level': options.warm_start_level,
        'num_candidates': options.num_candidates, 'inference_delay_ms': float(loop.delay_ms),
        'seed': args.seed, **sampler}


def _episodes(folder, sim, server, seeds, seconds):
    """Start the nodes, and yield the record of each episode and what command_safety did."""
    from diffusion_policy_ros.evaluation.demo_record import load_record

    with hold_domain(None) as domain:
        environment = node_environment(domain, share_path('config', 'fastdds.xml'))
        with Children(folder, environment) as children:
            events = play_episodes(
                children, sim, server['contract'], simulation={'seed': seeds[0]}, server=server,
                observer={'command_rate_hz': SAFETY_RATE_HZ, 'records': folder,
                          'episodes': len(seeds), 'seconds_per_episode': seconds},
                has_safety=True)
            for kind, event in events:
                if kind == 'guard':
                    yield load_record(folder / RECORD.format(event['episode'])), event
