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

"""The ``dpr doctor`` command: what a machine has, a robot contract says, or a live robot does."""

from concurrent.futures import ThreadPoolExecutor
import importlib
import importlib.metadata
import os
from pathlib import Path
import platform
import re
import shutil
import subprocess
import sys

from diffusion_policy_ros.cli.doctor_live import add_live_arguments, watch
from diffusion_policy_ros.cli.doctor_machine import find_machine
from diffusion_policy_ros.dds_profile import (
    NEW_VARIABLE, OLD_VARIABLE, profile_variable, uses_large_data)
from diffusion_policy_ros.errors import UsageError
from diffusion_policy_ros.finding import Finding, summary
from diffusion_policy_ros.real_time import claim_real_time
from diffusion_policy_ros.requirements import install_command, SERVING
from diffusion_policy_ros.share import share_path

DISCOVERY_RANGES = ('SUBNET', 'LOCALHOST', 'OFF', 'SYSTEM_DEFAULT')
SHARED_MEMORY_MIB = 256
GPU_DRIVER = Path('/proc/driver/nvidia/version')
RMW_VARIABLE, DEFAULT_RMW = 'RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp'


def _required(name):
    """Return the requirement of a library as pip takes it, with the versions that will do."""
    return next(f'"{text}"' for text in SERVING if re.match(r'[\w-]+', text).group() == name)


# module: (level when it cannot be imported, what to do then)
MODULES = {
    'torch': ('ERROR', f'pip install {_required("torch")}'),
    'numpy': ('ERROR', f'pip install {_required("numpy")}'),
    'cv2': ('ERROR', 'pip uninstall -y opencv-python opencv-python-headless; '
            f'pip install {_required("opencv-python-headless")}'),
    'safetensors': ('ERROR', f'pip install {_required("safetensors")}'),
    'yaml': ('ERROR', f'pip install {_required("PyYAML")}'),
    'rosbags': ('ERROR', f'pip install {_required("rosbags")}'),
    'av': ('WARN', f'needed by convert, train and demo: {install_command("train")}'),
    'gym_pusht': ('WARN', f'needed by pusht_sim, eval and demo: {install_command("sim")}'),
    **dict.fromkeys(('mujoco', 'mink'), (
        'WARN', f'needed by arm_sim: {install_command("arm")}')),
}
ROS_MODULES = {
    'rclpy': ('ERROR', f'source an installed ROS 2, or: {install_command("ros")}'),
    'launch_ros': ('WARN', 'needed by ros2 launch only; comes with an installed ROS 2'),
}


def add_arguments(parser):
    """Declare the arguments of ``dpr doctor``."""
    parser.add_argument('--contract', type=Path, metavar='YAML',
                        help='check this robot contract, in place of the machine: show what it '
                             'says and the limits of every joint, and warn of what '
                             'command_safety, dpr convert or dpr train would refuse later; no '
                             'robot is needed')
    parser.add_argument('--model', type=Path, metavar='FOLDER',
                        help='with --contract: check too whether policy_server would run this '
                             'checkpoint under it; of the folder only config.json and '
                             'contract.yaml are read')
    add_live_arguments(parser)
    parser.epilog = ('Exit code: 0 when nothing is in the way, 1 when a line says ERROR or the '
                     'contract is refused, 2 wrong usage. A line that says WARN leaves it at '
                     '0: not all of it will work.')


def run(args) -> int:
    """
    Print one line for everything that was looked at, after a contract's summary if one is given.

    :param args: Parsed arguments.
    :return: 1 if any line says ERROR, else 0.
    :raises UsageError: if there is a checkpoint, or a robot, without a contract.
    :raises ContractError: if the contract is refused; ``dpr`` exits with 1.
    """
    if args.model and not args.contract:
        raise UsageError(f'--model is {args.model}, which is checked against a contract; name '
                         'the --contract too')
    if args.live and not args.contract:
        raise UsageError('--live watches a robot against a contract; name the --contract too')
    if args.live:
        findings = _watch(args)
    else:
        findings = _report_contract(args.contract, args.model) if args.contract else find_all()
    print('\n'.join(str(finding) for finding in findings))
    print(summary(findings))
    return 1 if any(finding.level == 'ERROR' for finding in findings) else 0


