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

"""How the code looks: ament's linters, sizes, licence headers, and what must never appear."""

import ast
from pathlib import Path
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ('diffusion_policy_ros', 'launch', 'test')
FILES = sorted([*ROOT.glob('*.py'), *(f for folder in FOLDERS
                                      for f in (ROOT / folder).rglob('*.py'))])
CODE = [path for path in FILES if 'test' not in path.relative_to(ROOT).parts]
HEADER = (ROOT / 'setup.py').read_text('utf-8').split('"""')[0].rstrip()
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40
# Loading any of these can run code that a file brings along.
FORBIDDEN = (r'\bpickle\b', r'torch\.load\(', r'\byaml\.load\(', r'\ballow_pickle\s*=\s*True')
# What an editor leaves behind, and what a repository must not know.
LEFTOVERS = (r'\bTODO\b', r'\bFIXME\b', r'\bXXX\b', r'\bbreakpoint\(', r'import pdb',
             r'except Exception:\s*\n\s*pass', r'/(home|root|work|Users)/\w')


def identify(path):
    """Name a test case after its file."""
    return str(path.relative_to(ROOT))


def numbered(pattern, text):
    """Return the numbers of the lines where a pattern matches."""
    return [text.count('\n', 0, match.start()) + 1 for match in re.finditer(pattern, text)]


def public_definitions(scope):
    """Return the public functions and classes of a module or class, and of its public classes."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = [node for node in scope.body
             if isinstance(node, kinds) and not node.name.startswith('_')]
    return found + [inner for node in found if isinstance(node, ast.ClassDef)
                    for inner in public_definitions(node)]


@pytest.mark.parametrize('tool', ['flake8', 'pydocstyle'])
def test_ament_linter_is_content(tool):
    pytest.importorskip(tool)
    if tool == 'flake8':
        pytest.importorskip('flake8_import_order')
    targets = [str(path) for path in FILES]
    done = subprocess.run([sys.executable, '-m', tool, *targets], cwd=ROOT, capture_output=True,
                          stdin=subprocess.DEVNULL, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize('path', FILES, ids=identify)
def test_file_starts_with_the_licence(path):
    assert path.read_text('utf-8').startswith(HEADER)


@pytest.mark.parametrize('path', CODE, ids=identify)
def test_files_and_functions_are_short(path):
    text = path.read_text('utf-8')
    lines = len(text.splitlines())
    assert lines <= MAX_FILE_LINES, f'{identify(path)} has {lines} lines'
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, \
                f'{identify(path)}: {node.name} has {length} lines'


@pytest.mark.parametrize('path', CODE, ids=identify)
def test_nothing_is_ever_unpickled(path):
    text = path.read_text('utf-8')
    for pattern in FORBIDDEN:
        assert not numbered(pattern, text), f'{identify(path)}:{numbered(pattern, text)}'


@pytest.mark.parametrize('path', [path for path in FILES if path != Path(__file__).resolve()],
                         ids=identify)
def test_nothing_is_left_behind(path):
    text = path.read_text('utf-8')
    for pattern in LEFTOVERS:
        assert not numbered(pattern, text), \
            f'{identify(path)}:{numbered(pattern, text)} has {pattern}'


@pytest.mark.parametrize('path', CODE, ids=identify)
def test_every_public_definition_has_a_docstring(path):
    tree = ast.parse(path.read_text('utf-8'))
    assert ast.get_docstring(tree) or not tree.body, f'{identify(path)} says not what it is for'
    for node in public_definitions(tree):
        assert ast.get_docstring(node), f'{identify(path)}: {node.name} has no docstring'


@pytest.mark.parametrize('script', ['setup.sh', 'demo.sh', 'test.sh'])
def test_scripts_have_no_syntax_error_and_stop_at_the_first_failure(script):
    path = ROOT / 'scripts' / script
    assert 'set -euo pipefail' in path.read_text('utf-8')
    done = subprocess.run(['bash', '-n', str(path)], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
