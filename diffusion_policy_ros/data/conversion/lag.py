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

"""How long after a recorded command the measured motion follows, by cross-correlation."""

from dataclasses import dataclass

from diffusion_policy_ros.streams import ACTION_KEY, STATE_KEY
import numpy as np

# Lags from -1 s to 1 s are looked at, which is as far as the contract's offset_ms reaches.
MAX_LAG_S = 1.0
# Rows that are correlated at once; longer episodes are taken in such blocks.
BLOCK_ROWS = 4096
# Entries that deviate by less, in their unit, do not move.
MIN_DEVIATION = 1e-4
# A correlation that is nearly the same at all lags, as of an even motion, has no peak.
MIN_CONTRAST = 0.005
# Below this the motion is not that of the command.
MIN_CORRELATION = 0.5


@dataclass(frozen=True)
class Lag:
    """
    What was found for one output.

    :ivar topic: Topic of the commands.
    :ivar lag_ms: Motion after command, ms; negative where the motion comes first; None: unknown.
    :ivar correlation: At that lag, at most 1; None where unknown.
    :ivar reason: Why it is unknown, '' where it is known.
    """

    topic: str
    lag_ms: float = None
    correlation: float = None
    reason: str = ''

    def sentence(self, offset_ms) -> str:
        """
        Say what was found, and what it means for ``offset_ms``.

        :param offset_ms: The output's in the contract, ms.
        """
        if self.lag_ms is None:
            return f'lag unknown: {self.reason}'
        found = f'(correlation {self.correlation:.2f})'
        if not round(self.lag_ms):
            return f'the measured motion shows no lag behind the command {found}'
        if self.lag_ms < 0:
            return (f'the measured motion comes {-self.lag_ms:.0f} ms before its command {found}, '
                    'so the stamps of the commands are late: set offset_ms: '
                    f'{-self.lag_ms:.0f} to read the command that the motion follows')
        return (f'the measured motion follows {self.lag_ms:.0f} ms after the command {found}; '
                f'keep offset_ms: {offset_ms:g} where the robot is to be commanded as it was, or '
                f'set offset_ms: {-self.lag_ms:.0f} so that each row holds the command whose '
                'motion it shows')


