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

"""The package's form: one version, a valid manifest, and everything installed that is needed."""

import ast
import os
from pathlib import Path
import re
import subprocess
import sys
from xml.etree import ElementTree
import zipfile

from diffusion_policy_ros.requirements import SERVING
import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'diffusion_policy_ros'
SETUP = (ROOT / 'setup.py').read_text('utf-8')
MANIFEST = ElementTree.parse(ROOT / 'package.xml').getroot()
EXECUTABLES = ('dpr', 'policy_server', 'command_safety', 'recorder', 'record_keys', 'pusht_sim',
               'arm_sim', 'base_sim')
# import name: distribution name, where the two differ
DISTRIBUTIONS = {'backports': 'backports.zstd', 'cv2': 'opencv-python-headless',
                 'gym_pusht': 'gym-pusht', 'yaml': 'PyYAML'}
# Parts of Python packages that another requirement brings, by that package's own promise.
STDLIB = {*sys.stdlib_module_names, 'compression'}  # of this Python, and of 3.14
BROUGHT_ALONG = {'glfw': 'mujoco', 'gymnasium': 'gym-pusht', 'numcodecs': 'zarr',
                 'OpenGL': 'mujoco', 'pygame': 'gym-pusht', 'shapely': 'gym-pusht'}


def keyword_of_setup(name):
    """Return the source of one keyword argument of ``setup()``."""
    call = next(node for node in ast.walk(ast.parse(SETUP)) if isinstance(node, ast.Call)
                and getattr(node.func, 'id', '') == 'setup')
    return next(keyword.value for keyword in call.keywords if keyword.arg == name)


def requirements():
    """Return every requirement of setup.py, those of the extras included."""
    assigned = {node.targets[0].id: node.value for node in ast.parse(SETUP).body
                if isinstance(node, ast.Assign)}
    listed = [SERVING, *ast.literal_eval(assigned['extras']).values()]
    return [text for group in listed for text in group]


def normal(name):
    """Return a distribution's name in the form in which names are compared."""
    return re.sub('[-_.]+', '-', re.match('[A-Za-z0-9_.-]+', name).group()).lower()


def test_version_is_the_same_everywhere():
    versions = {
        'package.xml': MANIFEST.findtext('version'),
        'setup.py': ast.literal_eval(keyword_of_setup('version')),
        'CHANGELOG.rst': re.search(r'^(\d+\.\d+\.\d+) \(', (ROOT / 'CHANGELOG.rst').read_text(),
                                   re.MULTILINE).group(1)}
    assert len(set(versions.values())) == 1, versions


def test_manifest_is_of_format_3_and_names_its_schema():
    assert MANIFEST.get('format') == '3'
    assert '<?xml-model href="http://download.ros.org/schema/package_format3.xsd"' in (
        ROOT / 'package.xml').read_text()
    assert MANIFEST.findtext('name') == PACKAGE
    assert MANIFEST.findtext('license') == 'Apache-2.0'
    assert MANIFEST.findtext('export/build_type') == 'ament_python'


def test_manifest_is_valid_for_the_tools_of_ros():
    parser = pytest.importorskip('catkin_pkg.package')
    warnings = []
    package = parser.parse_package(str(ROOT / 'package.xml'), warnings=warnings)
    package.validate(warnings=warnings)
    assert not warnings


