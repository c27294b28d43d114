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

"""What settings may be: names that configurations, networks, samplers and parameters share."""

VISION_BACKBONES = ('resnet18', 'resnet34', 'light_cnn', 'vit')
# Denoisers; the observation reaches them by FiLM, cross-attention, adaptive layer norms and
# concatenation.
DENOISERS = ('unet', 'transformer', 'dit', 'mlp')
POOLINGS = ('spatial_softmax', 'average')
FUSIONS = ('concatenate', 'transformer')
NORMALIZATIONS = ('MEAN_STD', 'MIN_MAX', 'QUANTILES', 'QUANTILE10', 'IDENTITY')
BETA_SCHEDULES = ('linear', 'scaled_linear', 'squaredcos_cap_v2')
PREDICTION_TYPES = ('epsilon', 'sample', 'v_prediction', 'score')
SPACINGS = ('trailing', 'linspace', 'leading', 'quadratic', 'lambda', 'karras')
# Each solver's name, and where in ``diffusion.solvers`` it is found.
SOLVERS = {
    'dpm_solver++': 'dpm_solver_pp:DPM_SOLVER_PP',
    'dpm_solver++_singlestep': 'dpm_solver_pp:DPM_SOLVER_PP_SINGLESTEP',
    'dpm_solver': 'dpm_solver:DPM_SOLVER',
    'unipc': 'unipc:UNIPC',
    'ddim': 'ddim:DDIM',
    'ddim_unclipped': 'ddim:DDIM_UNCLIPPED',
    'euler': 'runge_kutta:EULER',
    'heun': 'runge_kutta:HEUN',
    'rk4': 'runge_kutta:RK4',
    'adaptive': 'adaptive:ADAPTIVE',
    'ddpm': 'ddim:DDPM',
    'sde_dpm_solver++': 'dpm_solver_pp:SDE_DPM_SOLVER_PP',
    'euler_maruyama': 'euler_maruyama:EULER_MARUYAMA',
    'predictor_corrector': 'euler_maruyama:PREDICTOR_CORRECTOR',
}
# How a plan follows the one before it. The last one ignores that time has passed since its
# observation, and is there to be compared with.
JOINS = ('none', 'blend', 'ensemble', 'warm_start', 'rtc', 'shared_noise', 'coherent', 'naive')
# When the next plan is asked for.
REPLAN_TRIGGERS = ('executed', 'low', 'continuous')
# What dpr bench chunk draws with; ddim visits the levels that LeRobot visits.
BENCH_SOLVERS = ('ddim', 'dpm_solver++')
# Of the denoiser's weights on a CPU.
SERVED_PRECISIONS = ('float32', 'bfloat16')
# As what a policy's graphs can be stored for other runtimes, and what computes them in the policy
# server: this package itself (auto), or a runtime of its own.
EXPORT_FORMATS = ('onnx', 'torchscript', 'aoti')
BACKENDS = ('auto', 'onnx', 'openvino', 'torchscript', 'aoti')
# How a dataset keeps pictures: as a video, or one by one inside the rows ('png').
CODECS = ('h264', 'h264-lossless', 'av1', 'png')
