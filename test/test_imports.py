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

"""Imports point one way, and heavy libraries stay where they belong."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = 'diffusion_policy_ros'
MODULES = sorted((ROOT / PACKAGE).rglob('*.py'))

# Which other parts of the package a part may import, beside the modules at the top.
LAYERS = {
    'diffusion': set(),
    'networks': set(),
    'observation': set(),
    'policy': {'diffusion', 'networks', 'observation'},
    'control': {'policy.action_chunk'},
    'sim': {'control.commands', 'control.kinematics'},
    'data': {'observation', 'control.commands'},
    'training': {'diffusion', 'networks', 'policy', 'data', 'sim'},
    'evaluation': {'diffusion', 'networks', 'observation', 'policy', 'control', 'data', 'sim',
                   'training'},
    'serving': {'policy', 'control'},
    'launching': set(),
    'nodes': {'diffusion', 'networks', 'observation', 'policy', 'control', 'data', 'sim',
              'training', 'evaluation', 'serving'},
    'cli': {'diffusion', 'networks', 'observation', 'policy', 'control', 'data', 'sim',
            'training', 'evaluation'},
}
ROS_MODULES = {'builtin_interfaces', 'diagnostic_msgs', 'geometry_msgs', 'lifecycle_msgs',
               'nav_msgs', 'rcl_interfaces', 'rclpy', 'rosgraph_msgs', 'sensor_msgs', 'std_msgs',
               'std_srvs', 'trajectory_msgs', 'visualization_msgs'}
LAUNCH_MODULES = {'ament_index_python', 'launch', 'launch_ros'}
ENGINES = {'gym_pusht', 'gymnasium', 'pygame', 'pymunk', 'shapely'}
ARM_ENGINES = {'glfw', 'mink', 'mujoco', 'xacro'}
RUNTIMES = {'onnx', 'onnxruntime', 'onnxscript', 'openvino'}
DATA_LIBRARIES = {'av', 'distributed', 'h5py', 'numcodecs', 'pyarrow', 'zarr'}
# Libraries that may be imported only in these parts ('' is the top of the package), folders or
# modules.
ONLY_IN = {
    **dict.fromkeys(ROS_MODULES, {'nodes'}),
    **dict.fromkeys(LAUNCH_MODULES, {'launching'}),
    'lifecycle_msgs': {'nodes', 'launching'},
    **dict.fromkeys(ENGINES, {'sim'}),
    **dict.fromkeys(ARM_ENGINES, {'sim.arm'}),
    **dict.fromkeys(DATA_LIBRARIES, {'data', 'sim', 'evaluation', 'cli'}),
    **dict.fromkeys(RUNTIMES, {'policy.export'}),
    'torch': {'diffusion', 'networks', 'policy', 'training', 'evaluation', 'serving', 'cli'},
    'cv2': {'observation', 'data', 'sim', 'evaluation', 'cli'},
    'rosbags': {'data', 'evaluation.bench_bag', 'evaluation.bench_plain'},
    'ruckig': {'control'},
    'safetensors': {'policy', 'training'},
    'tensorboard': {'training'},
    'matplotlib': {'evaluation', 'cli', 'training'},
    'wandb': {'training'},
}
NEVER = {'diffusers', 'lerobot', 'torchvision', 'pickle', 'dill', 'cloudpickle'}


def imported(path):
    """Return the full dotted names that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text('utf-8'))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}:{node.lineno}: relative import'
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


def part_of(path):
    """Return the part of the package that a file belongs to, '' for the top."""
    folders = path.relative_to(ROOT / PACKAGE).parts[:-1]
    return folders[0] if folders else ''


def identify(path):
    """Name a test case after its file."""
    return str(path.relative_to(ROOT / PACKAGE))


def test_every_part_has_its_place_in_the_table():
    parts = {part_of(path) for path in MODULES} - {''}
    assert parts == set(LAYERS)


@pytest.mark.parametrize('path', MODULES, ids=identify)
def test_parts_import_only_what_lies_below_them(path):
    part = part_of(path)
    for name in imported(path):
        below = name.split('.')[1:]
        if name.split('.')[0] != PACKAGE or below[0] not in LAYERS or below[0] == part:
            continue
        allowed = LAYERS.get(part, set())
        assert below[0] in allowed or '.'.join(below[:2]) in allowed, \
            f'{identify(path)} may not import {name}'


@pytest.mark.parametrize('path', MODULES, ids=identify)
def test_libraries_stay_in_the_parts_that_need_them(path):
    part = part_of(path)
    folder = '.'.join(path.relative_to(ROOT / PACKAGE).parts[:-1])
    for library in {name.split('.')[0] for name in imported(path)}:
        assert library not in NEVER, f'{identify(path)} imports {library}'
        assert {part, folder, f'{folder}.{path.stem}'} & ONLY_IN.get(library, {part}), \
            f'{identify(path)} imports {library}, which only {sorted(ONLY_IN[library])} may'


def test_the_contract_and_its_neighbours_need_nothing_heavy():
    for path in (ROOT / PACKAGE).glob('*.py'):
        libraries = {name.split('.')[0] for name in imported(path)}
        assert libraries - set(sys.stdlib_module_names) <= {PACKAGE, 'yaml', 'numpy'}, path


def loaded_by(statement):
    """Return the top-level modules and package parts that one import loads, in a new process."""
    code = f'import sys; {statement}; print(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, timeout=120,
                          stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, done.stderr
    modules = done.stdout.splitlines()[-1].split()
    return ({name.split('.')[0] for name in modules}
            | {name.split('.')[1] for name in modules if name.startswith(f'{PACKAGE}.')})


def test_the_policy_server_loads_no_training_and_no_simulation():
    pytest.importorskip('rclpy')
    pytest.importorskip('torch')
    loaded = loaded_by(f'import {PACKAGE}.nodes.policy_server')
    unwanted = {*ENGINES, *ARM_ENGINES, *DATA_LIBRARIES, *RUNTIMES, *NEVER - {'pickle'},
                'tensorboard', 'matplotlib', 'rosbags', 'data', 'training', 'evaluation', 'sim'}
    assert not loaded & unwanted


def test_help_loads_neither_torch_nor_ros():
    loaded = loaded_by(f'import {PACKAGE}.cli.main as m; m.build_parser().format_help()')
    assert not loaded & {'torch', 'numpy', 'cv2', 'rclpy', *DATA_LIBRARIES, *ENGINES, *ARM_ENGINES}


@pytest.mark.parametrize('part', ['observation', 'control', 'data', 'sim'])
def test_parts_without_torch_do_not_load_it(part):
    names = ['.'.join(path.relative_to(ROOT).with_suffix('').parts)
             for path in (ROOT / PACKAGE / part).rglob('*.py') if path.stem != '__init__']
    for library in ('av', 'pyarrow', 'rosbags', 'zarr') if part == 'data' else ():
        pytest.importorskip(library)
    for library in (*ENGINES, *ARM_ENGINES) if part == 'sim' else ():
        pytest.importorskip(library)
    assert not loaded_by(f'import {", ".join(names)}') & {'torch', 'rclpy'}
