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

"""Shared refusals name what was found and what is possible."""

from diffusion_policy_ros.checks import (
    check_choice, first_of, is_count, is_encodable, suggestion, told)
from diffusion_policy_ros.errors import ConfigError
import pytest


def test_a_choice_is_accepted_or_refused_with_all_that_are_possible():
    check_choice('solver', 'ddim', ('ddim', 'ddpm'), ConfigError)
    with pytest.raises(ConfigError, match="^solver is 'euler'; choose one of: ddim, ddpm$"):
        check_choice('solver', 'euler', ('ddim', 'ddpm'), ConfigError)
    with pytest.raises(ConfigError, match="switch is 'yes'; choose one of: True, False"):
        check_choice('switch', 'yes', (True, False), ConfigError)


def test_the_nearest_name_is_suggested_or_all_are_listed():
    known = {'rate_hz': 1, 'robot': 2}
    assert suggestion('rate', known) == 'did you mean "rate_hz"?'
    assert suggestion('zzz', known) == 'known: rate_hz, robot'
    assert suggestion(7, known) == 'known: rate_hz, robot'


@pytest.mark.parametrize('value, is_one', [
    (1, True), (7, True), (8, False), (0, False), (-1, False), (True, False), (1.0, False),
    ('1', False), (None, False)])
def test_a_count_is_a_whole_number_within_its_bounds_and_no_switch(value, is_one):
    assert is_count(value, most=7) is is_one


def test_a_count_may_begin_at_0_and_has_no_end_unless_told():
    assert is_count(0, least=0) and is_count(10**400) and not is_count(-1, least=0)


def test_what_stands_for_bytes_that_are_no_text_cannot_be_written():
    assert is_encodable('') and is_encodable('äöü 🤖\0')
    assert not is_encodable(b'a\xffb'.decode('utf-8', 'surrogateescape'))
    assert not is_encodable('\ud800')


def test_of_many_sentences_the_first_are_told_and_the_rest_counted():
    assert first_of(['a', 'b', 'c']) == 'a; b; c'
    assert first_of(['a', 'b', 'c', 'd', 'e']) == 'a; b; c; and 2 more'


@pytest.mark.parametrize('error, words', [
    (FileNotFoundError(2, 'No such file or directory', 'x'), 'there is no such file'),
    (PermissionError(13, 'Permission denied', 'x'), 'Permission denied'),
    (OSError('broken'), 'broken'), (ValueError('odd'), 'odd'),
    (UnicodeDecodeError('utf-8', b'ab\x93', 2, 3, 'invalid start byte'),
     'byte 2 belongs to no text in UTF-8')])
def test_an_exception_is_told_without_what_a_sentence_has_said(error, words):
    assert told(error) == words
