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

"""Pure-torch mathematics of diffusion: processes, prediction types, solvers, sampling."""

from diffusion_policy_ros.diffusion.grid import default_sampler, has_levels, inference_levels
from diffusion_policy_ros.diffusion.inpainting import Inpainted, promise_weights
from diffusion_policy_ros.diffusion.latent import generate, interpolate, invert
from diffusion_policy_ros.diffusion.level import CLEAN, Level
from diffusion_policy_ros.diffusion.likelihood import bits_per_dimension, log_likelihood
from diffusion_policy_ros.diffusion.prediction import clean_from_prediction, prediction_target
from diffusion_policy_ros.diffusion.process import Process
from diffusion_policy_ros.diffusion.sampler import Sampler
from diffusion_policy_ros.diffusion.sampling import (
    check_start, draw_noise, integrate, refine, refine_chunk, sample_chunk, Solution, solve,
    Unrolled)
from diffusion_policy_ros.diffusion.variance_exploding import GeometricVe, KarrasVe
from diffusion_policy_ros.diffusion.variance_preserving import ContinuousVp, DiscreteVp
from diffusion_policy_ros.diffusion.weighting import bound_weight, variational_weights

__all__ = ['bits_per_dimension', 'bound_weight', 'check_start', 'CLEAN', 'clean_from_prediction',
           'ContinuousVp', 'default_sampler', 'DiscreteVp', 'draw_noise', 'generate',
           'GeometricVe', 'has_levels', 'inference_levels', 'Inpainted', 'integrate',
           'interpolate', 'invert', 'KarrasVe', 'Level', 'log_likelihood', 'prediction_target',
           'Process', 'promise_weights', 'refine', 'refine_chunk', 'sample_chunk', 'Sampler',
           'Solution', 'solve', 'Unrolled', 'variational_weights']
