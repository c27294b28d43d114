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

"""Where the robot is: the newest measurement of every joint, how old, and whether it rests."""

from dataclasses import dataclass
from math import inf

from diffusion_policy_ros.errors import SafetyError
from diffusion_policy_ros.message_types import JOINT_STATE
import numpy as np

# A robot rests when no joint has moved, for so long, further than this part of its velocity limit
# would carry it. Encoder noise stays below that, a hand-guided arm does not.
REST_S = 0.25
REST_SPEED = 0.05


@dataclass
class _Source:
    """A topic that measures some of the joints; ``places`` are theirs among all of them."""

    topic: str
    unit: str
    max_age_s: float
    names: list
    places: list
    heard_s: float = -inf
    refusal: str = ''
    values: object = None


class MeasuredJoints:
    """Keeps the measured positions of the joints that are commanded."""

    def __init__(self, streams, names, velocity):
        """
        Start without a measurement.

        :param streams: ``ObservationStream`` entries of the contract; positions of JointState
            messages count, and a joint in several is taken from the first.
        :param names: Joints that must be measured, each in one of the streams.
        :param velocity: Their velocity limits, float64 ``(len(names),)``, units/s.
        :raises SafetyError: for a joint that no stream measures.
        """
        self.names = tuple(names)
        self._position = np.full(len(names), np.nan)
        self.look_anew()
        self._reach = REST_SPEED * REST_S * np.asarray(velocity)
        self._sources = {}
        left = list(names)
        for stream in (s for s in streams if s.type == JOINT_STATE and s.field == 'position'):
            mine = [name for name in stream.names if name in left]
            left = [name for name in left if name not in mine]
            if mine:
                self._sources[stream] = _Source(
                    stream.topic, stream.unit, stream.max_age_ms / 1e3, mine,
                    [self.names.index(name) for name in mine])
        if left:
            raise SafetyError(f'no stream measures the position of {", ".join(left)}: add an '
                              f'observation of type {JOINT_STATE} that does (role: auxiliary if '
                              'the policy does not need it), or take the output out of the '
                              'contract given to command_safety')

    def names_by_stream(self) -> dict:
        """Return the joints that are taken from each stream."""
        return {stream: source.names for stream, source in self._sources.items()}

    def check_unit(self, output):
        """
        Refuse an output whose numbers cannot be compared with the measured ones.

        :param output: ``ActionOutput`` that commands positions of these joints.
        :raises SafetyError: where the contract gives them different units.
        """
        for source in self._sources.values():
            shared = [name for name in output.names if name in source.names]
            if shared and output.unit and source.unit and output.unit != source.unit:
                raise SafetyError(
                    f'action (topic {output.topic!r}) commands {shared[0]} in {output.unit}, '
                    f'topic {source.topic!r} measures it in {source.unit}: they must be the same, '
                    'because the robot is held where it is measured')

    def look_anew(self):
        """Forget for how long the robot has stood still."""
        self._anchor, self._anchor_s = np.full(len(self.names), np.nan), inf

    def streams(self, topic) -> list:
        """
        Return the streams that matter on a topic.

        :param topic: As the contract names it.
        """
        return [stream for stream in self._sources if stream.topic == topic]

    def update(self, stream, values, now_s) -> bool:
        """
        Take over a measurement.

        :param stream: One of ``streams``.
        :param values: Finite numbers, one per entry of the stream.
        :param now_s: When it arrived, s on a clock that never steps.
        :return: Whether anything in it differs from the last one.
        """
        source = self._sources[stream]
        found, before = dict(zip(stream.names, values)), source.values
        source.values = np.array(values)
        self._position = self._position.copy()  # others may still look at the last one
        self._position[source.places] = [found[name] for name in source.names]
        source.heard_s, source.refusal = now_s, ''
        if not (np.abs(self._position - self._anchor) <= self._reach).all():
            self._anchor, self._anchor_s = self._position, now_s
        return not np.array_equal(source.values, before)

    def refuse(self, stream, text):
        """
        Note why a measurement could not be used; it counts as not come.

        :param stream: One of ``streams``.
        :param text: What was wrong.
        """
        self._sources[stream].refusal = text

    def staleness(self, now_s) -> str:
        """
        Say which measurement is missing or too old.

        :param now_s: The time, s.
        :return: One sentence, empty when all are fresh.
        """
        for source in self._sources.values():
            age_s = now_s - source.heard_s
            if age_s > source.max_age_s:
                age = 'no measurement yet' if age_s == inf else \
                    f'the last measurement is {age_s:.2f} s old, limit {source.max_age_s:.2f} s'
                why = f'; refused: {source.refusal}' if source.refusal else ''
                return f'{source.topic}: {age}{why}'
        return ''

    @property
    def at_rest(self) -> bool:
        """
        Tell whether the robot was measured to stand still for ``REST_S``.

        What was not measured counts for nothing: a robot that nobody sees may move.
        """
        return not self.names or min(source.heard_s for source in self._sources.values()) \
            - self._anchor_s >= REST_S

    def positions(self, names):
        """
        Return the newest measured positions, float64 ``(len(names),)``.

        :param names: Some of the joints.
        """
        return self._position[[self.names.index(name) for name in names]]
