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

"""How a chunk is drawn: the one configuration that Python, YAML and ROS parameters share."""

from dataclasses import dataclass, fields, replace
from typing import Optional

from diffusion_policy_ros.checks import check_choice, is_count, is_number, shown
from diffusion_policy_ros.choices import SOLVERS, SPACINGS
from diffusion_policy_ros.diffusion.solvers import load_solver
from diffusion_policy_ros.errors import ConfigError

# What each number must be above (or, where marked, at least), and at most.
BOUNDS = {'eta': (0, 1), 'temperature': (0, 100), 'guidance_scale': (0, 100),
          'corrector_snr': (0, 1), 'rtol': (0, 1), 'atol': (0, 1)}
MAY_BE_ZERO = ('eta', 'temperature', 'guidance_scale')
# The largest value of each count: beyond any use, so that a mistyped one costs no time.
COUNTS = {'num_inference_steps': 10_000, 'corrector_steps': 1000, 'max_evaluations': 1_000_000}


@dataclass(frozen=True)
class Sampler:
    """
    How a chunk is drawn from a trained denoiser.

    :ivar solver: A name of ``choices.SOLVERS``.
    :ivar num_inference_steps: Steps from noise to data; ``evaluations`` tells how many denoiser
        calls they cost. ``adaptive`` chooses its own.
    :ivar order: Order of the solver; None becomes the solver's default.
    :ivar spacing: How the steps are spread, see ``grid``: ``trailing`` (evenly down from the
        noisiest level), ``linspace`` (the same, ending on the least noisy level), ``leading``
        (by a whole stride), ``quadratic``, ``lambda`` (evenly in the log signal-to-noise ratio)
        or ``karras``.
    :ivar eta: Share of fresh noise of ``ddim``, in [0, 1].
    :ivar start_timestep: Time of the first step; None for the noisiest.
    :ivar temperature: Factor on the start noise; below 1 chunks gather around the likely ones.
    :ivar guidance_scale: Weight of the observation, see ``Policy.sample``; 1 is the policy as
        trained, above 1 follows the observation more closely.
    :ivar then: Solver that takes over below a noise level; None for one solver throughout.
    :ivar switch_lambda: ``log(alpha / sigma)`` from which ``then`` works.
    :ivar corrector_steps: Langevin steps per level of ``predictor_corrector``.
    :ivar corrector_snr: Their drift's size relative to their noise, in (0, 1].
    :ivar rtol: Relative tolerance of ``adaptive``, in (0, 1].
    :ivar atol: Its absolute tolerance in normalized units, in (0, 1].
    :ivar max_evaluations: Denoiser calls after which it gives up with an error.
    """

    solver: str = 'dpm_solver++'
    num_inference_steps: int = 10
    order: Optional[int] = None
    spacing: str = 'trailing'
    eta: float = 0.0
    start_timestep: Optional[float] = None
    temperature: float = 1.0
    guidance_scale: float = 1.0
    then: Optional[str] = None
    switch_lambda: float = 0.0
    corrector_steps: int = 1
    corrector_snr: float = 0.16
    rtol: float = 0.01
    atol: float = 0.002
    max_evaluations: int = 300

    def __post_init__(self):
        """Check every field, naming it in each error."""
        for name, most in COUNTS.items():
            if not is_count(getattr(self, name), most=most):
                raise ConfigError(f'{name} is {shown(getattr(self, name))}; it must be a whole '
                                  f'number, at least 1 and at most {most}')
        for name, (low, high) in BOUNDS.items():
            value = getattr(self, name)
            if not is_number(value) or not low <= value <= high \
                    or (value == low and name not in MAY_BE_ZERO):
                raise ConfigError(f'{name} is {shown(value)}; it must be '
                                  f'{"from" if name in MAY_BE_ZERO else "above"} {low} to {high}')
        check_choice('spacing', self.spacing, SPACINGS, ConfigError)
        self._check_solvers()
        self._check_levels()

    def changed(self, **changes):
        """
        Return this sampler with what a user asked for differently.

        :param changes: Fields by name; None keeps a field. Another solver takes over neither
            order nor eta, nor the solver of a second phase.
        :return: The Sampler.
        :raises ConfigError: if a value cannot work.
        """
        changes = {name: value for name, value in changes.items() if value is not None}
        if changes.get('solver', self.solver) != self.solver:
            changes = {'order': None, 'eta': 0.0, 'then': None, 'switch_lambda': 0.0, **changes}
        return replace(self, **changes)

    @property
    def is_stochastic(self) -> bool:
        """Tell whether fresh noise is drawn on the way, so that this is the SDE."""
        solvers = [load_solver(name) for name in (self.solver, self.then) if name]
        return any(solver.is_stochastic(self) for solver in solvers)

    @property
    def evaluations(self) -> int:
        """Return the denoiser calls of a chunk; with ``adaptive`` or ``then`` at most so many."""
        solver = load_solver(self.solver)
        if solver.is_adaptive:
            return self.max_evaluations
        # A second solver works with its own default order, which is what a change to it gives.
        phases = (self, self.changed(solver=self.then))
        dearest = max(load_solver(phase.solver).calls(phase) for phase in phases)
        return (self.num_inference_steps - 1) * dearest + 1

    @classmethod
    def option_names(cls) -> tuple:
        """Return the names of all fields, in order."""
        return tuple(field.name for field in fields(cls))

    def _check_solvers(self):
        """Check the solvers and what only some of them can use."""
        solver = load_solver(self.solver)
        if self.order is None:
            object.__setattr__(self, 'order', solver.default_order)
        if not is_count(self.order):
            raise ConfigError(f'order is {shown(self.order)}; it must be a whole number, '
                              'at least 1')
        check_choice(f'order of {self.solver}', self.order, solver.orders, ConfigError)
        if self.eta > 0 and 'ddim' not in (self.solver, self.then):
            raise ConfigError(f'eta is {self.eta!r} with solver {self.solver!r}; it can be above '
                              '0 only with ddim')
        if self.then is not None:
            check_choice('then', self.then, tuple(SOLVERS), ConfigError)
            for name in (self.solver, self.then):
                if load_solver(name).is_adaptive:
                    raise ConfigError(f'then is {self.then!r} with solver {self.solver!r}; '
                                      f'{name} takes the whole way, leave then out')

    def _check_levels(self):
        """Check the numbers that the process bounds later."""
        for name in ('start_timestep', 'switch_lambda'):
            value = getattr(self, name)
            if not (is_number(value) or (value is None and name == 'start_timestep')):
                raise ConfigError(f'{name} is {shown(value)}; it must be a number')
        if self.then is None and self.switch_lambda != 0:
            raise ConfigError(f'switch_lambda is {shown(self.switch_lambda)}, but no second '
                              'solver is given; name it with then')
