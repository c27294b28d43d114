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

"""The parameters of the policy server: what they are called, may be, and do."""

from diffusion_policy_ros.choices import BACKENDS, JOINS, REPLAN_TRIGGERS, SERVED_PRECISIONS
from diffusion_policy_ros.parameter_spec import CPUS, ParameterSpec
from diffusion_policy_ros.sampler_options import OPTIONS

NO_LIMIT = -1e9
# The sampler's options that are asked for most; the others have names in a group of their own.
UNGROUPED = ('solver', 'num_inference_steps')


def _sampler_spec(option):
    """Return the parameter for an option of the sampler, its unset value included."""
    return ParameterSpec(
        parameter_name(option), option.unset,
        f"{option.description}; {option.unset} for the checkpoint's own",
        None if option.low is None else min(option.low, option.unset), option.high,
        choices=(option.unset, *option.choices) if option.choices else ())


def parameter_name(option) -> str:
    """
    Return the name of the parameter for an option of the sampler.

    :param option: One of ``sampler_options.OPTIONS``.
    """
    return option.name if option.name in UNGROUPED else f'sampler.{option.name}'


SPECS = (
    ParameterSpec('model', '', 'Checkpoint folder, made by "dpr train" or by LeRobot; loaded at '
                  'configure, and while configured by the service ~/swap_model'),
    ParameterSpec('contract', '', "Robot contract (YAML file); empty for the checkpoint's own",
                  fixed=True),
    ParameterSpec('device', 'auto', 'Where to run the policy: auto, cpu, cuda or cuda:<n>',
                  fixed=True),
    ParameterSpec('num_threads', 0, 'CPU threads of the policy; 0 leaves one core to the rest',
                  0, 256, fixed=True),
    ParameterSpec('executor', 'single', 'Of rclpy: events, where the distribution has it, takes '
                  'less of the CPU and is experimental', choices=('single', 'events'),
                  read_only=True),
    CPUS,
    ParameterSpec('precision', 'float32', "Of the denoiser's weights on a CPU; bfloat16 halves "
                  'what is read of them', choices=SERVED_PRECISIONS, fixed=True),
    ParameterSpec('backend', 'auto', 'What computes the networks: auto is this package, the '
                  'others run on the CPU what "dpr export" wrote into the checkpoint (onnx and '
                  'openvino both --format onnx)', choices=BACKENDS, fixed=True),
    ParameterSpec('command_prefix', '', 'What comes before the topics of the commands; "policy" '
                  'where the node command_safety passes them on', fixed=True),
    ParameterSpec('tip_link', '', 'Link of robot_description whose way ~/markers shows; empty '
                  'where the commands themselves are positions in space', fixed=True),
    ParameterSpec('command_rate_hz', 0.0, "Commands per second, Hz; a multiple of the contract's "
                  "rate, between whose rows commands are interpolated; 0 for the contract's rate",
                  0.0, 1000.0),
    ParameterSpec('replan', 'executed', 'When the next plan is asked for: after execute_horizon '
                  'rows, when only replan_low_rows rows are left, or whenever none is being '
                  'computed', choices=REPLAN_TRIGGERS),
    ParameterSpec('execute_horizon', 0, 'Rows to execute before the next plan starts, at most '
                  "the checkpoint's n_action_steps; 1 plans at every row; 0 for n_action_steps",
                  0, 1000),
    ParameterSpec('replan_low_rows', 4, 'Rows left at which the next plan starts where replan is '
                  'low', 1, 1000),
    ParameterSpec('join', 'none', 'How a plan follows the one before it', choices=JOINS),
    ParameterSpec('blend_rows', 4, 'Rows within which blend moves over to a new plan', 1, 1000),
    ParameterSpec('ensemble_decay', 0.01, 'Preference of ensemble for old plans, per row; below 0 '
                  'it prefers new ones', -10.0, 10.0),
    ParameterSpec('warm_start_level', 0.6, 'Noise from which warm_start begins, as a share of '
                  'the timesteps of the training', 0.01, 0.99),
    ParameterSpec('num_candidates', 1, 'Plans sampled at once, of which one is followed; coherent '
                  'chooses among them, and their spread tells how sure the policy is', 1, 256),
    ParameterSpec('max_spread', 0.0, 'Spread of the candidates, in normalized units, above which '
                  'the robot is held; 0 for no limit', 0.0, 1000.0),
    ParameterSpec('likelihood_steps', 0, 'Steps that tell how likely the policy finds each plan; '
                  'they cost four evaluations with gradient each, about nine without, on top of '
                  'deadline_ms; 10 do, 0 for none', 0, 100),
    ParameterSpec('min_log_likelihood', NO_LIMIT, 'Log-likelihood of the plan, in nats per entry '
                  f'in normalized units, below which the robot is held; {NO_LIMIT:g} for no limit',
                  NO_LIMIT, -NO_LIMIT),
    ParameterSpec('confident_plans', 5, 'Plans in a row within these limits that end a hold', 1,
                  1000),
    ParameterSpec('deadline_ms', 0.0, 'Time for a plan, ms, encoding included: takes as many '
                  'steps as fit, at most num_inference_steps, and the best estimate so far where '
                  'time runs out; 0 for as long as it takes', 0.0, 60000.0),
    ParameterSpec('inference_delay_ms', 0.0, 'Time for which every finished plan is held back, '
                  'ms: for experiments with slower computers', 0.0, 10000.0),
    ParameterSpec('clock_timeout_s', 1.0, 'Real time for which the ROS clock may stand still, s; '
                  '0 for as long as it likes, where a simulation waits for the policy', 0.0,
                  3600.0),
    *(_sampler_spec(option) for option in OPTIONS),
    ParameterSpec('seed', 0, 'Seed of the noise, taken at activation and reset; -1 for another '
                  'one every time', -1, 2**31 - 1),
)
