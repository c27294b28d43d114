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

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Optional, Union

from diffusion_policy_ros.checks import check_choice, shown, told
from diffusion_policy_ros.config import GROUPS as POLICY_GROUPS, PolicyConfig
from diffusion_policy_ros.config_checks import check_values
from diffusion_policy_ros.errors import CheckpointError, ConfigError
from diffusion_policy_ros.networks.augmentation import Augmentation
from diffusion_policy_ros.settings import checked_settings, from_mapping
from diffusion_policy_ros.training.config_groups import EncoderPretraining, RolloutSettings
from diffusion_policy_ros.yaml_text import parse_yaml
import yaml

SETTINGS = 'train.yaml'
GROUPS = {'pretraining': EncoderPretraining, 'augmentation': Augmentation,
          'rollouts': RolloutSettings}
# Smallest and largest value of each number.
PRETRAINING_RANGES = {
    'steps': (1, 10**9), 'batch_size': (1, 10**6), 'learning_rate': (1e-12, 100.0)}
ROLLOUT_RANGES = {'every': (0, 10**9), 'episodes': (1, 10**6)}
RANGES = {
    'steps': (1, 10**9), 'batch_size': (1, 10**6), 'learning_rate': (1e-12, 100.0),
    'accumulation_steps': (1, 10**6),
    'warmup_steps': (0, 10**9), 'weight_decay': (0.0, 100.0), 'beta1': (0.0, 0.999999),
    'beta2': (0.0, 0.999999), 'gradient_clip_norm': (1e-12, 1e12), 'ema_power': (0.0, 10.0),
    'ema_max': (0.0, 1.0), 'validation_episodes': (0, 10**9), 'log_every': (1, 10**9),
    'validate_every': (1, 10**9), 'checkpoint_every': (1, 10**9), 'seed': (0, 2**31 - 1)}
CHOICES = {
    'schedule': ('cosine', 'constant'), 'loss_weighting': ('simple', 'variational'),
    'precision': ('auto', 'float32', 'bfloat16', 'float16'),
    'data_on_device': ('auto', True, False), 'storage': ('float32', 'float16')}


