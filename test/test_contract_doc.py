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

"""docs/contract.md has every key, and its types, ranges, defaults and choices are the parser's."""

from copy import deepcopy
from dataclasses import fields, MISSING
from functools import reduce
import math
from operator import getitem
from pathlib import Path
import re

from diffusion_policy_ros.contract import parse_contract, RECORDED, RobotContract
from diffusion_policy_ros.contract_checks import LIMIT_NAMES
from diffusion_policy_ros.control.safety import limits
from diffusion_policy_ros.errors import ContractError
from diffusion_policy_ros.message_types import (
    ACTION_TYPES, component_names, IMAGE_TYPES, JOINT_STATE, JOINT_TYPES, OBSERVATION_TYPES,
    POSE_STAMPED, TWIST)
from diffusion_policy_ros.streams import ActionOutput, ImageSpec, ObservationStream
import pytest
import yaml

DOCS = Path(__file__).parents[1] / 'docs'
PAGE = (DOCS / 'contract.md').read_text(encoding='utf-8')
SECTIONS = dict(re.findall(r'^## (.*?)\n(.*?)(?=^## |\Z)', PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = [yaml.safe_load(text) for text in re.findall(r'^```yaml\n(.*?)^```', PAGE, re.M | re.S)]
OBSERVATION, IMAGE, ACTION, LIMIT = (
    f'Entries of `{name}:`' for name in ('observations', 'image', 'actions', 'limits'))
CLASSES = {'Top level': RobotContract, OBSERVATION: ObservationStream, IMAGE: ImageSpec,
           ACTION: ActionOutput, LIMIT: None}
PLACES = {'Top level': (), OBSERVATION: ('observations', 0), IMAGE: ('observations', 1, 'image'),
          ACTION: ('actions', 0), LIMIT: ('limits', 'a')}  # of their keys in the document below
BASE = yaml.safe_load(f"""
robot: test
rate_hz: 10
observations:
  - {{key: observation.state, topic: joint_states, type: {JOINT_STATE}, joints: [a],
      stamp: receive, max_age_ms: 100}}
  - {{key: observation.images.camera, topic: camera, type: {IMAGE_TYPES[0]},
      image: {{height: 96, width: 128}}, max_age_ms: 200}}
actions:
  - {{topic: command, type: {JOINT_STATE}, joints: [a], stamp: receive}}
limits: {{a: {{}}}}
""")
# For every key another value than the one above.
OTHERS = {
    'robot': 'other', 'rate_hz': 15, 'settle_ms': 5, 'limits': {'a': {'velocity': 2}},
    'key': 'observation.other', 'topic': 'other', 'type': 'trajectory_msgs/msg/JointTrajectory',
    'max_age_ms': 50, 'stamp': 'header', 'on_stale': 'hold', 'frozen_after': 30,
    'names': ['a', 'b'], 'field': 'velocity', 'rotation': 'quaternion', 'unit': 'deg',
    'image': {'height': 48, 'width': 48, 'encoding': 'mono8', 'resize': 'pad'},
    'label': 'next_state', 'offset_ms': 10, 'interpolation': 'hold', 'trajectory': 'chunk',
    'frame_id': 'base'}


def table_of(section):
    """Return the cells of a section's table: its head, then its rows."""
    head, _, *rows = [[cell.strip() for cell in line.strip('|').split('|')]
                      for line in SECTIONS[section].splitlines() if line.startswith('|')]
    return head, rows


def quoted(text):
    return re.findall('`(.*?)`', text)


# (table, key, range, default) of every key; "joints" and "names" have one row.
KEYS = [(title, key, *row[1:3]) for title in CLASSES for row in table_of(title)[1]
        for key in quoted(row[0])]
BY_KEY = pytest.mark.parametrize('title, key, allowed, default', [
    pytest.param(*entry, id=f'{entry[0].split()[-1].strip("`:")}-{entry[1]}') for entry in KEYS])


def with_value(title, key, value, base=BASE):
    """Return the document with one key set; a value of MISSING removes it."""
    raw = deepcopy(base)
    place = reduce(getitem, PLACES[title], raw)
    if key in ('joints', 'names'):
        place.pop('joints', None)
    place[key] = value
    if value is MISSING:
        del place[key]
    return raw


def parse(raw):
    return parse_contract(yaml.safe_dump(raw))


def refusal(raw):
    """Return why the parser refuses a document, empty where it does not."""
    try:
        parse(raw)
    except ContractError as error:
        return str(error)
    return ''


def numbers(allowed):
    """Return values at the ends of a range of numbers, and some right beside it."""
    whole, low, below, high = re.search(
        r'(whole )?number, (?:above (?=0$))?(\S+)(?: to (below )?(.+))?$', allowed).groups()
    no_numbers = ['x', True, math.inf, math.nan, None]
    number, step = (int, 1) if whole else (float, 1e-7)
    low = number(low)
    if high is None:  # above
        return [low + step, 1e12], [low, low - step, *no_numbers]
    high = 1000 / BASE['rate_hz'] if high == '`1000 / rate_hz`' else number(high)
    good, bad = [low, high - step], [low - step, high + step, *no_numbers]
    (bad if below else good).append(high)
    if whole:
        bad.append(low + 0.5)
    return good + [0] * allowed.startswith('`0`, or'), bad


def values_of(allowed):
    """Return values that a cell of the page allows, and some that it does not."""
    if 'number' in allowed:
        return numbers(allowed)
    if re.fullmatch('(`[A-Za-z0-9_]+`(, )?)+', allowed):  # a list of choices
        choices = [1] if allowed == '`1`' else quoted(allowed)
        return choices, ['nonsense', 2, None]
    return {
        'text': (['x'], []), 'text, not empty': (['x'], ['', 5]),
        'text: `observation.` and a name': (['observation.a'], ['a', 'observation.', 'action']),
        'topic name without a leading `/`': (['a', 'a/b_2'], ['/a', 'a b', '2a', '', 5]),
        'a type [below](#message-types)': ([JOINT_STATE], ['nonsense', None]),
        'list': ([], [5, 'x', []]), 'mapping': ([], [5, 'x', [1]]),
        'list of words, none twice': ([['a']], [['a', 'a'], 'a', [5], None]),
        '`[low, high]`, low below high': ([[0, 1e-7], [-3, 3]], [[0, 0], [1, 0], [0], 1]),
    }[allowed]


@pytest.mark.parametrize('title', CLASSES)
def test_the_keys_of_a_table_are_those_that_the_parser_knows(title):
    head, rows = table_of(title)
    assert head == ['key', 'type and range', 'default', 'meaning']
    assert all(len(row) == len(head) and all(row) for row in rows)
    shown = [key for table, key, *_ in KEYS if table == title]
    known = re.search('known: (.*)', refusal(with_value(title, '~', 1)))[1].split(', ')
    if title == 'Top level':
        known.append('contract_version')  # which is taken off before the others are looked at
    assert sorted(shown) == sorted(known)
    settable = [f.name for f in fields(CLASSES[title])] if CLASSES[title] else LIMIT_NAMES
    assert set(settable) <= set(shown)


@BY_KEY
def test_what_a_row_allows_is_accepted_and_what_lies_beside_it_is_refused(
        title, key, allowed, default):
    good, bad = values_of(allowed)
    for value in good:
        assert refusal(with_value(title, key, value)) == '', f'{key}: {value!r}'
    for value in bad:
        assert refusal(with_value(title, key, value)), f'{key}: {value!r}'


@BY_KEY
def test_a_row_names_every_choice(title, key, allowed, default):
    choices = re.search('choose one of: (.*)', refusal(with_value(title, key, 'nonsense')))
    is_choice = values_of(allowed)[1][:1] == ['nonsense'] and key != 'contract_version'
    assert bool(choices) == is_choice
    assert not choices or key == 'type' or ', '.join(quoted(allowed)) == choices[1]


@BY_KEY
def test_the_default_is_what_counts_where_the_key_is_left_out(title, key, allowed, default):
    field = {f.name: f for f in fields(CLASSES[title])}.get(
        'names' if key == 'joints' else key) if CLASSES[title] else None
    without = refusal(with_value(title, key, MISSING))
    if key not in ('joints', 'names'):  # which most types need, and some offer
        assert bool(without) == (f'"{key}" is missing' in without) == (default == 'required')
    if default == 'required':
        assert field.default is MISSING
    elif field is None:  # limits, which have no class, and the version, which has no field
        assert default == ('`1`' if key == 'contract_version' else 'none')
    elif default == 'none':
        value = field.default_factory() if field.default is MISSING else field.default
        assert value in ('', None, {}, ())
    else:
        assert yaml.safe_load(*quoted(default)) == field.default


def test_the_smallest_contract_has_nothing_to_spare_and_the_limits_fit_it():
    smallest, more = EXAMPLES
    assert PAGE.count('```') == 2 * len(EXAMPLES)
    contract = parse({**smallest, **more})
    limits.motion_limits(contract.limits, contract.action_names, 'the page')
    for title in ('Top level', OBSERVATION, ACTION):
        for key in reduce(getitem, PLACES[title], smallest):
            assert refusal(with_value(title, key, MISSING, smallest)), key


TYPES = {quoted(row[0])[0]: row[1:] for row in table_of('Message types')[1]}


def entry_of(kind, entries):
    """Return the first entry of a kind with one topic, one stamp and no names, plus some keys."""
    is_camera = entries['type'] in IMAGE_TYPES
    common = {'topic': 'other', 'stamp': 'receive', **entries}
    if kind == 'observations':
        common = {'key': 'observation.images.other' if is_camera else 'observation.other',
                  'max_age_ms': 100, **common}
        common.update({'image': {'height': 9, 'width': 9}} if is_camera else {})
    return {**BASE, 'limits': {}, kind: [common, *BASE[kind]]}


def test_the_types_are_those_that_can_be_observed_and_commanded():
    assert [kind for kind, row in TYPES.items() if row[0] != 'no'] == list(OBSERVATION_TYPES)
    assert {kind for kind, row in TYPES.items() if row[1] != 'no'} == set(ACTION_TYPES)
    assert {kind for kind, row in TYPES.items() if row[2].startswith('joints')} \
        == {kind for kind, row in TYPES.items() if row[3] == 'read, sent'} == set(JOINT_TYPES)


@pytest.mark.parametrize('column, kind', [(0, 'observations'), (1, 'actions')])
@pytest.mark.parametrize('type_', TYPES)
def test_the_table_of_types_says_what_each_needs(type_, column, kind):
    _, _, names, _, stamp = row = TYPES[type_]
    if row[column] == 'no':
        assert 'choose one of' in refusal(entry_of(kind, {'type': type_, 'names': ['b']}))
        return
    own = {'names': ['b']} if names.startswith(('joints', 'your names')) else {}
    parsed = getattr(parse(entry_of(kind, {'type': type_, **own})), kind)[0]
    assert parsed.names == (('b',) if own else component_names(type_))
    assert refusal(entry_of(kind, {'type': type_, 'names': [] if own else ['b']}))
    by_header = refusal(entry_of(kind, {'type': type_, 'stamp': 'header', **own}))
    assert bool(by_header) == ('receive' in by_header) == (stamp != 'either')


def test_the_components_are_listed_in_their_order():
    listed = quoted(SECTIONS['Message types'].partition('Components of a pose')[2])
    assert tuple(name for name in listed if '.' in name) == (
        component_names(POSE_STAMPED) + component_names(POSE_STAMPED, 'quaternion')[3:]
        + component_names(TWIST))


def agreement(word):
    """Return the keys in one of the two lists of what a checkpoint fixes."""
    return set(quoted(re.search(rf'^- {word}: (.*?)\.$', SECTIONS['Where a contract travels'],
                                re.MULTILINE | re.DOTALL)[1]))


def changes(key):
    """Return the document with another value of one key, once for each place that it can have."""
    if key == 'image':
        return [with_value(IMAGE, name, value) for name, value in OTHERS[key].items()]
    return [with_value(title, key, OTHERS[key]) for title, name, *_ in KEYS
            if name == key and title in ('Top level', OBSERVATION, ACTION)]


def test_every_key_either_must_agree_or_may_differ():
    entries = {key for title, key, *_ in KEYS if title in ('Top level', OBSERVATION, ACTION)}
    must, may = agreement('Must agree'), agreement('May differ')
    # What is left is the form of the file, and what is told in words: the streams and outputs.
    assert not must & may
    assert entries - must - may == {'contract_version', *RECORDED, 'role', 'joints'}


@pytest.mark.parametrize('word, differs', [('Must agree', True), ('May differ', False)])
def test_a_checkpoint_fixes_what_the_page_says(word, differs):
    trained = parse(BASE)
    for key in agreement(word):
        for raw in changes(key):
            assert bool(trained.disagreements(parse(raw))) == differs, key


def test_auxiliary_streams_must_agree_to_convert_only():
    seen = {'type': JOINT_STATE, 'names': ['b'], 'role': 'auxiliary'}
    ours, theirs = parse(BASE), parse(entry_of('observations', seen))
    assert not ours.disagreements(theirs) and ours.disagreements(theirs, kinds=RECORDED)


def test_the_numbers_that_are_assumed_are_those_of_command_safety():
    for words in (f'`velocity` / {limits.SECONDS_TO_VELOCITY:g} s',
                  f'`acceleration` / {limits.SECONDS_TO_ACCELERATION:g} s'):
        assert words in SECTIONS[LIMIT]
    bounds = re.search('must be from (.*?) to (.*?) ', SECTIONS[LIMIT]).groups()
    assert [*map(yaml.safe_load, bounds)] == [limits.SMALLEST, limits.LARGEST]


@pytest.mark.parametrize('target', sorted(set(re.findall(r'\]\((.*?)\)', PAGE))))
def test_links_lead_to_pages_and_sections(target):
    name, _, anchor = target.partition('#')
    assert not name or (DOCS / name).is_file()
    slugs = [re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-') for title in SECTIONS]
    assert not anchor or anchor in slugs
