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

"""Simulated robots that a checkpoint can be measured on, and the plainest way to do so."""

from importlib import import_module

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.requirements import install_command
from diffusion_policy_ros.share import share_path

# name: (module, class, rows per episode at most)
SIMULATIONS = {
    'arm_pick_place': ('diffusion_policy_ros.sim.arm.tasks', 'pick_place', 200),
    'arm_push': ('diffusion_policy_ros.sim.arm.tasks', 'push', 200),
    'base': ('diffusion_policy_ros.sim.base.environment', 'BaseEnvironment', 200),
    'pusht': ('diffusion_policy_ros.sim.pusht', 'PushT', 300)}
# Of those that need more than the extra "sim": the extra that holds it
EXTRAS = {'arm_pick_place': 'arm', 'arm_push': 'arm'}
# Of those that know a place with two valid answers: (module, ``TwoSided`` class)
TWO_SIDED = {'arm_pick_place': ('diffusion_policy_ros.evaluation.arm_modes', 'HeldCube'),
             'base': ('diffusion_policy_ros.evaluation.base_modes', 'MirrorRoom'),
             'pusht': ('diffusion_policy_ros.evaluation.pusht_modes', 'MirrorTable')}
# Of those that have a scripted expert: (module, class, contract in config/robots)
EXPERTS = {
    'arm_pick_place': ('diffusion_policy_ros.sim.arm.expert', 'ArmExpert', 'arm_pick_place.yaml'),
    'arm_push': ('diffusion_policy_ros.sim.arm.expert', 'ArmExpert', 'arm_push.yaml'),
    'base': ('diffusion_policy_ros.sim.base.expert', 'BaseExpert', 'base.yaml')}


def load_simulation(name) -> tuple:
    """
    Import a simulated robot.

    :param name: A key of ``SIMULATIONS``.
    :return: ``(make_environment, rows per episode at most)``; the first is called with a contract.
    :raises ConfigError: if something that it needs is not installed.
    """
    module, cls, max_steps = SIMULATIONS[name]
    try:
        return getattr(import_module(module), cls), max_steps
    except ImportError as error:
        raise ConfigError(f'the simulation {name} cannot be imported here ({error}); install it '
                          f'with: {install_command(EXTRAS.get(name, "sim"))}') from error


def load_two_sided(name):
    """
    Import a place with two valid answers.

    :param name: A key of ``TWO_SIDED``.
    :return: Class that is called with a policy; its objects are ``TwoSided``.
    """
    module, cls = TWO_SIDED[name]
    return getattr(import_module(module), cls)


def load_expert(name) -> tuple:
    """
    Import a simulated robot and who can demonstrate its task.

    :param name: A key of ``EXPERTS``.
    :return: ``(make_environment, rows per episode at most, Expert, path of its contract)``.
    """
    module, cls, contract = EXPERTS[name]
    expert = getattr(import_module(module), cls)()
    return (*load_simulation(name), expert, share_path('config', 'robots', contract))


def load_policy(model, device):
    """
    Load a checkpoint that a bench will let drive a simulated robot.

    :param model: Checkpoint folder.
    :param device: As for ``Policy.load``.
    :raises ConfigError: if it holds no contract.
    """
    from diffusion_policy_ros.policy.policy import Policy

    policy = Policy.load(model, device)
    if policy.contract is None:
        raise ConfigError(f'{model} holds no robot contract, so the simulation cannot tell '
                          'what it sees; bench a checkpoint that dpr train wrote')
    return policy


def run_episodes(policy, simulation, seeds, *, sampler, batch_size, progress=lambda count: None):
    """
    Run seeded episodes as ``dpr eval`` does without options.

    :param policy: The policy, on its device.
    :param simulation: From ``load_simulation``.
    :param seeds: Seeds of the episodes.
    :param sampler: Sampler that makes the plans.
    :param batch_size: Episodes that advance together.
    :param progress: Called with the number of newly finished episodes.
    :return: ``Evaluation``.
    """
    from diffusion_policy_ros.control.replan import ReplanSettings
    from diffusion_policy_ros.evaluation.evaluate import evaluate
    from diffusion_policy_ros.evaluation.rollout import LoopSettings
    from diffusion_policy_ros.policy.planner import PlanOptions

    make_environment, max_steps = simulation
    return evaluate(policy, make_environment, seeds, options=PlanOptions(sampler),
                    loop=LoopSettings(ReplanSettings(policy.config.n_action_steps)),
                    max_steps=max_steps, batch_size=batch_size, progress=progress)