@dataclass(frozen=True)
class TrainConfig:
    """
    Everything that decides a training run, besides the dataset.

    :ivar policy: Overrides of ``PolicyConfig`` fields; features and shapes come from the dataset.
    :ivar pretraining: The encoder's first stage.
    :ivar augmentation: How the main stage changes images at random, beside
        ``policy.crop_shape``.
    :ivar rollouts: Episodes in simulation while training.
    :ivar steps: Optimizer steps of the diffusion stage.
    :ivar batch_size: Windows that a process computes at once. Each optimizer step learns from
        ``batch_size * accumulation_steps * processes`` windows.
    :ivar accumulation_steps: Such batches per optimizer step and process.
    :ivar learning_rate: Peak rate of AdamW, after the warm-up.
    :ivar schedule: After the warm-up, ``cosine`` lets the rate fall to zero along half a cosine,
        ``constant`` keeps it.
    :ivar warmup_steps: Steps of linear warm-up.
    :ivar weight_decay: Of AdamW, for weights with two or more dimensions; biases and the scales
        of normalizations are not decayed.
    :ivar beta1, beta2: Of AdamW.
    :ivar gradient_clip_norm: Largest norm of the gradient.
    :ivar ema_power, ema_max: Exponential moving average of the weights (see ``networks.ema``).
    :ivar loss_weighting: ``simple`` weighs the prediction's error alike at every noise level;
        ``variational`` as the variational bound does (see ``diffusion.weighting``).
    :ivar validation_episodes: Episodes at the end of the dataset that are held out.
    :ivar log_every, validate_every, checkpoint_every: Intervals in steps.
    :ivar precision: ``float32``, or ``bfloat16`` or ``float16`` for mixed precision, the latter
        with a scaled loss; ``auto`` takes bfloat16 where a GPU supports it, otherwise float32.
    :ivar gradient_checkpointing: Compute activations again instead of keeping them: less memory,
        more time.
    :ivar compile: Compile the networks with ``torch.compile``.
    :ivar data_on_device: Keep the whole dataset on the device; ``auto`` does on a GPU whose free
        memory is more than twice as large.
    :ivar encoder_weights: Safetensors file with weights of torchvision's or timm's ResNet, from
        which the image encoder starts, or None.
    :ivar freeze_encoder: Keep the backbone of the image encoder as it starts, and compute what it
        makes of every picture once; the pooling and the layer behind it learn.
    :ivar wandb_project: Project of Weights & Biases to log to, or None.
    :ivar storage: ``float32`` or ``float16``: how the checkpoint stores weights.
    :ivar seed: Of initial weights, batches and noise.
    """

    policy: dict = field(default_factory=dict)
    pretraining: EncoderPretraining = EncoderPretraining()
    augmentation: Augmentation = Augmentation()
    rollouts: RolloutSettings = RolloutSettings()
    steps: int = 100_000
    batch_size: int = 64
    accumulation_steps: int = 1
    learning_rate: float = 1e-4
    schedule: str = 'cosine'
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
    gradient_checkpointing: bool = False
    compile: bool = False
    data_on_device: Union[bool, str] = 'auto'
    encoder_weights: Optional[str] = None
    freeze_encoder: bool = False
    wandb_project: Optional[str] = None
    storage: str = 'float32'
    seed: int = 0

    def __post_init__(self):
        """Build the groups, then check ranges and choices."""
        object.__setattr__(self, 'policy', checked_settings(
            PolicyConfig, 'policy', self.policy, PolicyConfig.setting_names()))
        check_values(self.policy, 'policy.')
        for name, cls in POLICY_GROUPS.items():
            from_mapping(cls, name, self.policy.get(name, {}))
        for name, cls in GROUPS.items():
            object.__setattr__(self, name, from_mapping(cls, name, getattr(self, name)))
        _check_ranges(self, RANGES)
        _check_ranges(self.pretraining, PRETRAINING_RANGES, 'pretraining.')
        _check_ranges(self.rollouts, ROLLOUT_RANGES, 'rollouts.')
        for name, choices in CHOICES.items():
            check_choice(name, getattr(self, name), choices, ConfigError)
        _check_rollouts(self.rollouts)
        _check_frozen(self)

    @property
    def is_encoder_fixed(self) -> bool:
        """Tell whether the main stage leaves the image encoder as it is."""
        return self.freeze_encoder or (
            self.pretraining.target is not None and self.pretraining.freeze)

    def windows_per_step(self, processes) -> int:
        """
        Return how many windows an optimizer step learns from.

        :param processes: Number of processes that train together.
        """
        return self.batch_size * self.accumulation_steps * processes

    def to_yaml(self) -> str:
        """Return the settings as YAML that ``load_train_config`` reads back equal."""
        return yaml.safe_dump(asdict(self), sort_keys=False)

    def to_portable_yaml(self) -> str:
        """Return the settings as YAML without what only this machine has: paths of folders."""
        path = self.encoder_weights
        return replace(self, encoder_weights=path and Path(path).name).to_yaml()

    def save(self, folder) -> None:
        """
        Put the settings beside weights, for whoever wants to train alike.

        :param folder: pathlib.Path of a checkpoint folder.
        :raises CheckpointError: if it cannot be written to.
        """
        try:
            (folder / SETTINGS).write_text(self.to_portable_yaml(), encoding='utf-8')
        except OSError as error:
            raise CheckpointError(f'{folder / SETTINGS} cannot be written: {error}') from error


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
    return from_mapping(TrainConfig, '', raw)


def _read(path):
    """Return the mapping that a configuration file holds."""
    try:
        text = Path(path).read_text(encoding='utf-8')
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f'cannot read the training configuration {path}: {told(error)}') from error
    raw = parse_yaml(text, str(path), ConfigError) or {}
    if not isinstance(raw, dict):
        raise ConfigError(f'{path}: a training configuration is a mapping of settings, got '
                          f'{shown(raw)}')
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
    if not value.strip():  # as an unset variable of a shell leaves it
        raise ConfigError(f'override {text!r} has no value; write null where none is meant, or '
                          'leave it out')
    raw[name] = parse_yaml(value, f'override {text!r}', ConfigError)


def _check_ranges(config, ranges, prefix=''):
    """Refuse numbers outside their range; NaN is outside any."""
    for name, (low, high) in ranges.items():
        value = getattr(config, name)
        if not low <= value <= high:
            raise ConfigError(f'{prefix}{name} is {shown(value)}; it must be from {low:g} to '
                              f'{high:g}')


def _check_rollouts(rollouts):
    """Refuse a simulation without an interval, and an interval without a simulation."""
    if (rollouts.sim is None) != (rollouts.every == 0):
        raise ConfigError(f'rollouts.sim is {shown(rollouts.sim)} and rollouts.every '
                          f'{rollouts.every}; set both, such as pusht and 5000, or neither')


def _check_frozen(config):
    """Refuse settings that a frozen encoder would leave without effect."""
    if config.freeze_encoder and config.encoder_weights is None:
        raise ConfigError('freeze_encoder is true without encoder_weights, so that the '
                          'backbone would stay random; name a file of weights, or let it train')
    if config.freeze_encoder and config.pretraining.target is not None:
        raise ConfigError('freeze_encoder keeps the backbone as it starts, and pretraining.target '
                          'trains it; leave out one of them')
    if config.is_encoder_fixed and config.augmentation != Augmentation():
        raise ConfigError('augmentation changes images, but the features of a frozen encoder are '
                          'computed once; leave out augmentation, or set freeze_encoder and '
                          'pretraining.freeze to false')
