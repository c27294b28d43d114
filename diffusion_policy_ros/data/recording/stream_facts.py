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


"""What is known of a stream before it is recorded, and from where on it is bad."""

from dataclasses import dataclass

from diffusion_policy_ros.data.recorded import CLOCK_SKEW_NS


@dataclass(frozen=True)
class QualityLimits:
    """
    From where on a stream is told to be bad.

    :ivar rate_tolerance: Share by which the rate may differ from the usual one, no unit.
    :ivar max_skew_ms: How far header stamps may be ahead of the arrival, or drift, ms.
    :ivar frozen_count: Pictures of equal content in a row that are too many; 0 for never. The
        contract's ``frozen_after`` wins over it.
    """

    rate_tolerance: float = 0.3
    max_skew_ms: float = CLOCK_SKEW_NS / 1e6
    frozen_count: int = 30


@dataclass(frozen=True)
class StreamFacts:
    """
    What the contract says about a stream.

    :ivar topic: Full name of the topic.
    :ivar max_age_ms: Age and silence that are too long, ms.
    :ivar rate_hz: Rate that is needed where none was seen before, Hz.
    :ivar is_needed_each_row: Whether less than that is too slow, whatever was seen before.
    :ivar is_dated: Whether its header stamps say when the content was true.
    :ivar has_header: Whether its messages begin with a header.
    :ivar is_image: Whether it carries pictures.
    :ivar is_command: Whether it may begin late and end early, and come when it likes.
    :ivar is_held: Whether its last message counts until the next (``on_stale: hold``), so that it
        may be silent.
    :ivar frozen_after: As in the contract, 0 where it says nothing.
    """

    topic: str
    max_age_ms: float
    rate_hz: float
    is_needed_each_row: bool = False
    is_dated: bool = True
    has_header: bool = True
    is_image: bool = False
    is_command: bool = False
    is_held: bool = False
    frozen_after: int = 0
