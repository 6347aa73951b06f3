"""EfficientNet as a pure function of (images, noise), built from efficientnet_pytorch's modules.

The package provides the architecture, the names of tensors and the weights. Some of its parts are replaced, but every
output stays the same:

- random draws are arguments (`keep`, `dropout`) instead of draws from a generator inside the network;
- activations are torch's SiLU instead of an autograd function written in Python;
- the convolution itself adds symmetric "same" padding, and only stride 2 pads separately (`same_padding.py`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.machine.device import Accelerator
from headrace.train.model.dropout import HeadDropout
from headrace.train.model.masks import KeyedMasks
from headrace.train.model.mean import spatial_mean
from headrace.train.model.network import Network
from headrace.train.model.same_padding import SameConv2d
from headrace.train.model.stochastic_depth import StochasticDepth
from headrace.train.recipe.sections import Model


class Block(nn.Module):
    """Mobile inverted bottleneck (arXiv:1801.04381), with squeeze-and-excitation if `block` has it."""

    _expand_conv: nn.Module
    _bn0: nn.Module
    _depthwise_conv: nn.Module
    _bn1: nn.Module
    _se_reduce: nn.Module
    _se_expand: nn.Module
    _project_conv: nn.Module
    _bn2: nn.Module

    def __init__(self, block: Any, activation: nn.Module) -> None:
        super().__init__()
        for name, module in block.named_children():
            if name != "_swish":
                setattr(self, name, _plain(module))
        args = block._block_args  # noqa: SLF001  the package has no public name for it
        self.expands = args.expand_ratio != 1
        self.excites = block.has_se
        stride = args.stride if isinstance(args.stride, int) else args.stride[0]
        self.skips = block.id_skip and stride == 1 and args.input_filters == args.output_filters
        self.activation = activation

    def forward(self, inputs: Tensor, keep: Tensor | None) -> Tensor:
        """Map (b, c, h, w) to (b, out, h', w'); `keep` (b, 1, 1, 1) scales the residual branch of each sample."""
        x: Tensor = inputs
        if self.expands:
            x = self.activation(self._bn0(self._expand_conv(x)))
        x = self.activation(self._bn1(self._depthwise_conv(x)))
        if self.excites:
            squeezed = self.activation(_on_vectors(self._se_reduce, spatial_mean(x)))
            x = torch.sigmoid(_on_vectors(self._se_expand, squeezed))[:, :, None, None] * x
        x = self._bn2(self._project_conv(x))
        if self.skips:
            x = inputs + (x if keep is None else x * keep)
        return x


class EfficientNet(Network):
    """An EfficientNet whose state dict has the names and shapes of the package efficientnet_pytorch."""

    def __init__(self, package_model: Any, activation: nn.Module) -> None:
        super().__init__()
        self._conv_stem = _plain(package_model._conv_stem)  # noqa: SLF001
        self._bn0 = package_model._bn0  # noqa: SLF001
        self._blocks = nn.ModuleList(Block(block, activation) for block in package_model._blocks)  # noqa: SLF001
        self._conv_head = _plain(package_model._conv_head)  # noqa: SLF001
        self._bn1 = package_model._bn1  # noqa: SLF001
        self._fc = package_model._fc  # noqa: SLF001
        self.activation = activation

    @property
    def features(self) -> int:
        """The width of the layer before the classifier, which is the length of a sample's dropout mask."""
        return int(self._fc.in_features)

    @property
    def head(self) -> nn.Linear:
        """The classifier."""
        head: nn.Linear = self._fc
        return head

    @property
    def head_names(self) -> tuple[str, ...]:
        """The names of the classifier's tensors."""
        return "_fc.weight", "_fc.bias"

    def depths(self) -> list[int]:
        """Return the layer number of each parameter.

        The stem has number 0, and the blocks have numbers from 1 on. All layers between the last block and the
        classifier share the next number, and the classifier has the last number.
        """
        last = len(self._blocks) + 1
        numbers = {"_conv_stem": 0, "_bn0": 0, "_fc": last + 1}
        parts = [name.split(".") for name, _ in self.named_parameters()]
        return [int(rest[0]) + 1 if first == "_blocks" else numbers.get(first, last) for first, *rest in parts]

    def never_decayed(self) -> frozenset[str]:
        """Return an empty set: in this network only vectors are exempt from weight decay."""
        return frozenset()

    def noise(self, model: Model, seed: int, accelerator: Accelerator) -> KeyedMasks:
        """Return the noise as masks: which blocks a sample skips depends on the sample, not on its group."""
        depth = StochasticDepth(self.drop_rates(model.drop_connect), seed, accelerator)
        return KeyedMasks(depth, HeadDropout(model.dropout, self.features, seed, accelerator))

    def drop_rates(self, drop_connect: float) -> list[float]:
        """Return for each block the probability that the block is skipped.

        The probability grows linearly with the block's depth, up to nearly `drop_connect`, and is 0 for a block that
        has no skip connection.
        """
        blocks: Any = self._blocks
        return [drop_connect * i / len(blocks) * block.skips for i, block in enumerate(blocks)]

    def forward(self, images: Tensor, keep: Tensor | None = None, dropout: Tensor | None = None) -> Tensor:
        """Return the logits (b, classes) of normalised images (b, 3, size, size).

        `keep` (b, blocks) multiplies residual branches, and `dropout` (b, features) multiplies features. In evaluation,
        `keep` and `dropout` are None.
        """
        x = self.activation(self._bn0(self._conv_stem(images)))
        for i, block in enumerate(self._blocks):
            scales = None if keep is None or not block.skips else keep[:, i].to(x.dtype).view(-1, 1, 1, 1)
            x = block(x, scales)
        x = self.activation(self._bn1(self._conv_head(x)))
        x = spatial_mean(x)
        logits: Tensor = self._fc(x if dropout is None else x * dropout.to(x.dtype))
        return logits


def _on_vectors(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a 1 x 1 convolution to images of a single pixel: map (b, c) to (b, out).

    The convolution is computed as a matrix product, which is faster.
    """
    weight: Any = conv.weight
    bias: Any = conv.bias
    channels_last = weight.stride(2) != 1  # DDP needs the gradient to have the strides of the parameter
    matrix = weight.permute(0, 2, 3, 1) if channels_last else weight
    return F.linear(x, matrix.flatten(1), bias)


def _plain(module: nn.Module) -> nn.Module:
    """Return a SameConv2d with the parameters of `module` if it is a convolution of the package.

    Any other module is returned unchanged.
    """
    return SameConv2d.of(module) if isinstance(module, nn.Conv2d) else module
