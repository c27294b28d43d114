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
"""Episodes of the policy server and the simulated robot over ROS 2, for ``dpr bench joins``."""

from pathlib import Path
import subprocess
import tempfile
import time

from diffusion_policy_ros.cli.children import Children, node_command, node_environment
from diffusion_policy_ros.cli.node_events import node_events
from diffusion_policy_ros.cli.ros_domain import hold_domain
from diffusion_policy_ros.share import share_path


def ros_runs(model, seeds, *, execute_horizon, num_candidates):
    """
    Return what runs episodes over ROS 2, for ``JoinBench``.

    :param model: Checkpoint folder.
    :param seeds: Range of the seeds of the episodes.
    :param execute_horizon: Rows executed between two plans.
    :param num_candidates: Candidates of ``coherent``.
    :return: Callable ``(join, delay_ms, progress)`` that returns an ``Evaluation``.
    """
    from diffusion_policy_ros.evaluation.evaluate import Evaluation
    from diffusion_policy_ros.evaluation.rollout import EpisodeResult

    def run(join, delay_ms, progress):
        parameters = {
            'model': Path(model).resolve(), 'join': join, 'delay_ms': float(delay_ms),
            'execute_horizon': execute_horizon, 'seed': seeds[0], 'episodes': len(seeds),
            'num_candidates': num_candidates if join == 'coherent' else 1}
        started_s, results, traces = time.monotonic(), [], []
        for event in _episodes(parameters):
            results.append(EpisodeResult(event['seed'], event['score'], event['success'],
                                         len(event['commands'])))
            traces.append((event['commands'], event['borders']))
            progress(1)
        return Evaluation(tuple(results), time.monotonic() - started_s, tuple(traces))

    return run


def _episodes(parameters):
    """Start the nodes and yield what they tell of each episode."""
    with tempfile.TemporaryDirectory(prefix='dpr_bench_') as folder, hold_domain(None) as domain:
        environment = node_environment(domain, share_path('config', 'fastdds.xml'))
        with Children(folder, environment) as children:
            lockstep = children.start('lockstep', node_command('lockstep', parameters),
                                      stdout=subprocess.PIPE)
            for kind, event in node_events(lockstep, 'lockstep', children):
                if kind == 'episode':
                    yield event
