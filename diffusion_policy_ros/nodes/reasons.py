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
"""Why a policy server does not command: the sentences that people are told."""

from diffusion_policy_ros.control.scheduler import LEASE_PERIODS
from diffusion_policy_ros.errors import DiffusionPolicyError

# Sources of a hold under which no plan is followed or made out of turn.
HOLDS = ('clock', 'controller', 'observation', 'inference', 'confidence')
# What ``RecedingHorizon.shortage`` names, each a source of the ``StatusReporter``.
SHORTAGES = {
    'start': 'waiting for the first plan',
    'observation': f'no tick was looked at for {LEASE_PERIODS} periods: the clock jumped ahead, '
                   'or the executor is too busy with its messages; then send fewer or smaller '
                   'pictures, or free a CPU core',
    'plan': 'no action is due: the next plan is not finished; if this goes on, lower '
            'num_inference_steps, set deadline_ms, or use a faster device'}
UNLIKE = 'what it sees may be unlike its training'
CLOCK_BACK = 'the clock jumped backwards; waiting for new observations'
CLOCK_STANDS = ('the ROS clock stands still; with use_sim_time, check that /clock is published')


def of_error(error, prefix='') -> str:
    """
    Say what went wrong: a known error speaks for itself.

    :param error: The exception.
    :param prefix: What was being done, where the error is not one of this package's.
    """
    return str(error) if isinstance(error, DiffusionPolicyError) else f'{prefix}{error!r}'


def doubt(plan, settings) -> str:
    """
    Say why a plan is not to be trusted.

    :param plan: ``FinishedPlan``.
    :param settings: Parameters by name; two of them are the limits.
    :return: The reason, empty where there is none.
    """
    spread, nats = settings['max_spread'], settings['min_log_likelihood']
    if spread and plan.spread > spread:
        return (f'the policy is not sure: the candidates of its plan are {plan.spread:.3f} apart, '
                f'limit {spread:.3f} (normalized units); {UNLIKE}')
    if plan.log_likelihood is not None and plan.log_likelihood < nats:
        return (f'the policy finds its own plan unlikely: {plan.log_likelihood:.3f} nats per '
                f'entry, limit {nats:.3f}; {UNLIKE}')
    return ''
