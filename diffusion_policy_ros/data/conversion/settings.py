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

"""How bags are to be converted."""

from dataclasses import dataclass

# Fewer rows make no movement: a piece this short between two gaps is left out.
MIN_ROWS = 8


@dataclass(frozen=True)
class Settings:
    """
    What is the same for all bags of a conversion, beside the contract.

    :ivar task: Task sentence, None for the one inside each bag.
    :ivar codec: Codec of the videos.
    :ivar crf: Their quality, None for the codec's default.
    :ivar min_rows: Pieces with fewer rows are left out.
    :ivar cut: ``cutting.Cut``, None to leave each bag in one.
    :ivar only_success: Leave out episodes that are not tagged as a success.
    """

    task: str
    codec: str
    crf: int
    min_rows: int
    cut: object
    only_success: bool
