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

"""The options of a sampler, described once for ROS parameters and the command line."""

from dataclasses import dataclass
from typing import Optional

from diffusion_policy_ros.checks import check_choice, shown, suggestion
from diffusion_policy_ros.choices import SOLVERS, SPACINGS
from diffusion_policy_ros.errors import ConfigError

KIND_WORDS = {int: 'a whole number', float: 'a number'}


@dataclass(frozen=True)
class SamplerOption:
    """
    One field of ``diffusion.Sampler``; its type is that of ``unset``.

    :ivar name: Name of the field.
    :ivar unset: What stands for the checkpoint's own value where None cannot be said.
    :ivar description: What it does, with unit.
    :ivar low: Smallest number that may be asked for, itself excluded where it is ``unset``.
    :ivar high: Largest number that may be asked for.
    :ivar choices: The words that may be asked for; empty for a number.
    """

    name: str
    unset: object
    description: str
    low: Optional[float] = None
    high: Optional[float] = None
    choices: tuple = ()

    def parse(self, text):
        """
        Read a value that somebody wrote; whether a solver can use it is the sampler's to say.

        :param text: The value.
        :return: str, int or float.
        :raises ConfigError: if it is not of the option's type, or one that no sampler takes.
        """
        kind = type(self.unset)
        try:
            value = kind(text)
        except ValueError:
            raise ConfigError(f'{self.name} is {shown(text)}; it must be '
                              f'{KIND_WORDS[kind]}') from None
        if self.choices:
            check_choice(self.name, value, self.choices, ConfigError)
        elif not self.low <= value <= self.high or value == self.unset:
            begin = 'above' if self.low == self.unset else 'from'
            raise ConfigError(f'{self.name} is {shown(value)}; it must be {begin} {self.low:g} to '
                              f'{self.high:g}')
        return value


OPTIONS = (
    SamplerOption('solver', 'checkpoint', 'Sampling algorithm', choices=tuple(SOLVERS)),
    SamplerOption('num_inference_steps', 0, 'Steps from noise to a plan; fewer are faster and '
                  'coarser', 1, 1000),
    SamplerOption('order', 0, 'Order of accuracy of the solver', 1, 4),
    SamplerOption('spacing', 'checkpoint', 'How the steps are spread over the noise levels',
                  choices=SPACINGS),
    SamplerOption('eta', -1.0, 'Share of fresh noise in the steps of the solver ddim', 0.0, 1.0),
    SamplerOption('start_timestep', 0.0, 'Timestep of the training whose noise level the steps '
                  'start from', 0.0, 1e5),
    SamplerOption('temperature', -1.0, 'Factor on the start noise; below 1, plans gather around '
                  'the likely ones', 0.0, 100.0),
    SamplerOption('guidance_scale', -1.0, 'Weight of the observation; 1 is the policy as trained, '
                  'above 1 follows the observation more closely', 0.0, 100.0),
    SamplerOption('then', 'checkpoint', 'Solver that takes over at switch_lambda; the name that '
                  'solver has for one solver throughout', choices=tuple(SOLVERS)),
    SamplerOption('switch_lambda', -100.0, 'Logarithm of signal over noise, log(alpha / sigma), '
                  'from which the solver of then works', -100.0, 100.0),
    SamplerOption('corrector_steps', 0, 'Langevin steps per noise level of the solver '
                  'predictor_corrector', 1, 1000),
    SamplerOption('corrector_snr', 0.0, 'Drift of a Langevin step relative to its noise', 0.0,
                  1.0),
    SamplerOption('rtol', 0.0, 'Relative tolerance of the solver adaptive', 0.0, 1.0),
    SamplerOption('atol', 0.0, 'Absolute tolerance of the solver adaptive, normalized units', 0.0,
                  1.0),
    SamplerOption('max_evaluations', 0, 'Denoiser calls after which the solver adaptive gives up '
                  'a plan', 1, 100_000),
)
BY_NAME = {option.name: option for option in OPTIONS}


def parse_change(text) -> tuple:
    """
    Read one option with its value from a command line.

    :param text: ``name=value``.
    :return: ``(name, value)``.
    :raises ConfigError: naming what is wrong and the options that there are.
    """
    name, equals, value = text.partition('=')
    if not equals:
        raise ConfigError(f'the sampler option {shown(text)} is not of the form name=value')
    if name not in BY_NAME:
        raise ConfigError(f'unknown sampler option {shown(name)}; {suggestion(name, BY_NAME)}')
    return name, BY_NAME[name].parse(value)