class LagEstimator:
    """Correlates the recorded commands of each output with the measured motion of its entries."""

    def __init__(self, contract):
        """
        Begin without rows.

        :param contract: The ``RobotContract``.
        """
        self._contract = contract
        self._lags = round(MAX_LAG_S * contract.rate_hz)
        self._pairs = {output.topic: _Pairing(output, contract) for output in contract.actions
                       if output.label == 'command'}
        self._sums = {topic: self._no_sums(pair) for topic, pair in self._pairs.items()}
        self._drop()

    def add(self, row) -> None:
        """
        Take in a row of the episode in flight.

        :param row: ``episodes.Row``.
        """
        for topic, pair in self._pairs.items():
            self._rows[topic].append(pair.values(row))
            if len(self._rows[topic]) >= BLOCK_ROWS:
                self._correlate(topic)

    def end(self, is_kept) -> None:
        """
        End the episode in flight.

        :param is_kept: Whether it is in the dataset.
        """
        for topic in self._pairs if is_kept else ():
            self._correlate(topic)
            self._sums[topic] = _added(self._sums[topic], self._pending[topic])
        self._drop()

    def merge(self, stored) -> None:
        """
        Add what another estimator of the same contract found.

        :param stored: Its ``to_dict``.
        """
        for topic, sums in stored.items():
            own = self._sums[topic]
            # JSON does not keep the shape of what is empty.
            self._sums[topic] = _added(own, [np.reshape(part, mine.shape)
                                             for part, mine in zip(sums, own)])

    def to_dict(self) -> dict:
        """Return all sums, as JSON can hold them."""
        return {topic: [part.tolist() for part in sums] for topic, sums in self._sums.items()}

    def results(self) -> list:
        """Return a ``Lag`` for each output of the contract."""
        return [self._result(output) for output in self._contract.actions]

    def _result(self, output):
        """Find the peak of one output's correlation."""
        if output.label != 'command':
            return Lag(output.topic, reason=f'the label is {output.label}')
        pair, (products, commands, motions, numbers) = \
            self._pairs[output.topic], self._sums[output.topic]
        if not pair.columns:
            return Lag(output.topic, reason='no observation measures what is commanded')
        if not numbers[0]:
            return Lag(output.topic, reason=f'no episode is as long as {2 * MAX_LAG_S:g} s')
        rows = numbers[0]
        moving = (np.minimum(commands, motions).min(axis=1) / rows) > MIN_DEVIATION ** 2
        if not moving.any():
            return Lag(output.topic, reason='nothing moves')
        curve = (products[moving] / np.sqrt(commands[moving] * motions[moving])).mean(axis=0)
        lag_rows, correlation = _peak(curve)
        if lag_rows is None:
            return Lag(output.topic, reason='the motion is too even, or the lag above '
                                            f'{MAX_LAG_S:g} s')
        if correlation < MIN_CORRELATION:
            return Lag(output.topic, reason='the motion does not follow the command (correlation '
                                            f'{correlation:.2f})')
        lag_ns = (lag_rows - self._lags) * 1e9 / self._contract.rate_hz \
            - output.offset_ns + numbers[1] / rows
        return Lag(output.topic, float(lag_ns / 1e6), correlation)

    def _correlate(self, topic):
        """Add the rows that wait to the sums of the episode in flight."""
        rows, self._rows[topic] = self._rows[topic], []
        if len(rows) < 2 * self._lags or not self._pairs[topic].columns:
            return
        command, motion, age_ns = (np.array(part, dtype=np.float64) for part in zip(*rows))
        products, commands, motions = (np.empty((command.shape[1], 2 * self._lags + 1))
                                       for _ in range(3))
        for index in range(2 * self._lags + 1):
            late, early = max(0, index - self._lags), max(0, self._lags - index)
            x = _centred(command[early:len(rows) - late])
            y = _centred(motion[late:len(rows) - early])
            products[:, index] = (x * y).sum(axis=0)
            commands[:, index] = (x * x).sum(axis=0)
            motions[:, index] = (y * y).sum(axis=0)
        numbers = np.array([len(rows), age_ns.sum()])
        self._pending[topic] = _added(self._pending[topic], [products, commands, motions, numbers])

    def _drop(self):
        """Forget the episode in flight."""
        self._rows = {topic: [] for topic in self._pairs}
        self._pending = {topic: self._no_sums(pair) for topic, pair in self._pairs.items()}

    def _no_sums(self, pair):
        """Return sums of nothing: per entry and lag, and (rows, ages)."""
        shape = (len(pair.columns), 2 * self._lags + 1)
        return [np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(2)]


class _Pairing:
    """
    Which observed entries show what an output commands.

    :ivar columns: ``[(entry of the action vector, key, entry of the key)]``.
    """

    def __init__(self, output, contract):
        """Find for each commanded entry an observed one of the same name and field."""
        first = sum(len(o.names) for o in contract.actions[:contract.actions.index(output)])
        measured = _measured(contract)
        found = [(first + i, measured[name, output.field]) for i, name in enumerate(output.names)
                 if (name, output.field) in measured]
        self.columns = [(index, key, entry) for index, (key, entry, _) in found]
        self._topics = [topic for _, (_, _, topic) in found]
        self._command = output.topic

    def values(self, row):
        """Return commanded entries, measured entries, and how much older the commands are, ns."""
        command = [row.values[ACTION_KEY][index] for index, _, _ in self.columns]
        motion = [row.values[key][entry] for _, key, entry in self.columns]
        older = row.ages_ns[self._command] - row.ages_ns[self._topics[0]] if self._topics else 0
        return command, motion, older


def _measured(contract):
    """Return ``{(name, field): (key, entry, topic)}`` of all vectors, the state's first."""
    found = {}
    for key in sorted(contract.keys, key=lambda key: key != STATE_KEY):
        entry = 0
        for stream in contract.streams_of(key):
            for name in stream.names:
                found.setdefault((name, stream.field), (key, entry, stream.topic))
                entry += 1
    return found


def _peak(curve):
    """Return place and height of the highest point, by a parabola; (None, None) without one."""
    top = int(np.argmax(curve))
    if top in (0, len(curve) - 1) or curve[top] - curve.min() < MIN_CONTRAST:
        return None, None
    left, middle, right = curve[top - 1:top + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend else 0.0
    return top + shift, float(middle - 0.25 * (left - right) * shift)


def _centred(values):
    """Subtract each column's mean."""
    return values - values.mean(axis=0)


def _added(first, second):
    """Add sums to sums."""
    return [a + b for a, b in zip(first, second)]
