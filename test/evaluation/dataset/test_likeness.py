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

"""What the audit of a dataset finds twice in it."""

from types import SimpleNamespace

from diffusion_policy_ros.evaluation.dataset.likeness import LikenessCheck
import numpy as np


def test_equal_episodes(tmp_path, audits):
    recipe = audits.Recipe(lengths=(60, 60, 60))
    recipe.state[2], recipe.action[2] = recipe.state[0], recipe.action[0]
    finding = audits.only(recipe.write(tmp_path / 'my d'))
    assert (finding.level, finding.check) == ('WARNING', 'duplicates')
    assert '1 episodes repeat the numbers of another one: 0 = 2' in finding.text
    assert f"`dpr edit '{tmp_path}/my d' --delete 2 --out NAME`" in finding.remedy


def test_of_many_equal_episodes_some_are_named_and_all_counted(tmp_path, audits):
    recipe = audits.Recipe(lengths=(60,) * 8)
    recipe.state[4:], recipe.action[4:] = recipe.state[:4], recipe.action[:4]
    assert audits.only(recipe.write(tmp_path / 'd')).text.endswith(
        'another one: 0 = 4; 1 = 5; 2 = 6 and 1 more')


def test_episodes_of_one_bag_and_moment(copy, audits):
    audits.write_record(copy, {'bag': 'a/b', 'start_ns': 5}, {'bag': 'a/b', 'start_ns': 6},
                        {'bag': 'other/b', 'start_ns': 5})
    finding = audits.only(copy)
    assert (finding.level, finding.check) == ('WARNING', 'duplicates')
    assert finding.text == ('1 episodes begin at the same time in a bag of the same name as '
                            'earlier ones: 2')
    assert f'`dpr edit {copy} --delete 2 --out NAME`' in finding.remedy


def test_actions_that_are_the_state(tmp_path, audits):
    recipe = audits.Recipe()
    recipe.action = recipe.state
    finding = audits.only(recipe.write(tmp_path / 'd'))
    assert (finding.level, finding.check) == ('WARNING', 'action is state')


def test_many_episodes_that_are_there_twice_are_found_at_once():
    """Each of them is looked up, not searched for."""
    class Number(int):
        compared = 0
        __hash__ = int.__hash__

        def __eq__(self, other):
            Number.compared += 1
            return int(self) == int(other)

    check = LikenessCheck(
        SimpleNamespace(vectors={'state': ('x',)}, state_key='state', has_bookkeeping=False),
        [Number(number) for number in range(300)])
    for number in range(200):
        check.look(SimpleNamespace(columns={'state': np.zeros((4, 1))}, count=4,
                                   episode=SimpleNamespace(index=number)))
    assert [finding.text.split()[0] for finding in check.findings()] == ['199', '101']
    assert Number.compared < 1000