def _report_contract(path, model):
    """Print what a contract says, and return what was found out about it, and a checkpoint."""
    from diffusion_policy_ros.cli import doctor_contract as report  # needs what find_all looks for
    from diffusion_policy_ros.contract import load_contract
    contract = load_contract(path)
    print('\n'.join([*report.contract_lines(contract), *report.limit_lines(contract)]))
    findings = report.find_refusals(contract, str(path))
    return [*findings, report.find_misfit(path, model)] if model else findings


def _watch(args):
    """Return what is wrong with this shell's ROS, and with the robot where nothing is."""
    from diffusion_policy_ros.contract import load_contract  # needs what find_all looks for
    load_contract(args.contract)  # a wrong one is refused before anything is started
    ros = [check_ros_module('rclpy', *ROS_MODULES['rclpy']), check_rmw(), check_profile(),
           check_domain(), check_discovery()]
    if any(finding.level == 'ERROR' for finding in ros):
        return ros
    return [*ros, *watch(args.contract, args.seconds, namespace=args.namespace,
                         remaps=args.remap)]


def find_all() -> list:
    """Look at everything, in the order in which a person would repair it."""
    modules = [check_module(name, *rest) for name, rest in MODULES.items()]
    ros = [check_ros_module(name, *rest) for name, rest in ROS_MODULES.items()]
    return [check_python(), *modules, *ros, check_cuda(), *find_machine(), check_rmw(),
            check_profile(), check_shared_memory(), check_domain(), check_discovery(),
            check_real_time()]


def check_python() -> Finding:
    """Tell which interpreter runs, and refuse one older than 3.10."""
    value = f'{platform.python_version()} at {sys.executable}'
    level = 'OK' if sys.version_info >= (3, 10) else 'ERROR'
    return Finding(level, 'python', value, 'use Python 3.10 or newer')


