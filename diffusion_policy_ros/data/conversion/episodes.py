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

"""From a bag's messages to dataset rows on ticks, through the same alignment as the live node."""

from collections import deque
from dataclasses import dataclass
import math
import re

from diffusion_policy_ros.data.bags.storage_order import SetBack
from diffusion_policy_ros.data.conversion.header_steps import with_steps_of_headers
from diffusion_policy_ros.data.recorded import recorded_entries
from diffusion_policy_ros.errors import AlignmentError, BagError, DecodeError
from diffusion_policy_ros.observation.stamps import sample_stamp_ns
from diffusion_policy_ros.observation.window import WindowBuilder
from diffusion_policy_ros.streams import ACTION_KEY, STATE_KEY
import numpy as np

# Header stamps this far before the arrival come from another clock, not from a slow driver.
MAX_CLOCK_OFFSET_NS = 60_000_000_000
# So far apart in time the commands of one row may be, and so late a command may arrive to count:
# the rows before it wait in memory, with their pictures.
LATENESS_NS = 2_000_000_000
# When nothing at all arrives for this long, the recording was paused.
MAX_SILENCE_NS = 5_000_000_000
# A number that is a word of its own, no part of a name.
NUMBER = re.compile(r'(?<![\w/.])[+-]?\d+(\.\d+)?(e[+-]\d+)?(?![\d/_A-Z])')


@dataclass(frozen=True)
class Row:
    """
    One tick of one episode.

    :ivar tick_ns: Time of the row, ns.
    :ivar values: ``{dataset key: array}``: every observation and ``action`` float32.
    :ivar ages_ns: ``{topic: age}`` of each observed and commanded sample at the tick, ns.
    """

    tick_ns: int
    values: dict
    ages_ns: dict


@dataclass(frozen=True)
class Gap:
    """
    One or more ticks in succession that have no row for one reason, so that an episode ends here.

    :ivar tick_ns: Time of the first such tick, ns.
    :ivar reason: Why it has none, one sentence.
    """

    tick_ns: int
    reason: str

    @property
    def kind(self) -> str:
        """Return the reason without its numbers, which differ from tick to tick."""
        return NUMBER.sub('', self.reason)


def episode_rows(messages, contract, begin_ns=0, end_ns=None):
    """
    Align recorded messages into rows.

    Tick 0 is the first moment at which every stream had a sample, and not before ``begin_ns``;
    ``t_k = t_0 + round(k * 1e9 / rate)``. A row holds what ``WindowBuilder.row`` gives at its
    tick, and the action by the contract's label: ``command`` is the newest command stamped at or
    before tick + offset (one counts if it arrived within ``max_age_ms``, and 2 s, of that),
    ``next_state`` the state one row later, which drops the last row of every episode.

    Where a clock was set back an episode ends, and tick 0 is found anew from what follows.

    :param messages: Iterable of ``(topic, message, receive_ns)`` in the order of arrival, and of
        a ``SetBack`` where the recorder's clock was set back.
    :param contract: The ``RobotContract``.
    :param begin_ns: No tick comes before, ns.
    :param end_ns: No tick comes from then on, ns; None goes on to the end.
    :return: Iterator of ``Row`` and ``Gap`` in the order of time. Only the rows whose action is
        still to come are held in memory.
    :raises BagError: if header stamps and arrival times come from different clocks.
    """
    assembler = _Assembler(contract, begin_ns, end_ns)
    for item in with_steps_of_headers(messages, contract):
        if isinstance(item, SetBack):
            yield from assembler.finish()
            if begin_ns <= item.before_ns and (end_ns is None or item.before_ns < end_ns):
                yield Gap(item.before_ns, item.reason)
            assembler = _Assembler(contract, begin_ns, end_ns)
            continue
        topic, message, receive_ns = item
        yield from assembler.advance(receive_ns)
        assembler.push(topic, message, receive_ns)
    yield from assembler.finish()


