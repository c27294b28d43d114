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

"""What a run writes down of itself: TensorBoard events, a history, curves, Weights & Biases."""

from dataclasses import asdict
import json
import uuid

from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.training.curves import draw_curves

HISTORY, CURVES, WANDB_ID = 'history.jsonl', 'curves.png', 'wandb_id.txt'


def check_wandb(project) -> None:
    """
    Refuse to log to Weights & Biases where it cannot be imported.

    :param project: Name of the project, or None for no such log.
    :raises ConfigError: naming the package.
    """
    if project is None:
        return
    try:
        import wandb  # noqa: F401
    except ImportError as error:
        raise ConfigError(f'wandb_project is {project!r}, but the Python package wandb cannot be '
                          f'imported ({error}); install it with: pip install wandb, or leave '
                          'wandb_project out') from error


class Record:
    """
    The figures of one run, over all of its sittings.

    :param folder: The run's folder.
    :param config: The run's ``TrainConfig``.
    :param last: ``(stage, step)`` of the snapshot that a resumed run goes on from; what was
        written down after it is forgotten. None for a new run.
    """

    def __init__(self, folder, config, last=None):
        """Open the logs."""
        from torch.utils.tensorboard import SummaryWriter
        self._folder = folder
        self._events = SummaryWriter(folder / 'tensorboard')
        self._wandb = _open_wandb(folder, config)
        self._lines = _kept(read_history(folder), last)
        (folder / HISTORY).write_text(''.join(map(_as_line, self._lines)), encoding='utf-8')
        self._file = open(folder / HISTORY, 'a', encoding='utf-8')
        self.draw()

    def add(self, stage, step, figures) -> None:
        """
        Write figures down.

        :param stage: Name of the stage.
        :param step: Optimizer steps of the stage so far.
        :param figures: ``{name: number}``.
        """
        if not figures:
            return
        for name, value in figures.items():
            self._events.add_scalar(f'{stage}/{name}', value, step)
        if self._wandb is not None:
            self._wandb.log({f'{stage}/step': step, **{
                f'{stage}/{name}': value for name, value in figures.items()}})
        line = {'stage': stage, 'step': step, **figures}
        self._lines.append(line)
        self._file.write(_as_line(line))

    def draw(self) -> None:
        """Write everything to the disk and draw the curves anew."""
        self._events.flush()
        self._file.flush()
        draw_curves(self._lines, self._folder / CURVES)

    def close(self) -> None:
        """Close the logs."""
        self._events.close()
        self._file.close()
        if self._wandb is not None:
            self._wandb.finish()


class NoRecord:
    """Takes figures and forgets them: of processes that are not the first."""

    def add(self, stage, step, figures) -> None:
        """Forget."""

    def draw(self) -> None:
        """Draw nothing."""

    def close(self) -> None:
        """Close nothing."""


def _open_wandb(folder, config):
    """Open the run at Weights & Biases, the same one after a resume; None where not wanted."""
    if config.wandb_project is None:
        return None
    import wandb
    path = folder / WANDB_ID
    if not path.exists():
        path.write_text(uuid.uuid4().hex)
    return wandb.init(project=config.wandb_project, name=folder.stem, id=path.read_text(),
                      resume='allow', dir=str(folder), config=asdict(config))


def _as_line(figures):
    """Return figures as a line of JSON."""
    return json.dumps(figures) + '\n'


def read_history(folder) -> list:
    """
    Return the figures of a run, line by line; one that was cut off by a kill is left out.

    :param folder: pathlib.Path of the run's folder.
    """
    path, lines = folder / HISTORY, []
    if path.exists():
        for text in path.read_text(encoding='utf-8').splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines


def _kept(lines, last):
    """Return the lines up to a snapshot: those of earlier stages, and of its own up to it."""
    if last is None:
        return []
    stage, step = last
    own = [line['stage'] == stage for line in lines]
    first = own.index(True) if any(own) else len(lines)
    return lines[:first] + [line for line in lines[first:]
                            if line['stage'] == stage and line['step'] <= step]
