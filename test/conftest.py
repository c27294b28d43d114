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

"""What every test may need: the demonstration data, a colcon workspace, a quiet ROS graph."""

from functools import lru_cache
import importlib.util
import math
import os
from pathlib import Path
import re
import shutil
import signal
import subprocess
import sys
import warnings

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / 'shared' / 'data'
# What colcon and pip need to install the package.
INSTALLED = ('package.xml', 'setup.py', 'setup.cfg', 'pyproject.toml', 'colcon.pkg',
             'resource', 'diffusion_policy_ros', 'launch', 'config', 'models', 'urdf', 'worlds')
# What a field of a message may become, by what it holds.
NUMBERS = (math.nan, math.inf, -math.inf, 1e308, -1e308, 3e38, 1e13, -1e12, 5e-324, -0.0, 0.7)
WORDS = ('', 'a', 'g', 'finger_x', 'rgb8', 'bgr8', 'mono8', 'mono16', '16UC1', '32FC1', 'uyvy',
         'bayer_rggb8', 'RGB8', 'jpeg', 'x' * 5000, 'ä\n\t\0')
WHOLE = (0, 1, -1, 6, 95, 97, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, -2**31)

# Two cores are shared by the test, its nodes and the physics; one thread each is fastest there.
# Set before the first import of torch or numpy reads it.
os.environ.setdefault('OMP_NUM_THREADS', '1')
# MuJoCo decides when it is first imported how it draws, and there may be no screen.
os.environ.setdefault('MUJOCO_GL', 'egl')
# Nothing may leave this machine, and a lab's robots must not be disturbed.
os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
os.environ.setdefault('FASTDDS_DEFAULT_PROFILES_FILE', str(ROOT / 'config' / 'fastdds.xml'))
# A shell's background jobs ignore these and pass that on to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_runtest_setup(item):
    """Skip what this machine cannot run, with the reason."""
    if item.get_closest_marker('gpu'):
        torch = pytest.importorskip('torch')
        if not torch.cuda.is_available():
            pytest.skip('torch sees no CUDA device')
    if item.get_closest_marker('launch'):
        for name in ('launch', 'launch_ros', 'launch_testing'):
            if importlib.util.find_spec(name) is None:
                pytest.skip(f'{name} cannot be imported; it comes with an installed ROS 2')
    if item.get_closest_marker('gazebo') and shutil.which('gz') is None:
        pytest.skip("Gazebo's gz command is not on PATH")


@pytest.fixture(scope='session', autouse=True)
def ros_logs(tmp_path_factory):
    """Keep the log files of the nodes under test out of the home folder."""
    os.environ.setdefault('ROS_LOG_DIR', str(tmp_path_factory.mktemp('ros_log')))


@pytest.fixture(autouse=True)
def ordinary_scheduling(request):
    """
    Take back a real-time priority that a test leaves to this thread, and name the test.

    The threads of every later test would inherit it, and starve all else on the machine.
    """
    yield
    if hasattr(os, 'sched_getscheduler') and os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        warnings.warn(f'{request.node.nodeid} left its thread at a real-time priority')


