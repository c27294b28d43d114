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

"""From messages to observation windows: what the policy sees, and the rows of a dataset."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.observation.align import Aligner
import numpy as np

# How long after its settling time a tick may still be asked for, by an executor that is late.
LATENESS_NS = 500_000_000


class WindowBuilder:
    """
    Collects messages and builds observation windows at ticks.

    A row depends on its own tick only: it holds the newest messages stamped at or before the tick
    that arrived within the contract's ``settle_ms`` after it. So a window may be asked for once
    that time has passed, and a bag read later gives the same one.

    Only recent messages are kept. Push recorded messages in the order of their arrival, and ask
    for a tick when the next message would arrive after its settling time.

    :ivar aligner: The Aligner below, for recorded commands.
    """

    def __init__(self, contract, n_obs_steps, lateness_ns=LATENESS_NS):
        """
        Make a builder without messages.

        :param contract: RobotContract.
        :param n_obs_steps: Rows of a window, at least 1.
        :param lateness_ns: How long after its settling time a tick may still be asked for, ns;
            messages, pictures too, are kept for so long.
        :raises ConfigError: for fewer rows.
        """
        if n_obs_steps < 1:
            raise ConfigError(f'n_obs_steps is {n_obs_steps}; a window needs at least one row')
        self._contract = contract
        self._n_obs_steps = n_obs_steps
        self.aligner = Aligner(contract, history_ns=(
            contract.tick_ns(0, n_obs_steps - 1) + contract.settle_ns + lateness_ns))
        self._first_tick = []

    def push(self, topic, message, receive_ns):
        """
        Keep a message; nothing is decoded or refused here.

        :param topic: Topic as the contract names it.
        :param message: Message of the contract's type; it must not change afterwards.
        :param receive_ns: When it arrived, ns, on the clock of the ticks.
        :raises ContractError: for a topic that the contract does not name.
        """
        self.aligner.push(topic, message, receive_ns)

    def window(self, tick_ns):
        """
        Build the policy's window that ends at a tick.

        Rows before the first tick since ``clear()`` repeat that tick's row, as training pads the
        start of an episode.

        :param tick_ns: Time of the newest row, ns.
        :return: ``(window, ages)``: dataset key to array ``(n_obs_steps, ...)``, oldest row
            first, and topic to the age of its sample in the newest row, ns.
        :raises AlignmentError: where a stream has no usable sample for a row.
        :raises DecodeError: where a sampled message is malformed.
        """
        window, samples = self.look(tick_ns)
        return window, _ages(samples[-1])

    def look(self, tick_ns):
        """
        Do what ``window`` does, and tell which samples the rows are made of.

        :param tick_ns: As for ``window``.
        :return: ``(window, samples)``: the window, and for each of its rows a dict of stream to
            ``align.Sample``.
        :raises AlignmentError: as ``window``.
        :raises DecodeError: as ``window``.
        """
        first_tick = self._first_tick  # clear() puts another list here, which then stays empty
        start_ns = min(first_tick + [tick_ns])
        ticks = [max(start_ns, tick_ns - self._contract.tick_ns(0, back))
                 for back in reversed(range(self._n_obs_steps))]
        streams = self._contract.policy_observations
        rows = {tick: self._align(streams, tick) for tick in reversed(ticks)}
        samples = tuple(rows[tick] for tick in ticks)
        first_tick[:] = [start_ns]
        return stack_rows([{stream: sample.value for stream, sample in row.items()}
                           for row in samples]), samples

    def row(self, tick_ns):
        """
        Align all observations, auxiliary ones too, at one tick.

        :param tick_ns: Time of the row, ns.
        :return: ``(values, ages)``: dataset key to read-only array of ``contract.shape_of(key)``,
            and topic to the age of its sample, ns.
        :raises AlignmentError: where a stream has no usable sample.
        :raises DecodeError: where a sampled message is malformed.
        """
        samples = self._align(self._contract.observations, tick_ns)
        return _join_streams({s: sample.value for s, sample in samples.items()}), _ages(samples)

    def clear(self):
        """Forget all messages and the first tick: for a new episode, or a jump of the clock."""
        self._first_tick = []
        self.aligner.clear()

    def _align(self, streams, tick_ns):
        """Return what each stream showed at one tick."""
        cut_ns = tick_ns + self._contract.settle_ns
        return {stream: self.aligner.sample(stream, tick_ns, cut_ns) for stream in streams}


def stack_rows(rows):
    """
    Make a window of what streams showed.

    :param rows: For each row, oldest first, a dict of stream to its decoded value.
    :return: Dataset key to array ``(rows, ...)``.
    """
    joined = [_join_streams(row) for row in rows]
    return {key: np.stack([row[key] for row in joined]) for key in joined[-1]}


def _join_streams(values):
    """Join the values of streams that share a key; one that does not stays what it is."""
    parts = {}
    for stream, value in values.items():
        parts.setdefault(stream.key, []).append(value)
    return {key: found[0] if len(found) == 1 else np.concatenate(found)
            for key, found in parts.items()}


def _ages(samples):
    """Return the age of each topic's sample, of the older one where two streams share it."""
    ages = {}
    for stream, sample in samples.items():
        ages[stream.topic] = max(sample.age_ns, ages.get(stream.topic, 0))
    return ages
