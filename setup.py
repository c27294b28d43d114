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

"""Package description for colcon (ament_python) and pip."""

from pathlib import Path
import runpy
import sys

from setuptools import find_packages, setup

PACKAGE = 'diffusion_policy_ros'
SHARE = Path('share') / PACKAGE
# colcon and bloom call setup.py themselves, and rosdep installs what package.xml names. The
# executables they make would refuse to start for a library that has another name there.
WITHOUT_PIP = {'install', 'develop'} & set(sys.argv)


def shared_files(*folders):
    """
    List the files below some folders as setuptools' ``data_files`` wants them.

    :param folders: Names of folders beside this file.
    :return: List of (install folder, [files]), keeping the tree's shape.
    """
    files = sorted(path for folder in folders for path in Path(folder).rglob('*')
                   if path.is_file() and '__pycache__' not in path.parts)
    parents = dict.fromkeys(path.parent for path in files)
    return [(str(SHARE / parent), [str(path) for path in files if path.parent == parent])
            for parent in parents]


# What serving a policy and recording need; importing the package would need it already.
requirements = runpy.run_path(f'{PACKAGE}/requirements.py')['SERVING']

extras = {
    # Push-T. gym-pusht pulls opencv-python in; the headless one, a direct requirement of the
    # same 4.x line, is installed after it, so that cv2 loads without libGL.
    'sim': ['av>=12', 'gym-pusht==0.1.*', 'matplotlib>=3.7', 'pymunk>=6.6,<7', 'zarr>=2.16'],
    # A robot arm in MuJoCo, made of the URDF and SDF that Gazebo gets.
    'arm': ['mink>=1.0', 'mujoco>=3.10,<4', 'xacro>=2'],
    # Bags to datasets to checkpoints.
    'train': ['av>=12', 'h5py>=3.9', 'matplotlib>=3.7', 'pyarrow>=15', 'tensorboard>=2.14',
              'zarr>=2.16'],
    # Policies as graphs for other runtimes, and those runtimes in the policy server.
    'export': ['onnx>=1.17', 'onnxruntime>=1.20', 'onnxscript>=0.5', 'openvino>=2025.0'],
    # Curves of trainings in Weights & Biases.
    'wandb': ['wandb>=0.17'],
    # Bags to datasets on many machines.
    'cluster': ['distributed>=2024.1'],
    # ROS 2 Kilted as wheels, for a machine without an installed ROS 2.
    'ros': ['ros-builtin-interfaces==2.3.*', 'ros-diagnostic-msgs==5.5.*',
            'ros-geometry-msgs==5.5.*', 'ros-lifecycle-msgs==2.3.*', 'ros-nav-msgs==5.5.*',
            'ros-rcl-interfaces==2.3.*', 'ros-rclpy[fastrtps]==9.1.*', 'ros-rosgraph-msgs==2.3.*',
            'ros-sensor-msgs==5.5.*', 'ros-std-msgs==5.5.*', 'ros-std-srvs==5.5.*',
            'ros-trajectory-msgs==5.5.*', 'ros-visualization-msgs==5.5.*'],
    'dev': ['colcon-common-extensions', 'colcon-ros', 'diffusers>=0.30', 'flake8>=6',
            'flake8-import-order', 'flake8-quotes', 'hypothesis>=6', 'mcap>=1.2', 'pandas>=2',
            'pydocstyle>=6.3', 'pytest>=9', 'pytest-rerunfailures>=15', 'pytest-timeout>=2.2',
            'pytest-xdist>=3.5', 'setuptools<80', 'zstandard>=0.22'],
}

setup(
    name=PACKAGE,
    version='0.1.0',
    description='Diffusion Policy for ROS 2: from recorded demonstrations to a robot that moves',
    author='The diffusion_policy_ros authors',
    maintainer='The diffusion_policy_ros authors',
    maintainer_email='diffusion_policy_ros@example.org',
    license='Apache-2.0',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (str(SHARE), ['package.xml']),
        (str(SHARE / 'hook'), ['resource/hook/path.dsv']),
        *shared_files('config', 'launch', 'models', 'urdf', 'worlds'),
    ],
    python_requires='>=3.10',
    install_requires=[] if WITHOUT_PIP else list(requirements),
    extras_require=extras,
    zip_safe=False,
    entry_points={
        'console_scripts': [
            f'dpr = {PACKAGE}.cli.main:main',
            f'policy_server = {PACKAGE}.nodes.policy_server:main',
            f'command_safety = {PACKAGE}.nodes.command_safety:main',
            f'recorder = {PACKAGE}.nodes.recorder:main',
            f'record_keys = {PACKAGE}.nodes.record_keys:main',
            f'pusht_sim = {PACKAGE}.nodes.pusht_sim:main',
            f'arm_sim = {PACKAGE}.nodes.arm_sim:main',
            f'base_sim = {PACKAGE}.nodes.base_sim:main',
        ],
    },
)