@pytest.fixture(scope='session')
def shared_data():
    """Return the folder of demonstration data beside the repository, or skip."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f'needs the demonstration data in {SHARED_DATA}')
    return SHARED_DATA


@pytest.fixture(scope='session')
def limits_of():
    """
    Return a function that reads the limits of all commands from a contract and nothing else.

    It returns a row each of least and greatest values, and of the limits of three derivatives.
    """
    import numpy as np

    def limits(contract):
        rows = []
        for name in contract.action_names:
            entry = dict(contract.limits[name])
            entry.setdefault('acceleration', 5 * entry['velocity'])
            entry.setdefault('jerk', 20 * entry['acceleration'])
            rates = [entry['velocity'], entry['acceleration'], entry['jerk']]
            # A velocity's own limits are one derivative down; it has no limit of position.
            is_velocity = name.startswith(('linear.', 'angular.'))
            rows.append([-rates[0], *rates, np.inf] if is_velocity
                        else [*entry['position'], *rates])
        return np.array(rows).T  # (5, n)

    return limits


@pytest.fixture(scope='session')
def assert_limits_kept():
    """
    Return a check of samples against the limits of their values and of their derivatives.

    The m-th difference of a curve's samples, over the m-th power of the period, is a weighted
    mean of its m-th derivative (the weight is a B-spline), and cannot exceed its bound.
    """
    import numpy as np

    def check(samples, period_s, low, high, *bounds):
        samples = np.asarray(samples)
        assert np.isfinite(samples).all()
        assert (samples >= low).all() and (samples <= high).all()
        rounding = 8 * np.finfo(float).eps * np.abs(samples).max(axis=0)
        for order, bound in enumerate(bounds, start=1):
            found = np.abs(np.diff(samples, order, axis=0)).max(axis=0, initial=0)
            allowed = bound * period_s**order * (1 + 1e-6) + rounding
            assert (found <= allowed).all(), f'difference {order}: {found} over {allowed}'

    return check


def _mutate(message, choose):
    """Change one field of a message, however deep; ``choose`` takes one of some options."""
    name, kind = choose(sorted(message.get_fields_and_field_types().items()))
    value = getattr(message, name)
    if hasattr(value, 'get_fields_and_field_types'):
        _mutate(value, choose)
    elif kind.startswith('sequence'):
        setattr(message, name, _sequence(kind[len('sequence<'):-1], value, choose))
    elif not kind.endswith(']'):  # covariances, which nobody reads
        setattr(message, name, _scalar(kind, value, choose))


def _scalar(kind, value, choose):
    """Return what a number or a word may become."""
    if kind in ('double', 'float'):
        return choose([number for number in NUMBERS if kind == 'double' or not abs(number) > 3e38])
    if kind == 'string':
        return choose(WORDS)
    if kind == 'boolean':
        return choose((True, False))
    bits = int(re.search(r'\d+', kind)[0])
    low, high = (0, 2**bits - 1) if kind[0] == 'u' else (-2**(bits - 1), 2**(bits - 1) - 1)
    return choose([whole for whole in (*WHOLE, value - 1) if low <= whole <= high])


def _sequence(kind, values, choose):
    """Return what a sequence may become."""
    act = choose(('none', 'fewer', 'twice', 'backwards', 'many', 'another', 'another'))
    if act != 'another' or not len(values):
        return {'none': values[:0], 'fewer': values[:-1], 'twice': values + values,
                'backwards': values[::-1], 'many': values[:1] * 1001}.get(act, values)
    place, changed = choose(range(len(values))), values[:]
    if '/' in kind:
        _mutate(changed[place], choose)
    else:
        changed[place] = _scalar(kind, changed[place], choose)
    return changed


@pytest.fixture(scope='session')
def any_message():
    """Return a function that leaves a ROS message as it is, or changes it a little, or a lot."""
    def change(message, choose):
        for _ in range(choose((0, 1, 1, 2, 4))):
            _mutate(message, choose)
        return message

    return change


@pytest.fixture(scope='session')
def broken_bytes():
    """Return a function that serializes a ROS message, cut short or with bytes overwritten."""
    def break_off(message, choose):
        from rclpy.serialization import serialize_message
        data = serialize_message(message)
        place = choose(range(4, len(data)))
        return choose((data[:place],
                       (data[:place] + b'\xff\xfe\xc3' + data[place + 3:])[:len(data)]))

    return break_off


@pytest.fixture(scope='session')
def save_tiny_policy(tmp_path_factory):
    """Return a function that saves a small untrained policy and returns its folder."""
    torch = pytest.importorskip('torch')
    import numpy as np
    from diffusion_policy_ros.config import PolicyConfig
    from diffusion_policy_ros.contract import load_contract
    from diffusion_policy_ros.diffusion import Sampler
    from diffusion_policy_ros.policy import Policy

    def save(num_inference_steps=4, contract=ROOT / 'config' / 'robots' / 'pusht.yaml',
             low=0.0, high=0.512, **changes):
        torch.set_num_threads(1)
        torch.manual_seed(0)
        contract = load_contract(contract)
        config = PolicyConfig.from_contract(contract, **{
            'vision_backbone': 'light_cnn', 'down_dims': (16, 32),
            'diffusion_step_embed_dim': 16, **changes})
        statistics = {
            key: {'min': np.full(shape, low), 'max': np.full(shape, high),
                  'mean': np.full(shape, np.add(low, high) / 2), 'std': np.full(shape, 0.1)}
            for key, shape in ((key, contract.shape_of(key))
                               for key in (*config.vector_keys, 'action'))}
        folder = tmp_path_factory.mktemp('models') / 'tiny'
        Policy.from_dataset(config, statistics, contract,
                            sampler=Sampler('ddim', num_inference_steps)).save(folder)
        return folder

    return save


@pytest.fixture(scope='session')
def export_tiny_policy(save_tiny_policy):
    """Return a function that saves a small policy, exported in a format, once; its folder."""
    from diffusion_policy_ros.policy.export.writing import export_policy

    @lru_cache(maxsize=None)
    def export(form):
        for library in ('onnxscript', 'onnxruntime') if form == 'onnx' else ():
            pytest.importorskip(library)
        folder = save_tiny_policy(3, prediction_type='sample', crop_shape=(40, 44),
                                  denoiser={'type': 'mlp', 'dim': 16, 'layers': 1})
        export_policy(folder, form)
        return folder

    return export


@pytest.fixture(scope='session')
def copy_of_tree(tmp_path_factory):
    """Return a function that copies what gets installed into a fresh folder."""
    def copy(name):
        folder = tmp_path_factory.mktemp(name) / 'src' / 'diffusion_policy_ros'
        folder.mkdir(parents=True)
        for entry in INSTALLED:
            if (ROOT / entry).is_dir():
                shutil.copytree(ROOT / entry, folder / entry,
                                ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            else:
                shutil.copy2(ROOT / entry, folder / entry)
        return folder

    return copy


class Workspace:
    """
    A colcon workspace with the package built in it.

    :ivar prefix: Where the package is installed.
    """

    def __init__(self, folder):
        """Remember where the workspace is."""
        self._folder = folder
        self._setup = folder / 'install' / 'setup.bash'
        self.prefix = folder / 'install' / 'diffusion_policy_ros'

    def run(self, *command, timeout_s=60, **environment):
        """
        Run a command as after ``source install/setup.bash``.

        :param command: Program and arguments.
        :param timeout_s: Deadline in seconds.
        :param environment: Variables to set.
        :return: ``subprocess.CompletedProcess`` with text output.
        """
        path = f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
        return subprocess.run(
            ['bash', '-c', '. "$0" && exec "$@"', str(self._setup), *map(str, command)],
            cwd=self._folder, env={**os.environ, 'PATH': path, **environment}, timeout=timeout_s,
            stdin=subprocess.DEVNULL, capture_output=True, text=True)


@pytest.fixture(scope='session')
def colcon_workspace(copy_of_tree):
    """Return a workspace in which colcon has built a copy of this tree, or skip."""
    for name in ('colcon_core', 'colcon_ros'):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f'{name} cannot be imported; the extra [dev] has it')
    if shutil.which('bash') is None:
        pytest.skip('there is no bash')
    folder = copy_of_tree('workspace').parents[1]
    built = subprocess.run([sys.executable, '-m', 'colcon', 'build'], cwd=folder,
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    assert built.returncode == 0, built.stdout + built.stderr
    return Workspace(folder)
