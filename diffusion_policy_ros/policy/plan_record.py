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
"""What is written down of every plan that is followed, so that it can be computed again."""

from dataclasses import dataclass
import json

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.errors import ChunkError
from diffusion_policy_ros.policy.action_chunk import Promise
import numpy as np

FORMAT = 2


@dataclass(frozen=True, eq=False)
class PlanRecord:
    """
    All that a plan was made of, what it was, and when it was followed.

    :ivar weights: SHA-256 of the policy's weights.
    :ivar device: Device that it was made on.
    :ivar precision: Of the denoiser's weights, as for ``served_policy``.
    :ivar backend: What computed its networks, as for ``served_policy``.
    :ivar tick_ns: Tick of the newest observation, ns.
    :ivar stamps_ns: For each row of the window, oldest first, the stamp of the sample of each of
        the contract's policy streams in order, ns.
    :ivar promise: ``Promise`` that it was to agree with.
    :ivar seed: Seed of its noise.
    :ivar settings: ``sampler_changes``, ``join``, ``num_candidates`` and ``warm_start_level`` as
        in ``PlanSettings``, the steps as many as were taken.
    :ivar evaluations: Denoiser calls.
    :ivar is_complete: Whether there was time for all of them.
    :ivar epoch: The same for all plans between two resets, and for no others.
    :ivar accepted_ns: When it began to be followed, ns.
    :ivar first_command_ns: Slot of the first command after that, ns.
    :ivar grid: ``origin_ns`` and ``rate_hz`` of the command slots then.
    :ivar blending: ``name`` of the join, ``blend_rows`` and ``ensemble_decay`` then.
    :ivar topics: Full topic of each of the contract's outputs.
    :ivar rows: The plan from its newest observation on, float64 ``(rows, action_dim)``.
    """

    weights: str
    device: str
    precision: str
    backend: str
    tick_ns: int
    stamps_ns: list
    promise: Promise
    seed: int
    settings: dict
    evaluations: int
    is_complete: bool
    epoch: int
    accepted_ns: int
    first_command_ns: int
    grid: dict
    blending: dict
    topics: list
    rows: np.ndarray

    def to_json(self) -> str:
        """Return it as JSON, from which ``parse_record`` makes the same, bit for bit."""
        fields = {**vars(self), 'format': FORMAT, 'rows': self.rows.tolist(), 'promise': {
            'rows': [[None if np.isnan(value) else value for value in row]
                     for row in self.promise.rows.tolist()],
            'frozen': self.promise.frozen, 'first_row': self.promise.first_row}}
        return json.dumps(fields)


def parse_record(text) -> PlanRecord:
    """
    Read a record.

    :param text: JSON of ``PlanRecord.to_json``.
    :return: ``PlanRecord``.
    :raises ChunkError: if it is no such record.
    """
    try:
        fields = json.loads(text)
        if fields.pop('format') != FORMAT:
            raise ValueError('another format')
        promise = fields['promise']
        fields['promise'] = Promise(np.array(promise['rows'], dtype=np.float64),
                                    promise['frozen'], promise['first_row'])
        fields['rows'] = np.array(fields['rows'], dtype=np.float64)
        return _checked(PlanRecord(**fields))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ChunkError(f'{shown(text)} is no record of a plan: {error!r}') from error


def _checked(record):
    """Return a record whose fields are of their types; else raise a ValueError."""
    for name, kind in PlanRecord.__annotations__.items():
        value = getattr(record, name)
        if kind in (str, int, bool, dict, list) and type(value) is not kind:
            raise ValueError(f'{name} is {shown(value)}')
    wanted = {'settings': ('sampler_changes', 'join', 'num_candidates', 'warm_start_level'),
              'grid': ('origin_ns', 'rate_hz'),
              'blending': ('name', 'blend_rows', 'ensemble_decay')}
    for name, keys in wanted.items():
        if set(getattr(record, name)) != set(keys):
            raise ValueError(f'{name} holds {shown(getattr(record, name))}')
    if record.rows.ndim != 2 or record.promise.rows.ndim != 2 or record.evaluations < 1:
        raise ValueError('no rows, or no evaluations')
    return record
