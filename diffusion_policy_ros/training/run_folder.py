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

"""The folder of a run: made for a new one, checked before another goes on."""

from contextlib import contextmanager, ExitStack
from dataclasses import asdict, fields, is_dataclass, MISSING
import os
from pathlib import Path
import shutil

from diffusion_policy_ros.checks import shown
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.on_disk import alone_in
from diffusion_policy_ros.policy.checkpoint_files import CONFIG, WEIGHTS
from diffusion_policy_ros.policy.checkpoint_folder import check_place
from diffusion_policy_ros.settings import flattened
from diffusion_policy_ros.training.config import SETTINGS
from diffusion_policy_ros.training.snapshot import FACTS, read_facts, trained_by
from diffusion_policy_ros.yaml_text import parse_yaml

RUN_SUFFIX = '.run'


def run_folder_of(out) -> Path:
    """
    Return the folder of a run's own files.

    :param out: Checkpoint folder of the last weights, absolute.
    :raises ConfigError: if that is the root of the file system.
    """
    if not out.name:
        raise ConfigError(f'--out is {out}; name a folder that a checkpoint can be written to')
    return out.with_name(f'{out.name}{RUN_SUFFIX}')


def best_folder(out) -> Path:
    """
    Return the folder of the best weights of a run.

    :param out: Checkpoint folder of the last ones.
    """
    return out.with_name(f'{out.name}.best')


@contextmanager
def prepared_folder(out, run_folder, settings, resume):
    """
    Check the folders, make the run's, and keep other processes from it.

    :param out: Checkpoint folder to write.
    :param run_folder: The run's folder.
    :param settings: Its settings, YAML.
    :param resume: Go on from the snapshot there.
    :return: Context manager that gives the facts of the snapshot, or {}.
    :raises DiffusionPolicyError: if there is nothing to go on from, or something in the way.
    """
    _check_around(out)
    check_place(out)
    check_place(best_folder(out))
    facts = read_facts(run_folder)
    if resume:
        _check_resumable(run_folder, settings, facts)
    elif facts is not None:
        raise ConfigError(f'{run_folder} holds a run that can be resumed; add --resume, or delete '
                          f'it and {out} to start anew')
    else:
        # A run that was killed before its first snapshot may have published its best already.
        began = (run_folder / SETTINGS).is_file()
        for folder in (out,) if began else (out, best_folder(out)):
            if folder.exists() and any(folder.iterdir()):
                raise ConfigError(f'{folder} holds a checkpoint, which a new run would replace; '
                                  'choose another --out, or delete that folder')
    with _alone(run_folder):
        if not resume:
            _clear(run_folder)
            shutil.rmtree(best_folder(out), ignore_errors=True)
        with _writing(run_folder):
            (run_folder / SETTINGS).write_text(settings)
        yield facts or {}


@contextmanager
def _alone(run_folder):
    """Make the folder and hold its lock, which ends with this process; refuse where it is held."""
    with ExitStack() as stack:
        with _writing(run_folder):
            run_folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(alone_in(run_folder, ConfigError(
                f'{run_folder} is being written by another dpr train; wait for it, or choose '
                'another --out')))
        yield


@contextmanager
def _writing(run_folder):
    """Tell a disk that refuses in words."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f'{run_folder} cannot be written to ({error}); choose another --out'
                          ) from error


def _check_around(out):
    """Refuse a place within what is replaced or removed as a whole: a checkpoint, a run."""
    for folder in out.parents:
        names = [name for name in (CONFIG, WEIGHTS, FACTS) if os.path.isfile(folder / name)]
        if FACTS in names or len(names) == 2:
            raise ConfigError(f'--out is {out}, within {folder}, which holds '
                              f'{"a run" if FACTS in names else "a checkpoint"}; choose a folder '
                              'beside it')


def _check_resumable(run_folder, settings, facts):
    """Refuse to resume what is not there, or with other settings."""
    if facts is None:
        raise ConfigError(f'{run_folder} holds no snapshot to resume from; leave out --resume')
    where = f'{run_folder / FACTS}: config'
    old = parse_yaml(facts['config'], where, CheckpointError)
    if not isinstance(old, dict):
        raise CheckpointError(f'{where} is {shown(old)}, which are no settings; delete the folder '
                              'to start anew')
    new = parse_yaml(settings, SETTINGS, ConfigError)
    differences = _differences(_whole(old), _whole(new))
    if differences:
        raise ConfigError(f'the settings differ from those of the run in {run_folder} '
                          f'({", ".join(differences)}); resume with those that it was started '
                          f'with: --config {run_folder / SETTINGS} --resume')


def _whole(settings):
    """Return settings under their dotted names, those of the policy with all defaults."""
    defaults = {field.name: field.default_factory() if field.default is MISSING else field.default
                for field in fields(PolicyConfig) if field.name in PolicyConfig.setting_names()}
    plain = flattened({name: asdict(value) if is_dataclass(value) else value
                       for name, value in defaults.items()}, 'policy.')
    return {name: list(value) if isinstance(value, tuple) else value
            for name, value in {**plain, **flattened(settings)}.items()}


def _differences(old, new):
    """Return ``key: old -> new`` for each setting that differs."""
    return [f'{key}: {_value(old, key)} -> {_value(new, key)}' for key in {**old, **new}
            if key not in old or key not in new or old[key] != new[key]]


def _value(settings, key):
    """Return a setting as a user would write it, shortened where it is long."""
    return shown(settings[key]) if key in settings else 'default'


def check_alike(run_folder, processes, device) -> None:
    """
    Refuse to resume with other processes or on another type of device.

    :param run_folder: The run's folder, with a snapshot.
    :param processes: ``Processes`` that train now.
    :param device: Their torch device.
    :raises ConfigError: telling how the run was started.
    """
    count, kind = trained_by(run_folder)
    if (count, kind) == (processes.count, device.type):
        return
    how = f'torchrun, {count} processes and' if count > 1 else 'one process, without torchrun, and'
    raise ConfigError(
        f'the run in {run_folder} was trained by {_counted(count)} on {kind}, and this is '
        f'{_counted(processes.count)} on {device.type}; resume it as it was started, with {how} '
        f'--device {kind}')


def _counted(count):
    """Return a number of processes in words."""
    return f'{count} processes' if count > 1 else 'one process'


def check_dataset(run_folder, facts, identity) -> None:
    """
    Refuse to resume with another dataset.

    :param run_folder: The run's folder.
    :param facts: From ``prepared_folder``.
    :param identity: With the digest of the ``dataset``.
    :raises ConfigError: if it differs.
    """
    if facts and facts['dataset'] != identity['dataset']:
        raise ConfigError(f'the dataset differs from that of the run in {run_folder}; resume '
                          'with the dataset that it was started with')


def _clear(run_folder):
    """Remove what a run left that ended before its first snapshot, and nothing else."""
    if any(run_folder.iterdir()) and not (run_folder / SETTINGS).is_file():
        raise ConfigError(f'{run_folder} holds something else than a training run; choose '
                          'another --out')
    with _writing(run_folder):
        for path in run_folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
