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

"""The settings of one training run: a frozen dataclass, read from YAML and the command line."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Optional

from diffusion_policy_ros.checks import check_choice, shown, suggestion
from diffusion_policy_ros.config import PolicyConfig
from diffusion_policy_ros.errors import ConfigError
from diffusion_policy_ros.yaml_text import parse_yaml
import yaml


# Type of a field: the type of its value, and that in words.
KINDS = {int: (int, 'a whole number'), float: (float, 'a number'), bool: (bool, 'true or false'),
         str: (str, 'a text'), Optional[str]: (str, 'a text'),
         dict: (dict, 'a group of settings')}
# Smallest and largest value of each number.
PRETRAINING_RANGES = {
    'steps': (1, 10**9), 'batch_size': (1, 10**6), 'learning_rate': (1e-12, 100.0)}
RANGES = {
    'steps': (1, 10**9), 'batch_size': (1, 10**6), 'learning_rate': (1e-12, 100.0),
    'warmup_steps': (0, 10**9), 'weight_decay': (0.0, 100.0), 'beta1': (0.0, 0.999999),
    'beta2': (0.0, 0.999999), 'gradient_clip_norm': (1e-12, 1e12), 'ema_power': (0.0, 10.0),
    'ema_max': (0.0, 1.0), 'validation_episodes': (0, 10**9), 'log_every': (1, 10**9),
    'validate_every': (1, 10**9), 'checkpoint_every': (1, 10**9), 'seed': (0, 2**31 - 1)}


@dataclass(frozen=True)
class EncoderPretraining:
    """
    First stage: the image encoder learns to see what an auxiliary stream tells.

    :ivar target: Dataset key of the auxiliary stream, or None to train end to end at once.
    :ivar steps: Optimizer steps of this stage.
    :ivar batch_size: Frames per step.
    :ivar learning_rate: Peak rate of AdamW.
    :ivar freeze: Keep the encoder fixed afterwards and cache its features, which makes the
        diffusion stage several times faster on a CPU.
    """

    target: Optional[str] = None
    steps: int = 6000
    batch_size: int = 64
    learning_rate: float = 2e-3
    freeze: bool = True


@dataclass(frozen=True)
class TrainConfig:
    """
    Everything that decides a training run, besides the dataset.

    :ivar policy: Overrides of ``PolicyConfig`` fields; features and shapes come from the dataset.
    :ivar pretraining: The encoder's first stage.
    :ivar steps: Optimizer steps of the diffusion stage.
    :ivar batch_size: Windows per step.
    :ivar learning_rate: Peak rate of AdamW, after the warm-up.
    :ivar warmup_steps: Steps of linear warm-up before the cosine decay to zero.
    :ivar weight_decay: Of AdamW.
    :ivar beta1, beta2: Of AdamW.
    :ivar gradient_clip_norm: Largest norm of the gradient.
    :ivar ema_power, ema_max: Exponential moving average of the weights (see ``networks.ema``).
    :ivar loss_weighting: ``simple`` weighs the prediction's error alike at every noise level;
        ``variational`` as the variational bound does (see ``diffusion.weighting``).
    :ivar validation_episodes: Episodes at the end of the dataset that are held out.
    :ivar log_every, validate_every, checkpoint_every: Intervals in steps.
    :ivar precision: ``float32``, or ``bfloat16`` for mixed precision on CUDA; ``auto`` takes
        bfloat16 where the GPU supports it.
    :ivar storage: ``float32`` or ``float16``: how the checkpoint stores weights.
    :ivar seed: Of initial weights, batches and noise.
    """

    policy: dict = field(default_factory=dict)
    pretraining: EncoderPretraining = EncoderPretraining()
    steps: int = 100_000
    batch_size: int = 64
    learning_rate: float = 1e-4
    warmup_steps: int = 500
    weight_decay: float = 1e-6
    beta1: float = 0.95
    beta2: float = 0.999
    gradient_clip_norm: float = 10.0
    ema_power: float = 0.75
    ema_max: float = 0.9999
    loss_weighting: str = 'simple'
    validation_episodes: int = 0
    log_every: int = 50
    validate_every: int = 1000
    checkpoint_every: int = 1000
    precision: str = 'auto'
    storage: str = 'float32'
    seed: int = 0

    def __post_init__(self):
        """Check ranges and choices."""
        for name in self.policy:
            _check_known('policy', name, PolicyConfig.setting_names())
        _check_ranges(self, RANGES)
        _check_ranges(self.pretraining, PRETRAINING_RANGES, 'pretraining.')
        for name, choices in (('loss_weighting', ('simple', 'variational')),
                              ('precision', ('auto', 'float32', 'bfloat16')),
                              ('storage', ('float32', 'float16'))):
            check_choice(name, getattr(self, name), choices, ConfigError)

    def to_yaml(self) -> str:
        """Return the settings as YAML that ``load_train_config`` reads back equal."""
        return yaml.safe_dump(asdict(self), sort_keys=False)


def load_train_config(path=None, overrides=()) -> TrainConfig:
    """
    Read a training configuration and apply command-line overrides.

    :param path: YAML file, or None for the defaults.
    :param overrides: ``key=value`` texts; dots reach into groups (``pretraining.steps=200``,
        ``policy.horizon=16``); values are YAML.
    :return: The checked configuration.
    :raises ConfigError: naming the key, the value and the remedy.
    """
    raw = {} if path is None else _read(path)
    for text in overrides:
        _apply_override(raw, text)
    pretraining = _build(EncoderPretraining, raw.pop('pretraining', {}), 'pretraining')
    return _build(TrainConfig, {**raw, 'pretraining': pretraining}, 'training configuration')


def _read(path):
    """Return the mapping that a configuration file holds."""
    try:
        text = Path(path).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'cannot read the training configuration {path}: {error}') from error
    raw = parse_yaml(text, str(path), ConfigError) or {}
    if not isinstance(raw, dict):
        raise ConfigError(f'{path}: a training configuration is a mapping of settings, got a '
                          f'{type(raw).__name__}')
    return raw


def _apply_override(raw, text):
    """Set one ``a.b=value`` in the nested mapping."""
    key, equals, value = text.partition('=')
    if not equals or not key:
        raise ConfigError(f'override {text!r} is not of the form key=value')
    *groups, name = key.split('.')
    for group in groups:
        raw = raw.setdefault(group, {})
        if not isinstance(raw, dict):
            raise ConfigError(f'override {text!r}: {group!r} is not a group')
    raw[name] = parse_yaml(value, f'override {text!r}', ConfigError)


def _build(cls, raw, where):
    """Build a dataclass from a mapping, refusing unknown keys and wrong types."""
    if not isinstance(raw, dict):
        raise ConfigError(f'{where} must be a mapping, got {type(raw).__name__}')
    known = {f.name: f for f in fields(cls)}
    checked = {}
    for name, value in raw.items():
        _check_known(where, name, known)
        checked[name] = _converted(where, known[name], value)
    return cls(**checked)


def _check_known(where, name, known):
    """Refuse a key that does not exist, suggesting the nearest one."""
    if name not in known:
        raise ConfigError(f'{where}: unknown key {shown(name)}; {suggestion(name, known)}')


def _converted(where, spec, value):
    """Accept whole numbers for floats and refuse any other type change (1e-4 is a YAML text)."""
    wanted = spec.type
    if wanted is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass  # the refusal below names the value
    if wanted is Optional[str] and value is None or wanted not in KINDS:
        return value
    kind, words = KINDS[wanted]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f'{where}: {spec.name} is {shown(value)}; it must be {words}')
    return value


def _check_ranges(config, ranges, prefix=''):
    """Refuse numbers outside their range; NaN is outside any."""
    for name, (low, high) in ranges.items():
        value = getattr(config, name)
        if not low <= value <= high:
            raise ConfigError(f'{prefix}{name} is {shown(value)}; it must be from {low:g} to '
                              f'{high:g}')
