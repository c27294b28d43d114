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

# oneDNN spends some 12 us on each call; products with fewer multiply-adds are done before that.
FEWEST_PRODUCTS = 2 ** 19
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
    """A linear layer with packed weights; what goes in and comes out stays float32."""

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


def packed_linear(weight, bias, rows, dtype=torch.float32) -> nn.Module:
    """
    Return a linear layer in the form that is fastest here.

    :param weight: float32 (out, in).
    :param bias: float32 (out,), or None.
    :param rows: Vectors that it maps at once, as a rule.
    :param dtype: As for ``PackedLinear``.
    """
    if rows * weight.numel() >= FEWEST_PRODUCTS:
        return PackedLinear(weight, bias, dtype)
    linear = nn.Linear(*weight.shape[::-1], bias=bias is not None)
    with torch.no_grad():
        linear.weight.copy_(weight)
        if bias is not None:
            linear.bias.copy_(bias)
    return linear.requires_grad_(False)


def pack_layers(module, example, dtype=torch.float32):
    """
    Replace linear layers and convolutions over pictures, in place, by packed ones.

    :param module: Network in eval mode; attention stays, and so does torch's
        TransformerEncoderLayer, which has a fast kernel of its own for the whole layer.
    :param example: Tuple of its arguments, as large as they are as a rule.
    :param dtype: As for ``PackedLinear``.
    """
    _replace_layers(module, output_sizes(module, example), dtype)


def output_sizes(module, example) -> dict:
    """
    Return how much each part of a network puts out in one call.

    :param module: The network.
    :param example: Tuple of its arguments.
    :return: Part that returns a tensor -> number of entries; those not called are not in it.
    """
    sizes = {}

    def note(part, _, output):
        if isinstance(output, torch.Tensor):
            sizes[part] = output.numel()

    hooks = [part.register_forward_hook(note) for part in module.modules()]
    module(*example)
    for hook in hooks:
        hook.remove()
    return sizes


def _replace_layers(module, sizes, dtype):
    """Replace the children of a module, and theirs."""
    for name, child in module.named_children():
        # An attention reads the weights of its linear layer, of a class of its own, itself.
        if type(child) is nn.Linear and child in sizes:
            rows = sizes[child] // child.out_features
            setattr(module, name, packed_linear(child.weight, child.bias, rows, dtype))
        elif isinstance(child, nn.Conv2d):
            setattr(module, name, PackedConv2d(child))
        elif not isinstance(child, nn.TransformerEncoderLayer):
            _replace_layers(child, sizes, dtype)
