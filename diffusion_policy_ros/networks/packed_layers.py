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

"""Layers for inference on a CPU, with weights laid out once as oneDNN's kernels read them."""

import torch
from torch import nn

# oneDNN spends some microseconds on each call; smaller products are done before that.
FEWEST_WEIGHTS = 2 ** 15
# What torch's own compiler calls; as TorchScript, because a trace cannot hold their arguments.
_KERNELS = torch.jit.CompilationUnit("""
def linear(x: Tensor, weight: Tensor, bias: Optional[Tensor]):
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")

def conv2d(x: Tensor, weight: Tensor, bias: Optional[Tensor], padding: List[int],
           stride: List[int], dilation: List[int], groups: int):
    return torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, stride, dilation, groups, "none", [], "")
""")


def can_pack() -> bool:
    """Tell whether this build of torch has oneDNN."""
    return torch.backends.mkldnn.is_available()


class PackedLinear(nn.Module):
    """A linear layer with packed weights; what comes in and goes out stays float32."""

    def __init__(self, weight, bias, dtype=torch.float32):
        """
        Pack the weights.

        :param weight: float32 (out, in).
        :param bias: float32 (out,), or None.
        :param dtype: Type that weights and products are rounded to; sums are float32.
        """
        super().__init__()
        self.dtype = dtype
        self.register_buffer('weight', torch.ops.mkldnn._reorder_linear_weight(
            weight.detach().to(dtype).contiguous()))
        self.register_buffer('bias', None if bias is None else bias.detach().to(dtype))

    def forward(self, x):
        """Map (..., in) to (..., out)."""
        return _KERNELS.linear(x.to(self.dtype), self.weight, self.bias).to(x.dtype)


class PackedConv2d(nn.Module):
    """A convolution over pictures with packed weights."""

    def __init__(self, conv):
        """
        Pack the weights.

        :param conv: nn.Conv2d.
        """
        super().__init__()
        self.options = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.register_buffer('weight', torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.options))
        self.register_buffer('bias', None if conv.bias is None else conv.bias.detach())

    def forward(self, x):
        """Map (B, in_channels, H, W) as the convolution does."""
        return _KERNELS.conv2d(x, self.weight, self.bias, *self.options)


def packed_linear(weight, bias, dtype=torch.float32) -> nn.Module:
    """
    Return a linear layer in the form that is fastest here.

    :param weight: float32 (out, in).
    :param bias: float32 (out,), or None.
    :param dtype: As for ``PackedLinear``.
    """
    if weight.numel() >= FEWEST_WEIGHTS:
        return PackedLinear(weight, bias, dtype)
    linear = nn.Linear(*weight.shape[::-1], bias=bias is not None)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear.requires_grad_(False)


def pack_layers(module, dtype=torch.float32):
    """
    Replace linear layers and convolutions over pictures, in place, by packed ones.

    :param module: Network in eval mode; layers of torch's Transformers, which have fast kernels
        of their own for whole layers, stay.
    :param dtype: As for ``PackedLinear``.
    """
    for name, child in module.named_children():
        if not isinstance(child, nn.TransformerEncoderLayer):
            packed = _packed(child, dtype)
            if packed is None:
                pack_layers(child, dtype)
            else:
                setattr(module, name, packed)


def _packed(layer, dtype):
    """Return the packed form of one layer, None where it has none."""
    if type(layer) is nn.Linear:  # not the subclass whose weights an attention reads
        return packed_linear(layer.weight, layer.bias, dtype)
    if isinstance(layer, nn.Conv2d):
        return PackedConv2d(layer)
    return None
