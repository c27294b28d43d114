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
"""Parameters: refused with a reason, at start and later; locked while they are in use."""

import pytest

pytest.importorskip('rclpy')
from diffusion_policy_ros.nodes.parameters import Parameters  # noqa: E402,I100
from diffusion_policy_ros.parameter_spec import ParameterSpec  # noqa: E402
from rclpy.exceptions import ParameterException  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

DOMAIN_ID = 50
SPECS = (ParameterSpec('rate_hz', 10.0, 'Rate, Hz', 0.5, 100.0),
         ParameterSpec('count', 3, 'How many', 0, 9),
         ParameterSpec('mode', 'slow', 'How', choices=('slow', 'fast')),
         ParameterSpec('folder', '', 'Where', fixed=True),
         ParameterSpec('serial', 'x', 'Which one', read_only=True))


class Settled(Node):
    """A node with nothing but parameters."""

    def __init__(self, **options):
        super().__init__('settled', **options)
        self.locked = False
        self.settings = Parameters(
            self, SPECS, is_locked=lambda: self.locked,
            check=lambda v: 'too fast for so many' if v['rate_hz'] * v['count'] > 500 else '')

    def refusal(self, **changes):
        """Set parameters together; the reason when they are refused."""
        result = self.set_parameters_atomically(
            [Parameter(name, value=value) for name, value in changes.items()])
        return '' if result.successful else result.reason


def test_values_have_the_type_of_their_defaults(peer):
    node = peer.start(Settled, rate_hz=20)
    assert node.settings['rate_hz'] == 20.0 and isinstance(node.settings['rate_hz'], float)
    assert node.refusal(rate_hz=30) == '' and node.settings['rate_hz'] == 30.0
    assert node.settings.values() == {
        'rate_hz': 30.0, 'count': 3, 'mode': 'slow', 'folder': '', 'serial': 'x'}


@pytest.mark.parametrize('name, value, words', [
    ('rate_hz', 1000.0, '100'), ('rate_hz', float('nan'), 'rate_hz'), ('rate_hz', 'x', 'a number'),
    ('rate_hz', 0, 'from 0.5 to 100'), ('count', 10, '9'), ('mode', 'quick', 'slow, fast'),
    ('serial', 'y', 'read-only')])
def test_a_bad_value_is_refused_and_the_old_one_stays(peer, name, value, words):
    node = peer.start(Settled)
    before = node.settings.values()
    assert words in node.refusal(**{name: value})
    assert node.settings.values() == before


def test_values_that_do_not_fit_each_other_are_refused_together(peer):
    node = peer.start(Settled)
    assert node.refusal(rate_hz=90.0, count=9) == 'too fast for so many'
    assert node.refusal(rate_hz=90.0, count=1) == ''


def test_fixed_parameters_change_only_while_unlocked(peer):
    node = peer.start(Settled)
    assert node.refusal(folder='a') == ''
    node.locked = True
    assert 'clean it up first' in node.refusal(folder='b')
    assert node.refusal(count=4) == ''
    assert node.settings['folder'] == 'a'


@pytest.mark.parametrize('override', [{'rate_hz': -1.0}, {'mode': 'quick'}, {'count': 'x'}])
def test_a_bad_override_at_start_is_refused(peer, override):
    with pytest.raises(ParameterException, match=next(iter(override))):
        peer.start(Settled, **override)


def test_descriptions_and_ranges_can_be_asked_for(peer):
    node = peer.start(Settled)
    described = node.describe_parameter('rate_hz')
    assert described.description == 'Rate, Hz'
    assert described.floating_point_range[0].to_value == 100.0
    assert node.describe_parameter('mode').additional_constraints == 'one of: slow, fast'
    assert 'unconfigured' in node.describe_parameter('folder').additional_constraints


def test_a_text_may_look_like_a_whole_number(peer):
    node = peer.start(Settled, folder=205)
    assert node.settings['folder'] == '205'
    assert 'text' in node.refusal(folder=2.5)
