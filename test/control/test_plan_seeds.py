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

"""Seeds that repeat with the run."""

from diffusion_policy_ros.control.plan_seeds import PlanSeeds


def test_a_seed_gives_the_same_sequence_and_plans_that_share_one_do_not_use_it_up():
    seeds = PlanSeeds()
    seeds.start_over(7)
    shared = seeds.next(is_shared=True)
    first = [seeds.next(is_shared=False) for _ in range(5)]
    assert seeds.next(is_shared=True) == shared and len({shared, *first}) == 6
    seeds.start_over(7)
    assert [seeds.next(is_shared=False) for _ in range(5)] == first
    seeds.start_over(8)
    assert seeds.next(is_shared=False) != first[0]
    seeds.start_over(-1)
    other = seeds.next(is_shared=False)
    seeds.start_over(-1)
    assert seeds.next(is_shared=False) != other
