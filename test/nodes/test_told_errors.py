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

"""An error that nobody expected leaves its traceback in the log, once; a known one does not."""

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.nodes.told_errors import ToldErrors
import pytest


class Node:
    """Keeps what is logged as an error."""

    def __init__(self):
        self.logged = []

    def get_logger(self):
        return self

    def error(self, text):
        self.logged.append(text)


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.fixture
def node():
    return Node()


def test_the_traceback_of_an_unexpected_error_is_logged_once(node):
    told = ToldErrors(node)
    for _ in range(3):
        assert told.words(raised(IndexError('tuple index')), 'failed: ') == \
            "failed: IndexError('tuple index')"
    text, = node.logged
    assert 'Traceback' in text and 'in raised' in text and text.count('IndexError') == 1


def test_errors_of_another_kind_and_of_another_place_have_tracebacks_of_their_own(node):
    told = ToldErrors(node)
    told.words(raised(IndexError('one')))
    told.words(raised(KeyError('two')))
    try:
        raise IndexError('three')
    except IndexError as error:
        told.words(error)
    assert [text.splitlines()[-1] for text in node.logged] == [
        'IndexError: one', "KeyError: 'two'", 'IndexError: three']


def test_a_known_error_needs_no_traceback(node):
    assert ToldErrors(node).words(raised(ConfigError('set it')), 'failed: ') == 'set it'
    assert node.logged == []
