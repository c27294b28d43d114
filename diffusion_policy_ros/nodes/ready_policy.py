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
"""A policy that is ready to plan: loaded, checked against contract and parameters, warm."""

from typing import NamedTuple

from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.contract import RobotContract
from diffusion_policy_ros.errors import ContractError
from diffusion_policy_ros.nodes import policy_parameters as chosen
from diffusion_policy_ros.policy.served_contract import choose_contract
from diffusion_policy_ros.serving.inference_worker import InferenceWorker


class ReadyPolicy(NamedTuple):
    """
    A policy and the thread that runs it.

    :ivar model: The checkpoint folder.
    :ivar worker: ``InferenceWorker`` with the policy; whoever has it closes it.
    :ivar config: ``PolicyConfig``.
    :ivar contract: ``RobotContract`` under which it plans.
    :ivar plan_ms: What a plan takes, ms.
    """

    model: str
    worker: InferenceWorker
    config: PolicyConfig
    contract: RobotContract
    plan_ms: float

    def check(self, values):
        """
        Refuse parameters that cannot be used with this policy.

        :param values: All parameters by name.
        :raises ConfigError: naming the value and the remedy.
        """
        chosen.choose_command_rate(values['command_rate_hz'], self.contract)
        chosen.choose_replan(values, self.config)
        chosen.check_measured(values)
        self.worker.check(chosen.plan_settings(values))

    def facts(self) -> dict:
        """Return by what people tell it from others: name to text."""
        return {'model': self.model, 'weights SHA-256': self.worker.digest[:16]}

    def work_facts(self) -> dict:
        """Return what computes it: name to text."""
        facts = self.worker.facts
        return {**{name: facts[name] for name in ('device', 'backend', 'precision')},
                'threads': str(self.worker.num_threads)}


def prepare_policy(values, served=None) -> ReadyPolicy:
    """
    Load the policy that parameters name, check it and warm it up; this takes seconds.

    :param values: All parameters by name.
    :param served: ``RobotContract`` of a robot that it has to fit, which it then plans under;
        None for the one that the parameters name.
    :raises DiffusionPolicyError: if checkpoint, contract or parameters cannot be used.
    """
    worker, model = InferenceWorker(), values['model']
    try:
        config, trained = worker.load(model, values['device'], values['num_threads'],
                                      values['precision'], values['backend'])
        contract = choose_contract(values['contract'], trained, model)
        differences = contract.disagreements(served) if served else []
        if differences:
            raise ContractError(f'{model} does not fit the robot that is served: '
                                f'{"; ".join(differences)}. Clean up and configure to serve '
                                'another robot')
        policy = ReadyPolicy(model, worker, config, served or contract, plan_ms=0.0)
        policy.check(values)
        plan_ms = worker.warm_up(policy.contract, chosen.plan_settings(values))
    except Exception:
        worker.close()
        raise
    return policy._replace(plan_ms=plan_ms)