def check_module(name, level, remedy) -> Finding:
    """
    Import a module and tell its version.

    :param name: Name of the module.
    :param level: Level of the finding when the import fails.
    :param remedy: What to do then.
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a broken library may raise anything
        reason = str(error).strip().splitlines()[:1]
        return Finding(level, name, f'cannot be imported: {"".join(reason)}', remedy)
    return Finding('OK', name, getattr(module, '__version__', None) or _installed_version(name))


def check_ros_module(name, level, remedy) -> Finding:
    """
    Try to import a module of ROS, whatever the middleware; otherwise as ``check_module``.

    :param name: Name of the module.
    :param level: Level of the finding when the import fails.
    :param remedy: What to do then.
    """
    reason = _import_failure(name)
    if reason:
        return Finding(level, name, f'cannot be imported: {reason}', remedy)
    return Finding('OK', name, _installed_version(name))


def check_cuda() -> Finding:
    """Tell whether torch sees a GPU."""
    try:
        torch = importlib.import_module('torch')
    except Exception:  # reported by check_module
        return Finding('WARN', 'cuda', 'unknown without torch', 'install torch first')
    if not torch.cuda.is_available() and GPU_DRIVER.exists():
        return Finding('WARN', 'cuda', 'there is a GPU that torch cannot use (torch is built for '
                       f'CUDA {torch.version.cuda})', 'nvidia-smi says up to which CUDA its '
                       'driver goes; https://pytorch.org names the torch for it')
    if not torch.cuda.is_available():
        built = f'torch is built for CUDA {torch.version.cuda}' if torch.version.cuda \
            else 'torch is built without CUDA'
        return Finding('OK', 'cuda', f'no GPU; policies run on the CPU ({built})')
    return Finding('OK', 'cuda', f'{torch.version.cuda} on {torch.cuda.get_device_name()}')


def check_rmw() -> Finding:
    """Tell which middleware is asked for, and whether ROS starts with it."""
    chosen = os.environ.get(RMW_VARIABLE)
    if not chosen:
        return Finding('OK', 'rmw', f'{DEFAULT_RMW} (the default)')
    reason = _import_failure('rclpy', {RMW_VARIABLE: chosen})
    if not reason or _import_failure('rclpy'):  # without ROS the line about rclpy says it all
        return Finding('OK', 'rmw', chosen)
    return Finding('ERROR', 'rmw', f'{chosen} cannot be used: {reason}', f'unset {RMW_VARIABLE}, '
                   'or install that middleware (with an installed ROS 2: apt install '
                   f'ros-{os.environ.get("ROS_DISTRO", "DISTRO")}-{chosen.replace("_", "-")})')


def check_profile() -> Finding:
    """Tell whether Fast DDS will use a profile whose segment is large enough for images."""
    if 'fastrtps' not in (os.environ.get(RMW_VARIABLE) or DEFAULT_RMW):
        return Finding('OK', 'fast dds profile', 'not used by this rmw')
    if uses_large_data():
        return Finding('OK', 'fast dds profile', 'LARGE_DATA transports instead')
    variable = profile_variable()
    remedy = f'export {variable}={share_path("config", "fastdds.xml")}'
    path = os.environ.get(variable)
    if not path:
        return Finding('WARN', 'fast dds profile', 'not in force in this shell; camera images may '
                       'get lost (dpr demo and the launch files set it)', remedy)
    if not Path(path).is_file():
        return Finding('ERROR', 'fast dds profile', f'{variable} names {path}, no file', remedy)
    if variable == NEW_VARIABLE and os.environ.get(OLD_VARIABLE):
        return Finding('WARN', 'fast dds profile', 'named twice, and refused the second time',
                       f'unset {OLD_VARIABLE}')
    return Finding('OK', 'fast dds profile', f'in force: {path}')


def check_shared_memory() -> Finding:
    """Tell whether /dev/shm holds the segments of several nodes."""
    folder = Path('/dev/shm')
    if not folder.is_dir():
        return Finding('WARN', 'shared memory', 'no /dev/shm', 'DDS will use UDP, which is slower')
    free = shutil.disk_usage(folder).free / 2**20
    return Finding('OK' if free >= SHARED_MEMORY_MIB else 'WARN', 'shared memory',
                   f'{free:.0f} MiB free', f'give /dev/shm at least {SHARED_MEMORY_MIB} MiB '
                   '(in a container: --shm-size=1g)')


def check_domain() -> Finding:
    """Tell the DDS domain."""
    domain = os.environ.get('ROS_DOMAIN_ID') or '0'
    valid = domain.isascii() and domain.isdecimal() and int(domain) <= 232
    return Finding('OK' if valid else 'ERROR', 'domain', domain,
                   'set ROS_DOMAIN_ID to a whole number from 0 to 232 (101 at most is safe)')


def check_discovery() -> Finding:
    """Tell how far nodes look for each other."""
    value = os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE') or 'SUBNET'
    return Finding('OK' if value in DISCOVERY_RANGES else 'ERROR', 'discovery range', value,
                   f'set ROS_AUTOMATIC_DISCOVERY_RANGE to one of {", ".join(DISCOVERY_RANGES)}')


def check_real_time() -> Finding:
    """Tell whether a thread may run in real time; one that ends at once tries it."""
    with ThreadPoolExecutor(1) as pool:
        permitted = pool.submit(claim_real_time).result()
    return Finding('OK' if permitted else 'WARN', 'real-time threads', 'permitted' if permitted
                   else 'not permitted; on a busy machine commands may be some ms late',
                   '`<user> - rtprio 1` in /etc/security/limits.d/diffusion_policy_ros.conf, then '
                   'log in again')


def _import_failure(name, variables=None) -> str:
    """
    Import a module in a process of its own: where ROS lacks its middleware, it ends the process.

    :param name: Name of the module.
    :param variables: Environment variables to set; without them ROS takes its own middleware.
    :return: Why it failed, in one line; empty where it did not.
    """
    environment = {k: v for k, v in os.environ.items() if k != RMW_VARIABLE}
    done = subprocess.run([sys.executable, '-c', f'import {name}'], stdin=subprocess.DEVNULL,
                          env={**environment, **(variables or {})}, capture_output=True,
                          text=True, errors='replace')
    words = done.stderr.strip().splitlines() or [f'exit code {done.returncode}']
    return words[-1] if done.returncode else ''


def _installed_version(name):
    """Return the version of a module's distribution, or say that none is recorded."""
    for distribution in (name, name.replace('_', '-'), f'ros-{name}'):
        try:
            return importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return 'version not recorded'
