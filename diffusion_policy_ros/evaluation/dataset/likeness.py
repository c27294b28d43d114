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

"""What in a dataset is the same as something else: episodes twice, actions that are the state."""

import hashlib
import shlex

from diffusion_policy_ros.data.datasets.episode_ranges import episode_ranges
from diffusion_policy_ros.evaluation.dataset.finding import Finding, WARNING
from diffusion_policy_ros.streams import ACTION_KEY
import numpy as np

MOST_EQUAL = 0.95


class LikenessCheck:
    """Look for equal episodes, and for actions that only repeat the state."""

    def __init__(self, source, repeated=()):
        """
        Begin with no episode.

        :param source: What ``open_source`` returned.
        :param repeated: Numbers of episodes that are of a bag and a time of earlier ones.
        """
        self._source, self._repeated = source, repeated
        self._keys = tuple(source.vectors)
        self._episodes = {}
        self._equal = self._changing = 0
        self._state_key = source.state_key
        self._columns = _shared_columns(source.vectors, source.state_key)

    def look(self, rows) -> None:
        """
        Look at one episode.

        :param rows: ``StoredRows``.
        """
        columns = [rows.columns[key] for key in self._keys if key in rows.columns]
        if not columns or not rows.count:
            return
        digest = hashlib.blake2b(digest_size=16)
        for column in columns:
            digest.update(np.ascontiguousarray(column).tobytes())
        self._episodes.setdefault((rows.count, digest.digest()), []).append(rows.episode.index)
        if self._columns and {self._state_key, ACTION_KEY} <= set(rows.columns):
            state, action = (rows.columns[key][:, chosen] for key, chosen in
                             zip((self._state_key, ACTION_KEY), self._columns))
            moving = np.append(False, (np.diff(state, axis=0) != 0).any(axis=1))
            self._changing += int(moving.sum())
            self._equal += int((moving & (state == action).all(axis=1)).sum())

    def findings(self) -> list:
        """Return what was found."""
        found, copies = [], []
        twins = [same for same in self._episodes.values() if len(same) > 1]
        if twins:
            named = '; '.join(' = '.join(map(str, same[:4])) + (' ...' if same[4:] else '')
                              for same in twins[:3])
            named += f' and {len(twins) - 3} more' if twins[3:] else ''
            copies = sorted(number for same in twins for number in same[1:])
            found.append(Finding(
                WARNING, 'duplicates', f'{len(copies)} episodes repeat the numbers of another '
                f'one: {named}', f'{self._without(copies)} takes the copies out: they count twice '
                'in training, and in validation they are known already'))
        known = set(copies)
        repeated = [number for number in self._repeated if number not in known]
        if repeated:
            found.append(Finding(
                WARNING, 'duplicates', f'{len(repeated)} episodes begin at the same time in a bag '
                f'of the same name as earlier ones: {episode_ranges(repeated)}',
                f'if they are the same, {self._without(repeated)} takes them out'))
        if self._changing and self._equal > MOST_EQUAL * self._changing:
            found.append(Finding(
                WARNING, 'action is state', f'in {self._equal / self._changing:.0%} of the rows '
                'that move, the action is the state of the same row: a policy would learn to '
                'stand still', 'label the action next_state in the contract, or record the '
                'commands, and convert again'))
        return found

    def _without(self, copies):
        """Return the command that leaves episodes out, where the format can be edited."""
        if not self._source.has_bookkeeping:
            return '`dpr edit --delete` of a LeRobotDataset'
        folder = shlex.quote(str(self._source.folder))
        return f'`dpr edit {folder} --delete {episode_ranges(copies)} --out NAME`'


def _shared_columns(vectors, state_key):
    """Return which columns of state and action mean the same; None where that is unknown."""
    state, action = vectors.get(state_key, ()), vectors.get(ACTION_KEY, ())
    shared = [name for name in action if name in state]
    if shared:
        return [state.index(name) for name in shared], [action.index(name) for name in shared]
    if state and len(state) == len(action):
        return slice(None), slice(None)
    return None
