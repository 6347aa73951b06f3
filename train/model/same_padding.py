"""Convolution with TensorFlow's "same" padding at any size, as EfficientNet's weights require."""

from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.model.depthwise import depthwise, pays


class SameConv2d(nn.Conv2d):
    """A convolution whose output has the side ceil(input side / stride)."""

    pads_weight = False

    @classmethod
    def of(cls, module: nn.Conv2d) -> Self:
        """Return a SameConv2d that shares the parameters of `module`."""
        same = cls(
            module.in_channels,
            module.out_channels,
            (module.kernel_size[0], module.kernel_size[1]),
            stride=(module.stride[0], module.stride[1]),
            groups=module.groups,
            bias=module.bias is not None,
            device="meta",
        )
        same.weight, same.bias = module.weight, module.bias
        return same

    def forward(self, x: Tensor) -> Tensor:
        """Map (b, c, h, w) to (b, out, ceil(h / stride), ceil(w / stride))."""
        stride = self.stride[0]
        top, bottom = same_padding(x.shape[2], self.kernel_size[0], stride)
        left, right = same_padding(x.shape[3], self.kernel_size[1], stride)
        ours = self.groups == self.in_channels and x.shape[2] == x.shape[3] and self.bias is None
        if ours and pays(x, self.weight, stride):
            return depthwise(x, self.weight, stride, top, bottom)
        if top == bottom and left == right:
            return F.conv2d(x, self.weight, self.bias, stride, (top, left), 1, self.groups)
        if self.pads_weight and self.training:
            weight = F.pad(self.weight, [right - left, 0, bottom - top, 0])
            return F.conv2d(x, weight, self.bias, stride, (bottom, right), 1, self.groups)
        padded = F.pad(x, [left, right, top, bottom])
        return F.conv2d(padded, self.weight, self.bias, stride, 0, 1, self.groups)


def pad_weights(network: nn.Module, wanted: str) -> None:
    """Choose where convolutions with uneven padding put the additional zeros in training: in "images" or "weights".

    With "weights" the kernel gets a first row and column of zeros, and the padding becomes symmetric. The convolution
    then adds the same numbers in another order, and images are not copied. With "images", and always in evaluation,
    images are copied into a padded tensor.
    """
    for module in network.modules():
        if isinstance(module, SameConv2d):
            module.pads_weight = wanted == "weights"


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return how many zeros to add at the beginning and at the end of an axis.

    If the total is odd, the end gets one zero more than the beginning.
    """
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2
