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

"""Weights that were trained elsewhere, such as ImageNet's, as the start of an image encoder."""

from pathlib import Path

from diffusion_policy_ros.checks import first_of
from diffusion_policy_ros.errors import CheckpointError
from diffusion_policy_ros.networks.resnet import BasicBlock
from diffusion_policy_ros.policy.checkpoint_files import read_foreign_tensors
from diffusion_policy_ros.policy.normalizer import unit_image_statistics
import torch
from torch import nn

# Where torchvision and timm have what a backbone here holds under these numbers.
PUBLIC_NAMES = {'0': 'conv1', '1': 'bn1', '4': 'layer1', '5': 'layer2', '6': 'layer3',
                '7': 'layer4'}
CLASSIFIER = 'fc.'
COUNTER = 'num_batches_tracked'  # older files of torchvision have none, and nothing reads it
STATISTICS = ('running_mean', 'running_var', COUNTER)
# Of ImageNet's pictures in [0, 1], as torchvision and timm normalize them for their weights.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
REMEDY = ('give a safetensors file of torchvision or timm of the ResNet in '
          'policy.vision_backbone; docs/training.md tells where one is')


def imagenet_statistics() -> dict:
    """Return statistics of colour pictures in [0, 1] that suit weights from ImageNet."""
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (IMAGENET_MEAN, IMAGENET_STD))
    return {**unit_image_statistics(3), 'mean': mean, 'std': std}


def load_backbone_weights(encoders, path):
    """
    Start the backbones of image encoders from a file with torchvision's and timm's names.

    :param encoders: At least one RgbEncoder with a ResNet; all start alike.
    :param path: Path of a safetensors file; its classifier is ignored.
    :return: A sentence on what was taken from the file.
    :raises CheckpointError: if the backbone is no ResNet, the file cannot be read, or a tensor is
        missing, unknown, misshapen or not finite.
    """
    backbones = [encoder.backbone for encoder in encoders]
    if not any(isinstance(module, BasicBlock)
               for backbone in backbones for module in backbone.modules()):
        raise CheckpointError(f'{path} holds weights of a ResNet; set policy.vision_backbone to '
                              'resnet18 or resnet34, or leave the weights out')
    wanted = {_public_name(name): tensor for name, tensor in backbones[0].state_dict().items()}
    has_statistics = isinstance(backbones[0][1], nn.BatchNorm2d)
    given = {name: tensor for name, tensor in read_foreign_tensors(Path(path), REMEDY).items()
             if not name.startswith(CLASSIFIER)
             and (has_statistics or name.rpartition('.')[2] not in STATISTICS)}
    _check(path, wanted, given)
    for backbone in backbones:
        backbone.load_state_dict({name: given.get(_public_name(name), present)
                                  for name, present in backbone.state_dict().items()})
    taken = f'the image backbone starts from {len(given)} tensors of {path}'
    return taken if has_statistics else (
        f'{taken}; GroupNorm takes only the weights and biases of its norms, not their running '
        'statistics')


def _public_name(name):
    """Return torchvision's name of a backbone's tensor."""
    number, _, rest = name.partition('.')
    return f'{PUBLIC_NAMES[number]}.{rest}'


def _check(path, wanted, given):
    """Refuse a file whose tensors are not those of the backbone."""
    missing = [name for name in wanted if name not in given and not name.endswith(COUNTER)]
    if missing:
        raise CheckpointError(f'{path} lacks {first_of(missing)}; {REMEDY}')
    unknown = [name for name in given if name not in wanted]
    if unknown:
        raise CheckpointError(f'{path} has the unknown {first_of(unknown)}; {REMEDY}')
    for name, tensor in given.items():
        shape = tuple(wanted[name].shape)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(f'{path}: {name} has shape {tuple(tensor.shape)}, wanted '
                                  f'{shape}; {REMEDY}')
        if not torch.isfinite(tensor).all():
            raise CheckpointError(f'{path}: {name} must hold finite numbers; {REMEDY}')
