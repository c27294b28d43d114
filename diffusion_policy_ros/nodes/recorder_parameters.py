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


"""The parameters of the recorder, and what cannot be wanted together."""

from diffusion_policy_ros.checks import suggestion
from diffusion_policy_ros.data.recording.alarm_book import ALARMS
from diffusion_policy_ros.data.recording.stream_facts import QualityLimits
from diffusion_policy_ros.parameter_spec import ParameterSpec

DEFAULTS = QualityLimits()
# Parameter to what its button does.
BUTTONS = {'joy_start_stop': 'start or stop', 'joy_success': 'success', 'joy_fail': 'fail',
           'joy_discard': 'discard', 'joy_discard_last': 'discard_last'}
MOST_BUTTONS = 255
PARAMETERS = (
    ParameterSpec('contract', '', 'Path of the robot contract (YAML)', read_only=True),
    ParameterSpec('output', 'bags', 'Folder for the bags, one per episode; numbering goes on '
                  'after what is there'),
    ParameterSpec('dataset', 'dataset', 'Folder of the dataset that ~/convert builds'),
    ParameterSpec('task', '', 'What the demonstrations show, one sentence; written into each '
                  'episode when it starts'),
    ParameterSpec('pre_roll_s', 0.0, 'How long before ~/start an episode begins, s', 0.0, 60.0),
    ParameterSpec('pre_roll_mb', 512, 'Memory for what came before a start, MB; with less than '
                  'pre_roll_s needs, the newest messages are kept', 1, 65536),
    ParameterSpec('rate_tolerance', DEFAULTS.rate_tolerance, 'Alarm rate: share by which the rate '
                  'of a stream may differ from the one before the start', 0.01, 1.0),
    ParameterSpec('max_skew_ms', DEFAULTS.max_skew_ms, 'Alarm clock_skew: how far header stamps '
                  'may be ahead of the arrival, or drift against it, ms', 1.0, 60000.0),
    ParameterSpec('frozen_count', DEFAULTS.frozen_count, 'Alarm frozen: equal pictures in a row '
                  'that are too many, 0 for never; frozen_after of the contract wins', 0, 100000),
    ParameterSpec('disk_minutes', 5.0, 'Alarm disk: the disk should take so many more minutes of '
                  'recording', 0.0, 1440.0),
    ParameterSpec('discard_on', '', 'Alarms, separated by commas, for which an episode is moved '
                  f'to discarded/ when it ends: {", ".join(ALARMS)}'),
    *[ParameterSpec(name, -1, f'Button of the topic joy for {what}: its number from 0, -1 for '
                    'none', -1, MOST_BUTTONS) for name, what in BUTTONS.items()],
)


def alarms_named(text) -> list:
    """
    Return the alarms that a text names.

    :param text: Names, separated by commas.
    """
    return [name.strip() for name in text.split(',') if name.strip()]


def refusal(values) -> str:
    """
    Say which values cannot be, an empty text when all is well.

    :param values: Name to value of every parameter.
    """
    if not values['contract']:
        return ('the parameter "contract" is empty; give the path of the robot contract, such as '
                'config/robots/pusht.yaml')
    empty = [name for name in ('output', 'dataset') if not values[name].strip()]
    if empty:
        return f'the parameter "{empty[0]}" is empty; give the path of a folder'
    unknown = [name for name in alarms_named(values['discard_on']) if name not in ALARMS]
    if unknown:
        return (f'discard_on names "{unknown[0]}", which is no alarm; '
                f'{suggestion(unknown[0], ALARMS)}')
    if values['frozen_count'] == 1:
        return 'frozen_count is 1; every picture equals itself: set 0 for never, or 2 or more'
    used = [values[name] for name in BUTTONS if values[name] >= 0]
    twice = [name for name in BUTTONS if used.count(values[name]) > 1]
    if twice:
        return f'{" and ".join(twice)} are the same button; give each its own'
    return ''


def quality_limits(settings) -> QualityLimits:
    """
    Return the limits of the alarms as they are set now.

    :param settings: The recorder's ``Parameters``.
    """
    return QualityLimits(rate_tolerance=settings['rate_tolerance'],
                         max_skew_ms=settings['max_skew_ms'],
                         frozen_count=settings['frozen_count'])


def pre_roll_ns(settings) -> int:
    """
    Return how long messages are kept before a start, ns.

    :param settings: The recorder's ``Parameters``.
    """
    return round(settings['pre_roll_s'] * 1e9)
