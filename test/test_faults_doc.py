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

"""The tests that docs/faults.md names exist, what it quotes is said, and no fault is left out."""

import ast
from functools import cache
from itertools import product
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'faults.md').read_text(encoding='utf-8')
HEAD = ['fault', '`policy_server`', '`command_safety`, and the robot', 'what brings it back',
        'test']
# Test files in which every test is of a fault.
FAULT_TESTS = ('test_faults.py', 'test_faults_guarded.py', 'test_kills.py',
               'test_arm_kills.py')
# What must have a row, whatever else does: words that its first cell holds, in lower case.
REQUIRED = (
    'stale camera', 'stale joint states', 'on_stale: hold', 'frozen camera', 'frozen joint states',
    'malformed picture', 'malformed joint states', 'out of order: older pictures',
    'out of order: older joint states', 'never came', 'no stamp', 'another type on the topic',
    'clock jumps back', 'clock jumps ahead', '`/clock` stops',
    'checkpoint missing', 'checkpoint destroyed', 'cuda error', 'inference thread is gone',
    'inference thread is told to exit', 'inference hangs', 'plan that is not finite',
    'dds peer loss', 'two publishers on the command topic', 'two publishers on the controller',
    'kill -9 of the policy server', 'kill -9 of the simulator', 'kill -9 of either of two cameras',
    'kill -9 of the safety node', 'kill -9 of a controller', 'nan', 'wrong size', 'wrong names',
    'wrong stamp', 'times of a trajectory', 'first command far', 'no commands', 'e-stop: ',
    "the robot's own stop", '`ready_topic`', 'late tick', 'error inside',
    'controller with other joints')


def tables(page):
    """Return the rows of each table, as lists of cells."""
    found, is_row = [], False
    for line in page.splitlines():
        was_row, is_row = is_row, line.startswith('|')
        if is_row and not was_row:
            found.append([])
        if is_row:
            found[-1].append([cell.strip() for cell in line.strip().strip('|').split('|')])
    return found


ROWS = [row for table in tables(PAGE) for row in table[2:]]


def of_rows(rows):
    return pytest.mark.parametrize('row', [pytest.param(row, id=row[0][:40]) for row in rows])


def one_id(name, index, node):
    """Return what pytest calls one value of a parametrized test; None where only running tells."""
    if isinstance(node, (ast.Dict, ast.List, ast.Tuple)):
        return f'{name}{index}'
    if isinstance(node, ast.Name) and node.id[0].isupper():
        return node.id  # a class
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return str(value)


def ids(decorator):
    """Return the ids that a ``parametrize`` gives, None for those that only running tells."""
    names = [name.strip() for name in ast.literal_eval(decorator.args[0]).split(',')]
    values = getattr(decorator.args[1], 'elts', [])  # none where they are computed
    for index, value in enumerate(values):
        if isinstance(value, ast.Call):  # pytest.param
            named = [word.value for word in value.keywords if word.arg == 'id']
            yield ast.literal_eval(named[0]) if named else None
            continue
        parts = [one_id(name, index, node) for name, node in
                 zip(names, value.elts if len(names) > 1 else [value])]
        yield None if None in parts else '-'.join(parts)


def cases_in(source):
    """Return the names of a test file's tests, and of all their cases, as pytest has them."""
    for function in ast.parse(source).body:
        if isinstance(function, ast.FunctionDef) and function.name.startswith('test_'):
            yield function.name
            marks = [mark for mark in function.decorator_list if isinstance(mark, ast.Call)
                     and ast.unparse(mark.func) == 'pytest.mark.parametrize']
            for case in product(*map(ids, reversed(marks))) if marks else ():
                if None not in case:
                    yield f'{function.name}[{"-".join(case)}]'


@cache
def cases_of(path):
    return set(cases_in((ROOT / path).read_text(encoding='utf-8')))


def sayings(source):
    """Return the texts that a module can say; a null character for what it fills in."""
    tree = ast.parse(source)
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    silent |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
               for part in node.values}
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        if isinstance(node, ast.JoinedStr):
            yield ''.join(part.value if isinstance(part, ast.Constant) else '\0'
                          for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


SAID = [text for path in sorted((ROOT / 'diffusion_policy_ros').rglob('*.py'))
        for text in sayings(path.read_text(encoding='utf-8'))]


def is_said(quote, said):
    """Tell whether one of the texts holds a quote, in which ``...`` stands for anything."""
    pattern = re.compile('.*'.join(re.escape(part) for part in quote.split('...')), re.DOTALL)
    return any(map(pattern.search, said))


def quotes(row):
    return [quote for cell in row[:-1] for quote in re.findall('"(.*?)"', cell)]


def named_tests(row):
    return re.findall('`(test/.*?)::(.*?)`', row[-1])


def test_every_table_has_the_same_columns_and_every_cell_is_filled():
    for head, _, *rows in tables(PAGE):
        assert head == HEAD
        assert rows and all(len(row) == len(HEAD) and all(row) for row in rows)


@pytest.mark.parametrize('words', REQUIRED)
def test_every_fault_that_must_be_defined_has_a_row(words):
    assert any(words in row[0].lower() for row in ROWS)


def test_no_fault_has_two_rows():
    faults = [row[0] for row in ROWS]
    assert len(faults) == len(set(faults))


@of_rows(ROWS)
def test_every_row_names_tests_that_exist(row):
    named = named_tests(row)
    assert named and ', '.join(f'`{path}::{name}`' for path, name in named) == row[-1]
    for path, name in named:
        assert name in cases_of(path), f'{path}::{name}'


@pytest.mark.parametrize('file', FAULT_TESTS)
def test_every_test_of_a_fault_has_a_row(file):
    path = f'test/nodes/{file}'
    named = {name.split('[')[0] for row in ROWS for where, name in named_tests(row)
             if where == path}
    assert named == {name.split('[')[0] for name in cases_of(path)}


@of_rows([row for row in ROWS if quotes(row)])
def test_what_is_quoted_is_said_by_the_package(row):
    for quote in quotes(row):
        assert max(map(len, quote.split('...'))) >= 6, f'{quote!r} would be found anywhere'
        assert is_said(quote, SAID), quote


def test_the_robot_that_stops_has_a_reason_in_every_row():
    for row in ROWS:
        assert '"' in row[1] or not row[1].startswith('stops'), row[0]


@pytest.mark.parametrize('name', re.findall(r'\]\((?!https:)(.*?)\)', PAGE))
def test_links_lead_to_pages(name):
    assert (ROOT / 'docs' / name).is_file()


def test_cases_are_named_as_pytest_names_them():
    source = """
@pytest.mark.parametrize('x', [1, 'two', {'three': 3}, math.pi, pytest.param(5, id='five')])
@pytest.mark.parametrize('kind, words', [(Image, ('a', 'b'))])
def test_that():
    pass
"""
    assert list(cases_in(source)) == ['test_that', *(
        f'test_that[Image-words0-{x}]' for x in ('1', 'two', 'x2', 'five'))]


def test_a_text_counts_as_said_only_where_it_can_be_told():
    said = list(sayings('"""Never said."""\ndef f(a):\n    """Nor this."""\n'
                        '    return f"it is {a} s "\n    f"old"'
                        '\nX = "told: " f"{X} of {Y} are lost"'))
    assert is_said('it is ... s', said) and is_said('told: ... of ... are lost', said)
    assert not any(is_said(quote, said) for quote in (
        'Never said', 'Nor this', 'it is s', 'lost ... told', 'told: 3 of 4'))