class _Assembler:
    """Builds rows while messages come in."""

    def __init__(self, contract, begin_ns, end_ns):
        self._contract = contract
        self._begin_ns = begin_ns
        self._end_ns = math.inf if end_ns is None else end_ns
        self._builder = WindowBuilder(contract, 1, LATENESS_NS)
        self._waiting = {entry: None for entry in recorded_entries(contract)}
        self._prompt = [entry for entry in self._waiting if not may_be_held(entry)]
        self._far = {}  # {entry: how far the stamp of its first message lies back, ns}
        self._first_stamps = [begin_ns]
        self._start_ns = None
        self._index = 0
        self._first_receive_ns = self._last_receive_ns = 0
        self._observed = deque()  # of Row without action, or Gap
        self._gap_kind = ''  # of the gap that goes on
        self._needs_next = any(a.label == 'next_state' for a in contract.actions)
        self._command_lag_ns = max(map(command_lag_ns, contract.actions))

    def push(self, topic, message, receive_ns):
        """Take in one message."""
        self._builder.push(topic, message, receive_ns)
        self._first_receive_ns = self._first_receive_ns or receive_ns
        self._last_receive_ns = max(self._last_receive_ns, receive_ns)
        if self._start_ns is None:
            self._wait_for_first(topic, message, receive_ns)

    def advance(self, until_ns):
        """Yield the rows that no message arriving at ``until_ns`` or later can change."""
        while self._has_tick(self._end_ns):
            tick_ns = self._tick_ns
            if tick_ns + self._contract.settle_ns >= until_ns:
                break
            self._observed.append(self._observe(tick_ns))
            self._index += 1
            if tick_ns > self._last_receive_ns + MAX_SILENCE_NS:
                self._skip_to(until_ns)
        yield from self._complete(until_ns)

    def finish(self):
        """Yield the remaining rows: to the last arrival, or as far as all streams' stamps go."""
        if self._waiting:
            yield Gap(self._since_ns, self._why_waiting())
        last_ns = max(self._last_receive_ns, self._reached_ns())
        while self._has_tick(min(self._end_ns, last_ns + 1)):
            self._observed.append(self._observe(self._tick_ns))
            self._index += 1
        end_ns = last_ns + self._command_lag_ns + self._contract.period_ns + 1
        yield from self._complete(end_ns)

    def _has_tick(self, end_ns):
        """Tell whether the next tick comes before some time."""
        return self._start_ns is not None and self._tick_ns < end_ns

    @property
    def _since_ns(self):
        """Return since when rows are wanted, ns."""
        return max(self._begin_ns, self._first_receive_ns)

    @property
    def _tick_ns(self):
        """Return the time of the next tick."""
        return self._contract.tick_ns(self._start_ns, self._index)

    def _wait_for_first(self, topic, message, receive_ns):
        """Fix tick 0 once every stream has a sample."""
        for entry in [e for e in self._waiting if e.topic == topic]:
            try:
                stamp_ns = sample_stamp_ns(message, entry, receive_ns)
            except DecodeError:
                stamp_ns = receive_ns  # refused with its reason when the first row samples it
            if self._is_far(entry, receive_ns - stamp_ns):
                continue
            del self._waiting[entry]
            self._first_stamps.append(stamp_ns - getattr(entry, 'offset_ns', 0))
        if not self._waiting:
            self._start_ns = max(self._first_stamps)
            if self._start_ns - self._since_ns > self._contract.period_ns:
                late_s = (self._start_ns - self._since_ns) / 1e9
                self._observed.append(Gap(
                    self._since_ns, f'no message on {topic} for {late_s:.1f} s'))

    def _is_far(self, entry, back_ns):
        """
        Tell whether a topic's first header is of another time; refuse one that stays so.

        One such message may be an old command that its publisher keeps for those who come late.
        """
        if may_be_held(entry) or back_ns <= MAX_CLOCK_OFFSET_NS:
            return False
        if entry in self._far:
            raise BagError(f'topic {entry.topic!r}: the first headers are stamped '
                           f'{back_ns / 1e9:.0f} s before their arrival; the bag mixes two '
                           'clocks. Record simulation with use_sim_time, or write "stamp: '
                           'receive" in the contract')
        self._far[entry] = back_ns
        return True

    def _why_waiting(self):
        """Say what there is no sample of."""
        missing = dict.fromkeys(entry.topic for entry in self._waiting if entry not in self._far)
        reasons = [f'no message on {", ".join(missing)}'] if missing else []
        return '; '.join(reasons + [
            f'the only message on {entry.topic} is stamped {self._far[entry] / 1e9:.0f} s before '
            'its arrival' for entry in self._waiting if entry in self._far])

    def _reached_ns(self):
        """Return the newest tick for which every stream that may not be held has a stamp."""
        stamps = [self._builder.aligner.newest_stamp_ns(entry) for entry in self._prompt]
        if None in stamps:
            return 0
        return min((stamp_ns - getattr(entry, 'offset_ns', 0)
                    for entry, stamp_ns in zip(self._prompt, stamps)), default=0)

    def _observe(self, tick_ns):
        """Align the observations of a tick."""
        silence_ns = tick_ns - self._last_receive_ns
        if silence_ns > MAX_SILENCE_NS:
            return Gap(tick_ns, f'nothing was recorded for more than {MAX_SILENCE_NS / 1e9:g} s')
        try:
            values, ages_ns = self._builder.row(tick_ns)
        except (AlignmentError, DecodeError) as error:
            return Gap(tick_ns, str(error))
        return Row(tick_ns, values, ages_ns)

    def _skip_to(self, until_ns):
        """Pass over the ticks of a long silence in one step."""
        period = self._contract.period_ns
        self._index += max(0, (until_ns - self._contract.settle_ns - self._tick_ns) // period - 1)

    def _complete(self, until_ns):
        """Give observed rows their actions, oldest first, as far as they are known."""
        while self._observed and self._observed[0].tick_ns + self._command_lag_ns < until_ns:
            if self._needs_next and len(self._observed) < 2:
                return
            row = self._observed.popleft()
            event = row if isinstance(row, Gap) else self._with_action(row)
            if event is None:
                continue
            kind = event.kind if isinstance(event, Gap) else ''
            if not kind or kind != self._gap_kind:
                yield event
            self._gap_kind = kind

    def _with_action(self, row):
        """Return the row with its action, a Gap without a command, None without a next state."""
        following = self._observed[0] if self._needs_next else None
        if isinstance(following, Gap):
            return None
        parts, ages_ns = [], dict(row.ages_ns)
        for output in self._contract.actions:
            if output.label == 'next_state':
                parts.append(_state_entries(following.values[STATE_KEY], output, self._contract))
                continue
            due_ns = row.tick_ns + output.offset_ns
            cut_ns = due_ns + min(output.max_age_ns, LATENESS_NS)
            try:
                sample = self._builder.aligner.sample(output, due_ns, cut_ns)
            except (AlignmentError, DecodeError) as error:
                return Gap(row.tick_ns, str(error))
            parts.append(sample.value)
            ages_ns[output.topic] = max(sample.age_ns, ages_ns.get(output.topic, 0))
        return Row(row.tick_ns, {**row.values, ACTION_KEY: np.concatenate(parts)}, ages_ns)


def command_lag_ns(output):
    """
    Return how long after its tick a row's command may still arrive, ns.

    :param output: ``ActionOutput`` of the contract.
    """
    if output.label == 'next_state':
        return 0
    late_ns = 0 if output.stamp == 'receive' else min(output.max_age_ns, LATENESS_NS)
    return max(0, output.offset_ns + late_ns)


def may_be_held(entry):
    """
    Tell whether a stream's sample stays good however old it is.

    :param entry: ``ObservationStream`` or ``ActionOutput`` of the contract.
    """
    return getattr(entry, 'on_stale', 'stop') == 'hold'


def _state_entries(state, output, contract):
    """Pick an output's entries out of the state vector."""
    names = contract.names_of(STATE_KEY)
    return state[[names.index(name) for name in output.names]]
