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

"""The episodes of ``dpr eval --through-ros``: the nodes of ``pusht.launch.py``, in real time."""

from dataclasses import asdict
from pathlib import Path
import subprocess
import tempfile
import time

from diffusion_policy_ros.cli.children import Children, node_command, node_environment
from diffusion_policy_ros.cli.eval import sampler_changes
from diffusion_policy_ros.cli.node_events import node_events
from diffusion_policy_ros.cli.ros_domain import hold_domain
from diffusion_policy_ros.cli.simulations import SIMULATIONS
from diffusion_policy_ros.share import share_path

# Where commands come from: the policy server's go to command_safety, which has its own rate.
PREFIX, SAFETY_RATE_HZ = 'policy', 100.0


def measure_through_ros(args, prepared, seeds):
    """
    Run all episodes of one model over ROS.

    :param args: Parsed arguments of ``dpr eval``.
    :param prepared: (folder, policy, plan options, loop settings, None).
    :param seeds: Range of the seeds.
    :return: ``Measured``.
    """
    from diffusion_policy_ros.cli.eval_run import settings
    from diffusion_policy_ros.evaluation.eval_curves import curves
    from diffusion_policy_ros.evaluation.eval_live import (
        episode_result, live_figures, score_course)
    from diffusion_policy_ros.evaluation.eval_report import Measured
    from diffusion_policy_ros.evaluation.eval_video import choose
    from diffusion_policy_ros.evaluation.evaluate import Evaluation
    from tqdm import tqdm

    model, policy, options, loop, _ = prepared
    max_steps, rate_hz = SIMULATIONS[args.sim][2], policy.contract.rate_hz
    started_s, records, guards = time.monotonic(), [], []
    parameters = _parameters(args, model, options, loop)
    with tqdm(total=len(seeds), desc=f'eval {args.sim} over ROS 2', unit='episode') as bar:
        try:
            for record, guard in _episodes(parameters, seeds, max_steps / rate_hz):
                records.append(record)
                guards.append(guard)
                bar.update()
        except KeyboardInterrupt:
            if not records:
                raise
    results = tuple(episode_result(record, rate_hz) for record in records)
    evaluation = Evaluation(results, time.monotonic() - started_s,
                            is_whole=len(records) == len(seeds))
    return Measured(
        str(model), {**settings(args, model), **asdict(options), 'loop': asdict(loop)}, evaluation,
        curves(results, [score_course(record, rate_hz, max_steps) for record in records],
               rate_hz=rate_hz, max_steps=max_steps),
        {name: records[number] for name, number in choose(results).items()},
        live_figures(records, guards, SAFETY_RATE_HZ))


def _parameters(args, model, options, loop):
    """Return the policy server's parameters."""
    replan, join = loop.replan, loop.join
    sampler = {name if name in ('solver', 'num_inference_steps') else f'sampler.{name}': value
               for name, value in sampler_changes(args).items()}
    given = {'contract': args.contract and args.contract.resolve(), 'num_threads': args.threads}
    return {
        **{name: value for name, value in given.items() if value is not None},
        'model': Path(model).resolve(), 'command_prefix': PREFIX, 'device': args.device,
        'execute_horizon': replan.execute_horizon, 'replan': replan.trigger, 'join': join.name,
        'blend_rows': join.blend_rows, 'warm_start_level': options.warm_start_level,
        'num_candidates': options.num_candidates, 'inference_delay_ms': float(loop.delay_ms),
        'seed': args.seed, **sampler}


def _episodes(parameters, seeds, seconds):
    """Start the nodes, and yield the record of each episode and what command_safety did."""
    from diffusion_policy_ros.evaluation.demo_record import load_record

    contract = share_path('config', 'robots', 'pusht.yaml')
    nodes = {'pusht_sim': {'seed': seeds[0]}, 'policy_server': parameters,
             'command_safety': {'contract': contract, 'rate_hz': SAFETY_RATE_HZ,
                                'input_prefix': PREFIX}}
    with tempfile.TemporaryDirectory(prefix='dpr_eval_') as folder, hold_domain(None) as domain:
        environment = node_environment(domain, share_path('config', 'fastdds.xml'))
        with Children(folder, environment) as children:
            for name, values in nodes.items():
                children.start(name, node_command(name, values))
            observer = children.start('eval_observer', node_command('eval_observer', {
                'contract': contract, 'command_rate_hz': SAFETY_RATE_HZ, 'records': folder,
                'episodes': len(seeds), 'seconds_per_episode': seconds}), stdout=subprocess.PIPE)
            for kind, event in node_events(observer, 'eval_observer', children):
                if kind == 'guard':
                    record = load_record(Path(folder) / f'episode_{event["episode"]}.npz')
                    yield record, event
