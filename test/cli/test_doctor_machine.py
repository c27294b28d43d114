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

"""``dpr doctor`` tells whether pictures can be drawn, cv_bridge fits numpy, and disk is left."""

from collections import namedtuple
import re
import sys
from types import SimpleNamespace

from diffusion_policy_ros.cli import doctor, doctor_machine
import pytest


@pytest.fixture
def bridge(tmp_path, monkeypatch):
    """Return a function that installs a module cv_bridge of some text."""
    def install(text):
        (tmp_path / 'cv_bridge.py').write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv('PYTHONPATH', str(tmp_path))
        return doctor_machine.check_cv_bridge()
    return install


def test_a_cv_bridge_that_is_not_there_is_not_missed(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    monkeypatch.setattr(doctor_machine.importlib.util, 'find_spec', lambda name: None)
    assert doctor_machine.check_cv_bridge() == []


def test_a_cv_bridge_for_another_numpy_is_a_warning_with_its_last_words(bridge):
    found, = bridge('raise ImportError("numpy.core.multiarray failed to import")')
    assert found.level == 'WARN' and found.value.endswith('multiarray failed to import')
    assert 'numpy<2' in found.remedy


def test_a_cv_bridge_that_ends_the_process_is_a_warning(bridge):
    found, = bridge('import os; os._exit(139)')
    assert found.level == 'WARN' and 'exit code 139' in found.value


def test_a_cv_bridge_that_converts_is_fine(bridge):
    found, = bridge('class CvBridge:\n def cv2_to_imgmsg(self, a, e): return a\n'
                    ' def imgmsg_to_cv2(self, m): return m\n')
    assert found.level == 'OK'


@pytest.mark.parametrize('free_gb, level', [(5.0, 'OK'), (4.9, 'WARN')])
def test_little_room_on_the_disk_is_a_warning(free_gb, level, monkeypatch):
    usage = namedtuple('usage', 'total used free')
    monkeypatch.setattr(doctor_machine.shutil, 'disk_usage',
                        lambda folder: usage(0, 0, free_gb * 1e9))
    assert doctor_machine.check_disk().level == level


def test_pictures_that_cannot_be_drawn_name_the_packages_to_install(monkeypatch):
    monkeypatch.setattr(doctor_machine.importlib.util, 'find_spec', lambda name: name)
    monkeypatch.setattr(doctor_machine, '_failure', lambda *_: 'ImportError: no EGL')
    found = doctor_machine.check_egl()
    assert found.level == 'WARN' and 'no EGL' in found.value
    assert found.remedy.endswith('apt install libegl1 libgl1-mesa-dri')


@pytest.mark.parametrize('library, level', [('libEGL.so.1', 'OK'), (None, 'WARN')])
def test_without_mujoco_the_library_is_looked_for(library, level, monkeypatch):
    monkeypatch.setattr(doctor_machine.importlib.util, 'find_spec', lambda name: None)
    monkeypatch.setattr(doctor_machine.ctypes.util, 'find_library', lambda name: library)
    assert doctor_machine.check_egl().level == level


def test_what_the_arm_needs_is_no_error_when_it_is_missing():
    for name in ('mujoco', 'mink'):
        level, remedy = doctor.MODULES[name]
        assert level == 'WARN' and re.search(r'pip install ".+\[arm\]"', remedy)


def test_a_gpu_that_torch_cannot_use_is_a_warning(monkeypatch, tmp_path):
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False),
                            version=SimpleNamespace(cuda=None))
    monkeypatch.setattr(doctor.importlib, 'import_module', lambda name: torch)
    monkeypatch.setattr(doctor, 'GPU_DRIVER', tmp_path / 'none')
    assert doctor.check_cuda().level == 'OK'
    monkeypatch.setattr(doctor, 'GPU_DRIVER', tmp_path)
    assert doctor.check_cuda().level == 'WARN'