def test_every_imported_library_is_required_somewhere():
    known = {normal(text) for text in requirements()}
    ros = {entry.text for kind in ('depend', 'exec_depend') for entry in MANIFEST.findall(kind)}
    for path in (*(ROOT / PACKAGE).rglob('*.py'), *(ROOT / 'launch').glob('*.py')):
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
                [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in {name.split('.')[0] for name in names}:
                if name in STDLIB or name == PACKAGE or name in ros:
                    continue
                if name == 'ament_index_python':  # every ROS 2 has it, and the wheels of rclpy too
                    continue
                distribution = DISTRIBUTIONS.get(name, BROUGHT_ALONG.get(name, name))
                assert normal(distribution) in known, f'{path.name} imports {name}'


def test_every_message_package_of_the_tests_is_declared():
    declared = {entry.text for kind in ('exec_depend', 'test_depend')
                for entry in MANIFEST.findall(kind)}
    for path in (ROOT / 'test').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            if isinstance(node, ast.ImportFrom) and node.module.endswith(('.msg', '.srv')):
                assert node.module.split('.')[0] in declared, f'{path.name}: {node.module}'


def test_every_ros_library_of_the_manifest_is_used():
    """Everything that is named can be imported, and is, or is started by its name."""
    started = {'ros2launch'}
    code = ''.join(path.read_text('utf-8') for folder in (PACKAGE, 'launch')
                   for path in (ROOT / folder).rglob('*.py'))
    for entry in MANIFEST.findall('exec_depend'):
        if not entry.text.startswith('python3-') and entry.text not in started:
            used = rf"(from|import) {entry.text}[. ]|'{entry.text}/|package='{entry.text}'"
            assert re.search(used, code), entry.text


def test_ros_wheels_offer_every_message_package_of_the_manifest():
    wheels = {normal(text) for text in requirements() if text.startswith('ros-')}
    for entry in MANIFEST.findall('exec_depend'):
        if entry.text.endswith(('_msgs', '_srvs', '_interfaces')):
            assert f'ros-{normal(entry.text)}' in wheels


def test_colcon_gets_no_requirement_that_only_pip_can_meet(colcon_workspace):
    metadata = colcon_workspace.prefix.glob('lib/*/*-packages/*.egg-info')
    listed = (next(metadata) / 'requires.txt').read_text()
    assert listed.lstrip().startswith('['), 'there must be extras only'


def test_tested_versions_are_allowed_ones():
    pytest.importorskip('packaging')
    from packaging.requirements import Requirement
    allowed = {normal(text): Requirement(text) for text in requirements()}
    lines = [line.split('#')[0].strip() for line in
             (ROOT / 'constraints.txt').read_text('utf-8').splitlines()]
    for tested in map(Requirement, filter(None, lines)):
        version = str(tested.specifier).lstrip('=').replace('*', '0')
        if normal(tested.name) in allowed:
            assert allowed[normal(tested.name)].specifier.contains(version), tested


def test_both_builds_of_opencv_are_of_one_release():
    lines = (ROOT / 'constraints.txt').read_text('utf-8').splitlines()
    pinned = dict(line.split('==') for line in lines if line.startswith('opencv-python'))
    assert len(pinned) == 2
    assert len(set(pinned.values())) == 1


@pytest.mark.parametrize('name', EXECUTABLES)
def test_executable_points_at_a_function_that_exists(name):
    target = re.search(rf"f'{name} = {{PACKAGE}}\.([\w.]+):main'", SETUP).group(1)
    tree = ast.parse((ROOT / PACKAGE / f'{target.replace(".", "/")}.py').read_text('utf-8'))
    assert any(isinstance(node, ast.FunctionDef) and node.name == 'main' for node in tree.body)


@pytest.fixture(scope='module')
def wheel(copy_of_tree):
    """Return the wheel that pip builds from a copy of the tree, without the network."""
    pytest.importorskip('setuptools')
    source = copy_of_tree('wheel')
    built = subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--no-deps', '--no-index', '--no-build-isolation',
         '--wheel-dir', str(source.parent), str(source)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    if 'bdist_wheel' in built.stderr and built.returncode:
        pytest.skip('this setuptools needs the package "wheel" to build one')
    assert built.returncode == 0, built.stdout + built.stderr
    return next(source.parent.glob('*.whl'))


def test_wheel_holds_every_shared_file(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    marker = f'/share/{PACKAGE}/'
    installed = {name.partition(marker)[2] for name in names if marker in name}
    wanted = {str(path.relative_to(ROOT))
              for folder in ('launch', 'config', 'models', 'urdf', 'worlds')
              for path in (ROOT / folder).rglob('*')
              if path.is_file() and '__pycache__' not in path.parts}
    assert wanted | {'package.xml'} <= installed
    assert any(name.endswith(f'resource_index/packages/{PACKAGE}') for name in names)


def test_wheel_holds_every_module_and_no_test(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    modules = {name for name in names if name.startswith(f'{PACKAGE}/') and name.endswith('.py')}
    assert modules == {str(path.relative_to(ROOT)) for path in (ROOT / PACKAGE).rglob('*.py')}
    assert not any(name.startswith('test/') for name in names)


def test_pip_puts_the_executables_on_path_and_the_share_folder_is_found(wheel, tmp_path):
    subprocess.run([sys.executable, '-m', 'venv', '--without-pip', str(tmp_path)], check=True,
                   timeout=60)
    subprocess.run(
        [sys.executable, '-m', 'pip', '--python', str(tmp_path / 'bin' / 'python'), 'install',
         '--no-deps', '--no-index', str(wheel)], check=True, capture_output=True, timeout=120)
    assert {path.name for path in (tmp_path / 'bin').iterdir()} >= set(EXECUTABLES)
    clean = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    shown = subprocess.run([str(tmp_path / 'bin' / 'dpr'), '--help'], capture_output=True,
                           text=True, timeout=60, env=clean)
    assert shown.returncode == 0, shown.stderr
    assert 'convert' in shown.stdout
    code = f'from {PACKAGE}.share import share_path; print(share_path("config", "robots"))'
    found = subprocess.run([str(tmp_path / 'bin' / 'python'), '-c', code], capture_output=True,
                           text=True, timeout=60, cwd=tmp_path, env=clean)
    assert found.stdout.strip() == str(tmp_path / 'share' / PACKAGE / 'config' / 'robots')
