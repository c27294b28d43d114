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

"""What ``dpr info`` tells of the folder of a training run: how far it came, and how to go on."""

import shlex

from diffusion_policy_ros.cli.info_facts import size_of


def holds_run(path) -> bool:
    """
    Tell whether a folder is that of a training run.

    :param path: pathlib.Path.
    """
    from diffusion_policy_ros.training.config import SETTINGS
    from diffusion_policy_ros.training.run_folder import RUN_SUFFIX
    from diffusion_policy_ros.training.snapshot import FACTS
    return (path / FACTS).is_file() or path.resolve().name.endswith(RUN_SUFFIX) \
        and (path / SETTINGS).is_file()


def describe_run(path) -> dict:
    """
    Describe a training run without loading its weights.

    :param path: Its folder.
    :return: Facts by name.
    :raises DiffusionPolicyError: if its snapshot cannot be read.
    """
    from diffusion_policy_ros.training.snapshot import read_facts, trained_by
    facts = {'kind': 'training run', 'path': str(path), 'size_bytes': size_of(path)}
    snapshot = read_facts(path)
    if snapshot is None:
        return {**facts, 'progress': 'no snapshot yet; a run that was stopped now begins anew'}
    settings = _settings(path, snapshot)
    processes, device = trained_by(path)
    is_finished = (snapshot['stage'], snapshot['step']) == ('diffusion', settings.steps)
    steps = settings.steps if snapshot['stage'] == 'diffusion' else settings.pretraining.steps
    best = snapshot.get('best')
    return {
        **facts,
        'progress': f'step {snapshot["step"]} of {steps} of stage "{snapshot["stage"]}"'
        + (', finished' if is_finished else ''),
        'trained for_s': snapshot['seconds'],
        'trained by': f'{processes} {"process" if processes == 1 else "processes"} on {device}',
        'last figures': _last_figures(path),
        'best': f'{best["figure"]} {best["value"]:.4g} after step {best["step"]}'
        if best else 'none yet',
        'to go on': 'nothing is left to do' if is_finished else _command(path, processes, device)}


def _settings(path, snapshot):
    """Return the settings that the run was started with."""
    from diffusion_policy_ros.errors import CheckpointError
    from diffusion_policy_ros.settings import from_mapping
    from diffusion_policy_ros.training.config import TrainConfig
    from diffusion_policy_ros.training.snapshot import FACTS
    from diffusion_policy_ros.yaml_text import parse_yaml
    where = f'{path / FACTS}: config'
    return from_mapping(TrainConfig, '', parse_yaml(snapshot['config'], where, CheckpointError))


def _last_figures(path):
    """Return the last value of each figure that is worth a look."""
    from diffusion_policy_ros.training.record import read_history
    last = {}
    for line in read_history(path):
        last.update({name: f'{value:.4g} at step {line["step"]}' for name, value in line.items()
                     if name in ('loss', 'validation_loss', 'validation_action_mse',
                                 'rollout_score')})
    return [f'{name} {text}' for name, text in last.items()] or 'none yet'


def _command(path, processes, device):
    """Return the command that goes on with a run; which dataset it needs is not written down."""
    from diffusion_policy_ros.training.config import SETTINGS
    from diffusion_policy_ros.training.run_folder import RUN_SUFFIX
    if not path.resolve().name.endswith(RUN_SUFFIX):
        return f'rename the folder to OUT{RUN_SUFFIX} first, OUT being that of the checkpoint'
    start = f'torchrun --nproc-per-node {processes} --no-python ' if processes > 1 else ''
    out = str(path.resolve() if path.name in ('', '..') else path).removesuffix(RUN_SUFFIX)
    return (f'{start}dpr train DATASET --out {shlex.quote(out)} '
            f'--config {shlex.quote(str(path / SETTINGS))} --resume --device {device}')
