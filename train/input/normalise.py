"""Normalises uint8 pixels for the network, on the device."""

import torch
from torch import Tensor

from headrace.train.machine.device import Accelerator

Colour = tuple[float, float, float]
"""The values of red, green and blue, each from 0 to 255."""
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels in 0 to 1, as in torchvision and timm."""


class Normalise:
    """Maps images x, uint8 (b, h, w, 3), to (x - mean) / std: (b, 3, h, w) in `dtype`, channels_last without a copy.

    The scale 1 / std and the shift -mean / std are stored repeatedly, for a whole row of pixels. If they had only three
    numbers each, they would be broadcast along the innermost axis, and a CPU could not use its vector units.
    """

    def __init__(self, mean: Colour, std: Colour, accelerator: Accelerator, dtype: torch.dtype = torch.float32) -> None:
        self._accelerator = accelerator
        self._scaled = accelerator.either(cpu=_scaled_on_cpu, gpu=_scaled_on_gpu)
        self._scale = 1 / torch.tensor(std, dtype=dtype, device=accelerator.device)
        self._shift = -torch.tensor(mean, dtype=dtype, device=accelerator.device) * self._scale
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Return normalised images, (b, 3, h, w).

        In a channels_last run, the images are stored in the order height, width, channel.
        """
        made = torch.empty(images.shape, dtype=self._scale.dtype, device=images.device)
        self.write(images, made)
        return self._accelerator.lay_out(made.permute(0, 3, 1, 2))

    def traced(self, images: Tensor) -> Tensor:
        """Return the same images as `__call__`, computed by operations that torch.compile can fuse with later ones."""
        return (images * self._scale + self._shift).permute(0, 3, 1, 2)

    def write(self, images: Tensor, made: Tensor) -> None:
        """Write normalised images into `made`, (b, h, w, 3) without gaps, in the dtype of this object."""
        samples, height, width, channels = images.shape
        rows = samples * height, width * channels
        self._scaled(images.reshape(rows), *self._row(width), made.view(rows))

    def _row(self, width: int) -> tuple[Tensor, Tensor]:
        if width not in self._rows:
            self._rows[width] = self._scale.repeat(width), self._shift.repeat(width)
        return self._rows[width]


def _scaled_on_gpu(pixels: Tensor, scale: Tensor, shift: Tensor, made: Tensor) -> None:
    """Write pixels * scale + shift to `made` in one pass.

    `pixels` are uint8 (n, m), `scale` and `shift` are (m,), and `made` is (n, m).
    """
    torch.addcmul(shift, pixels, scale, out=made)


def _scaled_on_cpu(pixels: Tensor, scale: Tensor, shift: Tensor, made: Tensor) -> None:
    """Write pixels * scale + shift to `made` on a CPU, in one pass. Shapes are the same as for `_scaled_on_gpu`."""
    from headrace.train.input.kernels.scale import scale_rows  # noqa: PLC0415  a run on a GPU needs no numba

    scale_rows(pixels.numpy(), scale.numpy(), shift.numpy(), made.numpy())
