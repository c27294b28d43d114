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

"""Whether several datasets can become one, and what they then have in common."""

import math

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.contract import RECORDED
from diffusion_policy_ros.data.datasets import lerobot_format as layout
from diffusion_policy_ros.data.recorded import age_limits
from diffusion_policy_ros.errors import DatasetError
import pyarrow as pa


def common_features(readers) -> dict:
    """
    Return the features that datasets have in common, which must be all of them.

    What is said of a video's encoding may differ, and is left out where it does. Contracts may
    differ in what changes no number, such as limits; the first one's must allow all ages.

    :param readers: Opened datasets.
    :raises DatasetError: if features, rates or contracts do not agree, naming both sides.
    """
    first = readers[0]
    for other in readers[1:]:
        found = _differences(first, other)
        if found:
            raise DatasetError(f'{first.folder} and {other.folder} cannot be merged: '
                               f'{first_of(found)}')
    features = {key: dict(feature) for key, feature in first.features.items()}
    for key, feature in features.items():
        if isinstance(feature.get('info'), dict):
            feature['info'] = {
                name: value for name, value in feature['info'].items()
                if all((r.features[key].get('info') or {}).get(name) == value for r in readers)}
    return features


def episode_schema(tables):
    """
    Return the columns of the episode table that all datasets have, in types that hold all values.

    :param tables: The episode table of each dataset.
    :raises DatasetError: if a column is made of numbers here and of something else there.
    """
    first, *others = (table.schema for table in tables)
    names = [name for name in first.names if all(name in other.names for other in others)]
    try:
        return pa.unify_schemas(
            [pa.schema([schema.field(name) for name in names]) for schema in (first, *others)],
            promote_options='permissive')
    except pa.ArrowException as error:
        raise DatasetError(f'the episode tables cannot be merged: {error}') from error


def _differences(first, other):
    """Name what two datasets do not have in common."""
    found = []
    if first.rate_hz != other.rate_hz:
        found.append(f'fps is {first.rate_hz:g} and {other.rate_hz:g}')
    for key in {**first.features, **other.features}:
        sides = [reader.features.get(key) for reader in (first, other)]
        if None in sides:
            found.append(f'only {(first if sides[0] else other).folder} has {key!r}')
            continue
        names = ('dtype', 'shape') if layout.is_picture(sides[0]) else ('dtype', 'shape', 'names')
        found += [f'{key!r} {name} is {sides[0].get(name)} and {sides[1].get(name)}'
                  for name in names if sides[0].get(name) != sides[1].get(name)]
        if layout.array_dtype(sides[0]) != layout.array_dtype(sides[1]):
            found.append(f'{key!r} is depth in other units')
    return found or _contract_differences(first, other)


def _contract_differences(first, other):
    """Name what the contracts inside two datasets do not have in common."""
    mine, theirs = first.contract, other.contract
    if (mine is None) != (theirs is None):
        has, lacks = (first, other) if theirs is None else (other, first)
        return [f'{has.folder / layout.CONTRACT_PATH} says what its numbers mean, {lacks.folder} '
                'has no contract; if it is the same robot, copy the file there']
    if mine is None or mine == theirs:
        return []
    found = mine.disagreements(theirs, mine='the first', theirs='the second', kinds=RECORDED)
    if found:
        return [f'{first_of(found)}. Their numbers mean different things: keep the two apart, or '
                f'correct the {layout.CONTRACT_PATH} that is wrong']
    found = _too_old(first, other)
    if not found:
        return []
    remedy = f'begin with {other.folder}, whose contract allows both'
    if _too_old(other, first):
        remedy = (f'raise it in {first.folder / layout.CONTRACT_PATH} if such samples may be '
                  'learnt from')
    return [f'{first_of(found)}; {remedy}']


def _too_old(first, other):
    """Name the topics whose samples are older than the contract allows that is kept."""
    _, limits_ms = age_limits(first.contract)
    topics = other.features.get(layout.AGE_KEY, {}).get('names') or ()
    oldest_ns = other.statistics().get(layout.AGE_KEY, {}).get('max', ()) if topics else ()
    return [f'{topic}: samples of the second are up to {age_ns / 1e6:.1f} ms old, max_age_ms of '
            f'the first, whose contract is kept, is {limits_ms[topic]:g}'
            for topic, age_ns in zip(topics, oldest_ns)
            if age_ns > limits_ms.get(topic, math.inf) * 1e6]
